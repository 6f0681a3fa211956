"""Jobs in a real SQLite file: what is planned is what a worker in another process finds."""

from __future__ import annotations

import json
import math
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from mcalc.config import Config
from mcalc.config.compose import GROUPS, choices, compose_config
from mcalc.config.identity import keys_of, numeric_settings
from mcalc.config.paths import flatten
from mcalc.config.trial import PlannedTrial, plan_trial
from mcalc.errors import UserError
from mcalc.sweep.planning.plan import make_plans
from mcalc.sweep.store.jobs import Job, Jobs
from mcalc.sweep.store.leases import Leases
from mcalc.sweep.store.storage import Storage
from mcalc.training import resolved

SECRET = "SECRET"
UGLY = '/data/it\'s "mine", (copy) #1 = ~ä\\n/with  spaces'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a folder" / "optuna.db"


@pytest.fixture
def jobs(file: Path) -> Jobs:
    return Jobs(Storage(f"sqlite:///{file}", 5))


def places_of(config: Config) -> Config:
    """What a worker knows before it has found its job."""
    return Config(storage=config.storage, storage_wait=5, tracking=config.tracking)


def restored(jobs: Jobs, job: Job, places: Config) -> Job:
    """The job as another connection to the same file finds it."""
    (token,) = jobs.add([job])
    return Jobs(Storage(jobs.storage.url, 5)).find(token, places)


def planned(*overrides: str) -> PlannedTrial:
    config = resolved(compose_config(overrides))
    return plan_trial("a trial", config, "fingerprint", {"head.weight_lr": 0.1, "backbone": "x"})


def same_after_storing(jobs: Jobs, *trials: PlannedTrial) -> None:
    job = Job("sweep", "parent", trials, beside=3)
    found = restored(jobs, job, places_of(trials[0].config))
    assert found == job
    for before, after in zip(trials, found.trials, strict=True):
        # equal settings may differ in type, as 1 and 1.0 or an enum and its value do
        assert repr(after.config) == repr(before.config)
        assert repr(after) == repr(before)
        assert repr(dict(after.values)) == repr(dict(before.values))
        keys = keys_of(numeric_settings(after.config), after.fingerprint)
        assert keys == (before.key, before.trajectory)


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param([f"{group}={choice}"], id=f"{group}={choice}")
        for group in GROUPS
        for choice in choices(group)
    ],
)
def test_every_shipped_choice_survives(jobs: Jobs, overrides: list[str]) -> None:
    same_after_storing(jobs, planned(*overrides))


def test_odd_values_survive(jobs: Jobs) -> None:
    """Numbers to the last bit, null, lists, enums, and paths with all that shells quote."""
    config = compose_config(
        [
            "metrics=[]",
            "backbone=squeezenet",
            "head.weight_lr=0.1",
            "stopping.patience=null",
            "trainer.lr=1e-300",
            "trainer.precision=bf16",
            "trainer.channels_last=true",
            "augment.place=device",
            "augment.noise=0.30000000000000004",
        ]
    )
    config = replace(
        config,
        name=UGLY,
        seed=2**32 - 1,
        metrics=["sensitivity at 0.9, exactly", "b"],
        head=replace(config.head, weight_lr=math.nextafter(0.1, 1), bias_lr=math.pi),
        data=replace(config.data, cache=UGLY),
        tracking=replace(config.tracking, dir="/elsewhere"),
    )
    trial = plan_trial(UGLY, config, "fingerprint", {"data.cache": UGLY, "metrics": ["a", "b"]})
    same_after_storing(jobs, trial)


def test_a_planned_sweep_survives(jobs: Jobs) -> None:
    (plan,) = make_plans(
        ["backbone=alexnet,squeezenet", "head.weight_lr=1,0.1", "stopping.patience=5,null"],
        compose_config,
        resolved,
        lambda _: "fingerprint",
    )
    assert len(plan.trials) == 8
    same_after_storing(jobs, *plan.trials)


def test_a_list_of_texts_may_be_swept(jobs: Jobs) -> None:
    (plan,) = make_plans(
        ['metrics=[],["x y"]', "backbone=squeezenet"],
        compose_config,
        resolved,
        lambda _: "fingerprint",
    )
    same_after_storing(jobs, *plan.trials)


def test_a_searchs_job_survives(jobs: Jobs) -> None:
    base = compose_config(["backbone=squeezenet", "budget.trials=3", "stopping.patience=null"])
    sections = {
        "backbone": {
            choice: flatten(compose_config([f"backbone={choice}"]).backbone)
            for choice in choices("backbone")
        }
    }
    job = Job("sweep", "parent", base=base, sections=sections, beside=2)
    assert restored(jobs, job, places_of(base)) == job


def test_the_places_are_the_workers_own(jobs: Jobs) -> None:
    trial = planned("tracking.dir=here", "tracking.uri=http://a", "storage=sqlite:///a.db")
    there = compose_config(["tracking.dir=/there", "tracking.uri=http://b"])
    (found,) = restored(jobs, Job("sweep", "parent", (trial,)), places_of(there)).trials
    assert found.config.storage is None
    assert (found.config.tracking.dir, found.config.tracking.uri) == ("/there", "http://b")
    assert found.key == trial.key == keys_of(numeric_settings(found.config), "fingerprint")[0]


def test_no_password_is_stored(jobs: Jobs, file: Path) -> None:
    config = compose_config(
        [
            f"storage='postgresql+psycopg://u:{SECRET}@h/n'",
            f"tracking.uri='http://u:{SECRET}@h'",
            "backbone=squeezenet",
        ]
    )
    sections = {"backbone": {"squeezenet": flatten(config.backbone)}}
    explicit = Job("sweep", "parent", (plan_trial("a", resolved(config), "fingerprint"),))
    search = Job("sweep", "parent", base=config, sections=sections)
    tokens = jobs.add([explicit, search])
    with closing(sqlite3.connect(file)) as connection:
        dump = "\n".join(connection.iterdump())
    assert all(token in dump for token in tokens)
    assert SECRET not in dump
    assert [jobs.find(token, config) for token in tokens] == [explicit, search]


def test_tokens_are_letters_and_digits_and_never_the_same(jobs: Jobs) -> None:
    job = Job("sweep", "parent", (planned(),))
    tokens = jobs.add([job] * 50)
    assert len(set(tokens)) == 50
    assert all(token.isalnum() and token.isascii() and len(token) <= 32 for token in tokens)


@pytest.mark.parametrize("drawn", ["7923634279494e31", "1234567890123456", "0e00000000000000"])
def test_hydra_reads_a_token_as_text_whatever_is_drawn(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, drawn: str
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: drawn)
    job = Job("sweep", "parent", base=compose_config([]))
    (token,) = jobs.add([job])
    (override,) = OverridesParser.create().parse_overrides([f"job={token}"])
    assert override.value() == token
    assert jobs.find(str(override.value()), compose_config([])) == job


def test_an_unknown_token_is_answered_in_one_sentence(jobs: Jobs) -> None:
    with pytest.raises(UserError, match=r"the store has no job 'abc123'.*sweep with -m") as caught:
        jobs.find("abc123", Config())
    assert "\n" not in str(caught.value)


def test_jobs_that_are_removed_are_gone_and_others_stay(jobs: Jobs) -> None:
    first, second, third = jobs.add([Job("sweep", "parent", (planned(),))] * 3)
    jobs.remove([first, third])
    jobs.remove([first])
    for token in (first, third):
        with pytest.raises(UserError, match="has no job"):
            jobs.find(token, Config())
    assert jobs.find(second, Config()).sweep == "sweep"


def test_a_store_that_was_made_before_there_were_jobs_gets_them(file: Path) -> None:
    storage = Storage(f"sqlite:///{file}", 5)
    Leases(storage, "sweep")
    assert "mcalc_jobs" not in tables(file)
    same_after_storing(Jobs(storage), planned())
    assert {"mcalc_jobs", "mcalc_claims", "studies"} <= set(tables(file))


def tables(file: Path) -> Sequence[str]:
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [str(name) for (name,) in rows]


READ = """
import json, sys
from mcalc.config import Config, plan_trial
from mcalc.sweep.store.jobs import Jobs
from mcalc.sweep.store.storage import Storage
from mcalc.training import resolved
from mcalc.training import resolved
from mcalc.training import resolved
job = Jobs(Storage(sys.argv[1], 5)).find(sys.argv[2], Config())
keys = [plan_trial(t.name, t.config, t.fingerprint).key for t in job.trials]
print(json.dumps([[t.name, t.key, key] for t, key in zip(job.trials, keys)]))
"""


def test_another_process_finds_the_same_trials(jobs: Jobs) -> None:
    trial = planned("backbone=alexnet", "trainer=demo_alexnet", "seed=7")
    (token,) = jobs.add([Job("sweep", "parent", (trial,))])
    done = subprocess.run(
        [sys.executable, "-c", READ, jobs.storage.url, token],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[trial.name, trial.key, trial.key]]
