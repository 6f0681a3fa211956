"""What a dry run promises is what then runs."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from engine import sweep
from parameters import most_are_whole
from small_network import SMALL_NETWORK

from mcalc.config import Config, PlannedTrial, TrackingConfig
from mcalc.config.compose import compose_config
from mcalc.data import DataCache
from mcalc.errors import UserError
from mcalc.sweep.display.estimate import _MOST_FEATURES, Estimator, most_of
from mcalc.sweep.display.measured_step import measured
from mcalc.sweep.display.step_times import MeasuredStep, has_features
from mcalc.sweep.planning import corners, make_plans
from mcalc.sweep.start import run_sweep
from mcalc.tracking.reader import read_trials
from mcalc.training import resolved
from mcalc.training.frozen import MOST_BYTES, repeats

SETTINGS = (
    "backbone=squeezenet",
    "backbone.weights=none",
    "trainer.batch_size=8",
    "trainer.max_epochs=1",
    "trainer.val_every=100",
    "trainer.threads=1",
    "tracking.keep_models=none",
    "head.weight_lr=1,2",
)
RATES = ("head.weight_lr=1,2", "trainer.threads=1")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms and prepared images, for all protocols."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "lesions"),
    [("paper_augment_first", 24), ("cv", 40)],
)
@pytest.mark.xdist_group("dry run")
def test_the_planned_iterations_are_those_that_run(
    protocol: str, lesions: int, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        *SETTINGS,
        f"protocol={protocol}",
        f"data.phantom.lesions={lesions}",
        f"tracking.dir={tmp_path / 'runs'}",
        f"data.cache={cache}",
        "name=mine",
    ]
    run_sweep([*arguments, "dry_run=true"], compose_config)
    (planned,) = re.findall(r"at most (\d+) iterations", capsys.readouterr().out)
    assert not (tmp_path / "runs").exists(), "a dry run leaves nothing"
    run_sweep(arguments, compose_config)
    trials = read_trials(TrackingConfig(dir=str(tmp_path / "runs")), "mine")
    assert len(trials) == 2
    assert int(planned) == sum(trial.metrics["iterations"] for trial in trials)


def test_a_rerun_is_planned_as_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL_NETWORK, "data.phantom.lesions=24", "trainer.max_iterations=5", *RATES]
    sweep(tmp_path, *words)

    def planned(*more: str) -> str:
        capsys.readouterr()
        sweep(tmp_path, *words, "dry_run=true", *more)
        return capsys.readouterr().out

    assert "nothing to run" in planned()
    again = planned("rerun=true")
    assert "0 finished, 2 to run" in again
    assert "at most 10 iterations" in again
    assert "nothing to run" not in again


def test_a_plan_says_what_data_it_looks_at(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # a root without data= is where phantoms are written, and looks like a download that is read
    words = [
        *SMALL_NETWORK, *RATES, "data.phantom.lesions=24", f"data.cache={cache}", "name=mine",
        f"data.root={tmp_path / 'CBIS-DDSM'}", f"tracking.dir={tmp_path / 'runs'}", "dry_run=true",
    ]  # fmt: skip
    said = "data: phantom (synthetic; difficulty 0.5, seed 2020): 24 lesions of 11 patients, 17 "
    run_sweep(words, compose_config)
    assert capsys.readouterr().out.count(said) == 1
    run_sweep([*words, "data.unit=lesion,patient"], compose_config)
    of_two = capsys.readouterr().out
    assert of_two.count(said) == 2
    assert of_two.count("7 malignant, scored by patient\n") == 1


def test_a_budget_of_explicit_trials_is_said_to_limit_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = [*SMALL_NETWORK, *RATES, "data.phantom.lesions=24", "trainer.max_iterations=5"]
    sweep(tmp_path, *words, "budget.trials=1", "budget.hours=0.5", "dry_run=true")
    assert (
        "budget.trials=1, budget.hours=0.5 limits a search alone: all 2 trials of this sweep run"
    ) in caplog.text
    caplog.clear()
    search = ["head.weight_lr=interval(1,20)", "budget.trials=1", "dry_run=true"]
    sweep(tmp_path, *words[:-3], *search)
    assert "limits a search alone" not in caplog.text


FROZEN = (["backbone.freeze=all"], ["backbone.freeze=1", "augment.enabled=false"])


@pytest.mark.parametrize("frozen", most_are_whole(FROZEN, 1))
@pytest.mark.parametrize("protocol", most_are_whole(["paper", "cv"], 1))
def test_the_planned_features_are_those_that_lie_in_the_cache(
    frozen: list[str], protocol: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        *SMALL_NETWORK, *frozen, *RATES, "data.phantom.lesions=40", "trainer.max_iterations=5",
        "name=mine", f"protocol={protocol}", f"tracking.dir={tmp_path / 'runs'}",
        f"data.cache={tmp_path / 'cache'}",
    ]  # fmt: skip
    data = DataCache()
    (plan,) = make_plans(words, compose_config, resolved, lambda each: data(each).fingerprint)
    found = Estimator(data, measured).of(plan.trajectories())
    run_sweep([*words, "dry_run=true"], compose_config)
    assert "for features in the cache" in capsys.readouterr().out
    run_sweep(words, compose_config)
    # one file for both rates: numpy's header, the features, their name and checksum
    (file,) = (tmp_path / "cache" / "features").glob("*.npy")
    assert found.features == file.stat().st_size - 128 - 24


def test_a_plan_knows_without_pytorch_when_features_are_kept() -> None:
    for freeze, enabled in itertools.product(("0", "1", "all"), (False, True)):
        config = compose_config(["backbone=squeezenet", f"backbone.freeze={freeze}"])
        config = replace(config, augment=replace(config.augment, enabled=enabled))
        assert has_features(config) is repeats(config)
    assert _MOST_FEATURES == MOST_BYTES


def test_features_that_are_too_many_to_keep_take_no_disk(tmp_path: Path, cache: Path) -> None:
    def step(_: Config) -> MeasuredStep:
        now = datetime.now().astimezone()
        return MeasuredStep(0.1, 1000, True, now, alone=False, feature_bytes=MOST_BYTES // 20)

    words = [
        *SETTINGS, "backbone.freeze=all", "name=mine", "data.phantom.lesions=24",
        f"tracking.dir={tmp_path / 'runs'}", f"data.cache={cache}",
    ]  # fmt: skip
    data = DataCache()
    (plan,) = make_plans(words, compose_config, resolved, lambda each: data(each).fingerprint)
    assert Estimator(data, step).of(plan.trajectories()).features == 0


@pytest.mark.parametrize(
    ("searched", "costliest", "said"),
    [
        (["trainer.max_epochs=int(interval(1,4))"], ["trainer.max_epochs=4"], "at most"),
        (["trainer.batch_size=2,4"], ["trainer.batch_size=2"], "at most"),
        (
            ["trainer.max_epochs=1,3", "augment.strength=interval(0,1)", "trainer.batch_size=3,5"],
            ["trainer.max_epochs=3", "trainer.batch_size=3"],
            "at most",
        ),
        (["data.region=crop,patch"], [], "about"),
    ],
)
def test_a_search_is_planned_as_trials_of_the_costliest_values_are(
    searched: list[str],
    costliest: list[str],
    said: str,
    tmp_path: Path,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = [
        *SMALL_NETWORK, "data.phantom.lesions=24", "trainer.threads=1", "dry_run=true",
        f"tracking.dir={tmp_path / 'runs'}", f"data.cache={cache}",
    ]  # fmt: skip
    # what is not searched costs less than what is, and is searched beside it
    few = ["trainer.batch_size=4", "trainer.max_epochs=1"]
    given = {word.partition("=")[0] for word in searched}
    base += [word for word in few if word.partition("=")[0] not in given]

    def planned(*words: str) -> tuple[str, str]:
        run_sweep([*base, *words], compose_config)
        printed = capsys.readouterr().out
        named = "what is searched may make it more: data.region" in printed
        assert named is ("about" in printed)
        ((bound, number),) = re.findall(r"(at most|about) (\d+) iterations", printed)
        return bound, number

    explicit = planned(*costliest, "head.weight_lr=1,2,3")
    search = planned(*searched, "head.weight_lr=interval(1,30)", "budget.trials=3")
    assert explicit[0] == "at most"
    assert search == (said, explicit[1])


def test_of_a_search_the_costliest_network_is_planned(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever network the command line, or a default, would have taken."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    asked = []

    def step(config: Config) -> MeasuredStep:
        slow = config.backbone.name == "googlenet"
        asked.append(config.backbone.name)
        return MeasuredStep(
            1.0 if slow else 0.1, 10_000 if slow else 30_000, True, datetime.now().astimezone()
        )

    words = [
        "backbone=alexnet,googlenet", "head.weight_lr=interval(1,30)", "budget.trials=2",
        "data.phantom.lesions=24", "backbone.weights=none", "tracking.keep_models=all",
        f"tracking.dir={tmp_path / 'runs'}", f"data.cache={cache}",
    ]  # fmt: skip
    data = DataCache()
    (plan,) = make_plans(words, compose_config, resolved, lambda each: data(each).fingerprint)
    space = corners(plan, compose_config, resolved)
    estimator = Estimator(data, step)
    alone = [estimator.of([(PlannedTrial("", "", "", each, ""),)] * 2) for each in space.configs]
    found = most_of(alone)
    assert sorted(asked) == ["alexnet", "googlenet"]
    assert (
        found.seconds
        == max(each.seconds for each in alone)
        > 2 * min(each.seconds for each in alone)
    )
    assert found.disk == max(each.disk for each in alone)
    assert found.weights_known == {"alexnet", "googlenet"}


@pytest.mark.whole
def test_a_plan_whose_weights_no_server_has_says_so(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "backbone=googlenet_bvlc",
        "head.weight_lr=1,2",
        "trainer.batch_size=2",
        "trainer.threads=1",
        "data.phantom.lesions=24",
        f"tracking.dir={tmp_path / 'runs'}",
        f"data.cache={cache}",
        "name=mine",
    ]
    # the second plan has a step that was measured for the first; then it runs
    for dry in ("true", "true", "false"):
        with pytest.raises(UserError, match="no server offers the weights of backbone=googlenet"):
            run_sweep([*arguments, f"dry_run={dry}"], compose_config)
    printed = capsys.readouterr().out
    assert "mine: 2 trials" in printed
    assert "the same command runs it" not in printed
    run_sweep([*arguments, "backbone.on_missing_weights=random", "dry_run=true"], compose_config)
    assert "the same command runs it" in capsys.readouterr().out


@pytest.mark.whole
def test_an_estimate_says_when_its_steps_were_measured(
    tmp_path: Path,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    arguments = [
        *SETTINGS,
        "data.phantom.lesions=24",
        f"tracking.dir={tmp_path / 'runs'}",
        f"data.cache={cache}",
        "dry_run=true",
    ]

    def planned() -> str:
        run_sweep(arguments, compose_config)
        (line,) = re.findall(r"at most .*iterations.*", capsys.readouterr().out)
        return line

    first = planned()
    assert "(from a few steps, measured now;" in first
    assert planned() == first
    # as if the first plan had been made on another day
    file = tmp_path / "kept" / "mcalc" / "steps.json"
    earlier = datetime.now().astimezone() - timedelta(days=2)
    kept = json.loads(file.read_text())
    (step,) = kept.values()
    step["when"] = earlier.isoformat()
    file.write_text(json.dumps(kept))
    assert planned() == first.replace("measured now", f"measured {earlier:%Y-%m-%d %H:%M}")


def test_a_plan_has_each_kind_of_step_measured_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    asked = []

    def step(config: Config) -> MeasuredStep:
        asked.append(config.trainer.precision)
        # beside others: nothing is kept for the next plan, nor for the next run of this one
        return MeasuredStep(0.1, 1000, True, datetime.now().astimezone(), alone=False)

    words = [
        *SETTINGS, "backbone.freeze=all", "seed=0,1,2", "trainer.precision=fp32", "name=mine",
        "data.phantom.lesions=24", f"tracking.dir={tmp_path / 'runs'}", f"data.cache={cache}",
    ]  # fmt: skip
    data = DataCache()
    (plan,) = make_plans(words, compose_config, resolved, lambda each: data(each).fingerprint)
    assert len(plan.trajectories()) == 6
    found = Estimator(data, step).of(plan.trajectories())
    assert len(asked) == 1
    assert not found.alone


@pytest.mark.parametrize("dry", ["true", "false"])
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["backbone.freeze=1,99"], id="rows"),
        pytest.param(
            ["backbone.freeze=99", "head.weight_lr=interval(1,30)", "budget.trials=2"],
            marks=pytest.mark.whole,
            id="search",
        ),
    ],
)
def test_stages_that_a_network_does_not_have_are_said_before_anything_runs(
    tmp_path: Path, words: list[str], dry: str
) -> None:
    runs = tmp_path / "runs"
    freeze = ["backbone=squeezenet", "backbone.weights=none", *words]
    with pytest.raises(UserError, match=r"freeze=99: squeezenet has 9 stages below its head"):
        run_sweep([*freeze, f"tracking.dir={runs}", f"dry_run={dry}"], compose_config)
    assert not runs.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trainer.batch_size=30"], "trainer.batch_size=30 is more than the "),
        (["metrics=[auk]"], "metrics='auk' is unknown"),
        (["tracking.dir={}/file/runs"], "record folder {}/file/runs cannot be made"),
        (["tracking.dir={}/link"], "record folder {}/link cannot be made"),
    ],
    ids=lambda each: str(each[0] if isinstance(each, list) else "").partition("=")[0],
)
def test_a_plan_ends_with_the_error_that_its_run_gives(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nothing/../file")
    arguments = [*SETTINGS, f"data.cache={cache}", "data.phantom.lesions=24", "dry_run=true"]
    here = [word.format(tmp_path) for word in words]
    with pytest.raises(UserError, match=re.escape(said.format(tmp_path))):
        run_sweep([*arguments, f"tracking.dir={tmp_path / 'runs'}", *here], compose_config)
    assert "the same command runs it" not in capsys.readouterr().out
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "link"]
