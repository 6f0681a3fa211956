"""`auto` of precision and memory format in sweeps: planned once, the same on every machine."""

from __future__ import annotations

import json
import platform
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from engine import settings, sweep

from mcalc.config import numeric_settings, plan_trial, settings_as_said
from mcalc.config.compose import compose_config
from mcalc.errors import UserError
from mcalc.sqlite_file import url_of
from mcalc.sweep.planning.plan import Plan, make_plans
from mcalc.sweep.store.definition import SHARED, beside_older
from mcalc.sweep.store.storage import Storage
from mcalc.sweep.store.study import SweepStudy
from mcalc.training import device
from mcalc.training.device import resolved

RATES = "head.weight_lr=1,2"
OLD = ("trainer.precision=fp32", "trainer.channels_last=false")
"""The defaults of before `auto`."""
FP32, BF16 = {"sse2"}, {"sse2", "avx512_bf16"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


class Machine:
    """Lets this machine's processor have these instruction sets, whatever it has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    def __call__(self, flags: set[str]) -> None:
        self.monkeypatch.setattr(device, "_processor_flags", lambda: list(flags))


def studies(folder: Path) -> dict[str, SweepStudy]:
    storage = Storage(url_of(folder / "mlruns" / "optuna.db"), 5)
    return {each.name: each for each in SweepStudy.all_beginning(storage, "")}


def precisions(study: SweepStudy) -> set[tuple[str, bool]]:
    """Precision and memory format of a sweep's trials."""
    found = set()
    for attempt in study.attempts():
        own = {**study.shared, **attempt.user_attrs["identity"]["settings"]}
        found.add((own["trainer.precision"], own["trainer.channels_last"]))
    return found


def made_older(folder: Path) -> None:
    """Let the record be one of before `auto`: studies do not say what was left to the hardware."""
    with closing(sqlite3.connect(folder / "mlruns" / "optuna.db")) as database:
        removed = database.execute(
            "DELETE FROM study_user_attributes WHERE key = 'mcalc:automatic'"
        )
        assert removed.rowcount == 1
        database.commit()


def test_what_auto_came_to_is_in_the_plan_and_in_the_record(
    tmp_path: Path, machine: Machine
) -> None:
    for flags, name, expected in ((BF16, "low", ("bf16", True)), (FP32, "high", ("fp32", True))):
        machine(flags)
        sweep(tmp_path, RATES, f"name={name}")
        assert precisions(studies(tmp_path)[name]) == {expected}
        with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as database:
            query = "SELECT DISTINCT p.value FROM params p WHERE p.key = 'trainer.precision'"
            assert (expected[0],) in database.execute(query).fetchall()


@pytest.mark.whole
def test_machines_of_different_kinds_name_it(tmp_path: Path, machine: Machine) -> None:
    machine(BF16)
    sweep(tmp_path, RATES, "name=mine")
    machine(FP32)
    for more in ([], ["dry_run=true"]):
        with pytest.raises(
            UserError,
            match=r"auto is trainer\.precision=bf16 and .* with trainer\.precision=bf16;",
        ):
            sweep(tmp_path, RATES, "name=mine", *more)
    # named, it is the same sweep, and this machine cannot add to it
    given = ("name=mine", "trainer.precision=bf16")
    assert {o.state for o in sweep(tmp_path, RATES, *given)} == {"skipped"}
    with pytest.raises(UserError, match="does not compute in bf16"):
        sweep(tmp_path, "head.weight_lr=1,2,3", *given)
    assert len(studies(tmp_path)["mine"].attempts()) == 2
    machine(BF16)
    assert len(sweep(tmp_path, "head.weight_lr=1,2,3", "name=mine")) == 3


def test_sweeps_that_the_command_line_changes_have_one_name_everywhere(
    tmp_path: Path, machine: Machine
) -> None:
    machine(BF16)
    sweep(tmp_path, RATES, "head.bias_lr=7")
    machine(FP32)
    with pytest.raises(UserError, match="machines of different kinds"):
        sweep(tmp_path, RATES, "head.bias_lr=7")
    assert len(studies(tmp_path)) == 1


def test_a_faster_machine_joins_a_sweep_that_names_fp32(tmp_path: Path, machine: Machine) -> None:
    machine(FP32)
    sweep(tmp_path, RATES, "name=mine")
    machine(BF16)
    with pytest.raises(UserError, match=r"as this one with trainer\.precision=fp32;"):
        sweep(tmp_path, RATES, "name=mine")
    outcomes = sweep(tmp_path, "head.weight_lr=1,2,3", "name=mine", "trainer.precision=fp32")
    assert [outcome.state for outcome in outcomes] == ["skipped", "skipped", "finished"]
    assert precisions(studies(tmp_path)["mine"]) == {("fp32", True)}


@pytest.mark.whole
def test_beside_an_older_record_another_sweep_begins_and_says_why(
    tmp_path: Path, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine(FP32)
    sweep(tmp_path, RATES, "name=mine", *OLD)
    made_older(tmp_path)
    machine(BF16)
    with caplog.at_level("WARNING", logger="mcalc"):
        sweep(tmp_path, RATES, "name=mine", "dry_run=true")
        assert len(studies(tmp_path)) == 1
        outcomes = sweep(tmp_path, RATES, "name=mine")
    assert {outcome.state for outcome in outcomes} == {"finished"}
    (new,) = set(studies(tmp_path)) - {"mine"}
    said = [record.getMessage() for record in caplog.records]
    assert len([text for text in said if "was recorded with" in text]) == 2
    assert f"this is another sweep, {new}" in said[-1]
    assert "add trainer.precision=fp32 trainer.channels_last=false" in said[-1]
    # either goes on, the older one with what was said
    assert {o.state for o in sweep(tmp_path, RATES, "name=mine")} == {"skipped"}
    named = sweep(tmp_path, RATES, "name=mine", *OLD)
    assert {outcome.state for outcome in named} == {"skipped"}
    assert precisions(studies(tmp_path)["mine"]) == {("fp32", False)}
    assert precisions(studies(tmp_path)[new]) == {("bf16", True)}


def test_an_older_record_of_a_changed_sweep_is_named_too(
    tmp_path: Path, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine(FP32)
    changed = (RATES, "head.bias_lr=7")
    sweep(tmp_path, *changed, *OLD)
    made_older(tmp_path)
    (older,) = studies(tmp_path)
    assert older.startswith("head.weight_lr-")
    machine(BF16)
    with caplog.at_level("WARNING", logger="mcalc"):
        sweep(tmp_path, *changed)
    text = " ".join(record.getMessage() for record in caplog.records)
    caplog.clear()
    with caplog.at_level("WARNING", logger="mcalc"):
        sweep(tmp_path, RATES, "head.bias_lr=8")
    assert "another sweep" not in caplog.text, "that one differs in more"
    assert f"add name={older} {' '.join(OLD)}" in text
    again = sweep(tmp_path, *changed, f"name={older}", *OLD)
    assert {outcome.state for outcome in again} == {"skipped"}


def planned(*arguments: str) -> Plan:
    (plan,) = make_plans(arguments, compose_config, resolved, lambda _: "data")
    return plan


def test_a_list_may_hold_auto(machine: Machine) -> None:
    machine(BF16)
    plan = planned("trainer.precision=auto,fp32")
    found = [
        (t.config.trainer.precision.value, t.config.trainer.channels_last) for t in plan.trials
    ]
    assert found == [("bf16", True), ("fp32", True)]
    assert plan.automatic == ("trainer.channels_last", "augment.place")
    machine(FP32)
    with pytest.raises(UserError, match="same configuration"):
        planned("trainer.precision=auto,fp32")


def test_what_a_row_freezes_decides_too(machine: Machine) -> None:
    machine(BF16)
    plan = planned("backbone.freeze=2,all")
    assert {
        trial.config.backbone.freeze: trial.config.trainer.precision.value for trial in plan.trials
    } == {"2": "bf16", "all": "fp32"}
    for trial in plan.trials:
        assert plan_trial(trial.name, trial.config, trial.fingerprint).key == trial.key


def test_a_head_on_features_is_recorded_in_what_it_is_computed_whatever_is_named(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine(BF16)
    device._say_fp32.cache_clear()
    (named, _), (plain, _) = (
        planned("backbone.freeze=all", "head.weight_lr=1,2", *more).trials
        for more in (("trainer.precision=bf16",), ())
    )
    assert named.config.trainer.precision.value == "fp32"
    assert named.key == plain.key
    assert caplog.text.count("trainer.precision=bf16 has no effect with backbone.freeze=all") == 1
    with pytest.raises(UserError, match="same configuration"):
        planned("backbone.freeze=all", "trainer.precision=fp32,bf16")


def test_a_search_names_values(machine: Machine, tmp_path: Path) -> None:
    search = {"space": {"trainer.precision": ["auto", "fp32"]}, "budget": {"trials": 2}}
    folder = tmp_path / "sweeps"
    folder.mkdir()
    (folder / "kinds.yaml").write_text(json.dumps({"name": "kinds", "description": "-", **search}))
    machine(BF16)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path)
        with pytest.raises(UserError, match="another value on each machine"):
            planned("sweep=kinds")


def test_a_single_trial_is_planned_with_it(tmp_path: Path, machine: Machine) -> None:
    from mcalc.trials.single import run

    machine(FP32)
    config = compose_config(
        [*settings(tmp_path), "data.phantom.lesions=40", "trainer.precision=bf16"]
    )
    with pytest.raises(UserError, match="does not compute in bf16"):
        run(config)
    assert not (tmp_path / "mlruns").exists()


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine whose plans are for a GPU that computes in bf16, as its processor does."""
    monkeypatch.setattr(device, "sees_gpu", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: True)
    return monkeypatch


def test_sweeps_on_the_cpu_have_their_names_and_keys_from_before_there_was_a_place(
    machine: Machine,
) -> None:
    machine(BF16)
    composed = compose_config(["head.bias_lr=7"])
    assert composed.augment.place.value == "auto"
    assert "augment.place" not in settings_as_said(composed)
    assert settings_as_said(composed)["trainer.precision"] == "auto"
    for trial in planned(RATES, "head.bias_lr=7").trials:
        assert trial.config.augment.place.value == "cpu"
        assert "augment.place" not in numeric_settings(trial.config)


def test_where_images_are_augmented_is_planned_and_recorded(
    tmp_path: Path, machine: Machine
) -> None:
    machine(BF16)
    there = ("name=mine", "augment.place=device")
    # the plan runs nothing
    sweep(tmp_path, RATES, *there, "dry_run=true")
    assert not studies(tmp_path)
    assert {outcome.state for outcome in sweep(tmp_path, RATES, *there)} == {"finished"}
    assert {outcome.state for outcome in sweep(tmp_path, RATES, *there)} == {"skipped"}
    assert studies(tmp_path)["mine"].shared["augment.place"] == "device"
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as database:
        query = "SELECT DISTINCT p.value FROM params p WHERE p.key = 'augment.place'"
        assert database.execute(query).fetchall() == [("device",)]
    with pytest.raises(UserError, match=r"augment\.place: device before, cpu now"):
        sweep(tmp_path, RATES, "name=mine")


def test_a_gpu_and_a_machine_without_share_a_sweep_that_names_the_place(
    tmp_path: Path, machine: Machine, with_gpu: pytest.MonkeyPatch
) -> None:
    machine(BF16)
    with_gpu.setattr(device, "sees_gpu", lambda: False)
    sweep(tmp_path, RATES, "name=mine")
    with_gpu.setattr(device, "sees_gpu", lambda: True)
    with pytest.raises(
        UserError,
        match=r"where auto is .*augment\.place=cpu, and here it is .*augment\.place=device: "
        r".* as this one with augment\.place=cpu;",
    ):
        sweep(tmp_path, RATES, "name=mine")
    named = planned(RATES, "augment.place=cpu")
    with_gpu.setattr(device, "sees_gpu", lambda: False)
    assert [trial.key for trial in named.trials] == [trial.key for trial in planned(RATES).trials]


def test_beside_an_older_record_a_gpu_says_how_to_go_on(
    machine: Machine, with_gpu: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine(FP32)
    with_gpu.setattr(device, "sees_gpu", lambda: False)
    recorded = {SHARED: planned(RATES, *OLD).shared}
    with_gpu.setattr(device, "sees_gpu", lambda: True)
    plan = planned(RATES)
    with caplog.at_level("WARNING", logger="mcalc"):
        assert beside_older(plan, recorded).sweep != plan.sweep
    assert f"add {' '.join(OLD)} augment.place=cpu" in caplog.text
    named = planned(RATES, *OLD, "augment.place=cpu")
    assert beside_older(named, recorded).sweep == named.sweep


def test_what_a_row_augments_decides_too(machine: Machine, with_gpu: pytest.MonkeyPatch) -> None:
    machine(BF16)
    plan = planned("augment.enabled=true,false", "backbone.freeze=0,all")
    places = {
        (trial.config.augment.enabled, trial.config.backbone.freeze): (
            trial.config.augment.place.value,
            "augment.place" in numeric_settings(trial.config),
        )
        for trial in plan.trials
    }
    assert places == {
        (True, "0"): ("device", True),
        (False, "0"): ("device", False),
        (True, "all"): ("cpu", False),
        (False, "all"): ("cpu", False),
    }
    for trial in plan.trials:
        assert plan_trial(trial.name, trial.config, trial.fingerprint).key == trial.key
    for given in ("protocol.name=paper,paper_augment_first", "augment=default,none"):
        for trial in planned(given).trials:
            assert plan_trial(trial.name, trial.config, trial.fingerprint).key == trial.key
