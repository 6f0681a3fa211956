"""What was measured to plan is measured again where it may not be true any more."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mcalc.sweep.display.step_times import MeasuredStep, step_time

KIND = ("alexnet", "10")
STEP = MeasuredStep(
    0.25, 1000, True, datetime.now().astimezone().replace(microsecond=0), 0.01, feature_bytes=4096
)


class Measuring:
    """Gives a step, and counts how often it was asked for one."""

    def __init__(self, step: MeasuredStep = STEP) -> None:
        self.step = step
        self.times = 0

    def __call__(self) -> MeasuredStep:
        self.times += 1
        return self.step


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of what is kept, in a cache folder that is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mcalc" / "steps.json"


def test_a_step_is_measured_once_and_kept_as_it_was() -> None:
    assert step_time(KIND, Measuring()) == STEP
    again = Measuring(replace(STEP, seconds=9.0))
    assert step_time(KIND, again) == STEP
    assert again.times == 0


@pytest.mark.parametrize(
    "kind", [("alexnet", "32"), ("squeezenet", "10"), ("alexnet",)], ids=" ".join
)
def test_another_kind_of_step_is_another_one_and_both_are_kept(kind: tuple[str, ...]) -> None:
    other = replace(STEP, seconds=9.0, offered=False)
    step_time(KIND, Measuring())
    assert step_time(kind, Measuring(other)) == other
    assert step_time(KIND, Measuring(other)) == STEP
    assert step_time(kind, Measuring()) == other


def test_what_was_measured_beside_others_is_measured_again() -> None:
    beside = replace(STEP, seconds=9.0, alone=False)
    assert step_time(KIND, Measuring(beside)) == beside
    assert step_time(KIND, Measuring()) == STEP
    assert step_time(KIND, Measuring(beside)) == STEP


def test_another_number_of_threads_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    step_time(KIND, Measuring())
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    again = Measuring()
    step_time(KIND, again)
    assert again.times == 1


@pytest.mark.parametrize(
    ("age", "times"),
    [
        pytest.param(timedelta(days=6, hours=23), 0, id="six days"),
        pytest.param(timedelta(days=7, minutes=1), 1, id="a week"),
        pytest.param(timedelta(hours=-1), 1, id="a clock that was set back"),
    ],
)
def test_a_step_counts_for_a_week(age: timedelta, times: int, place: Path) -> None:
    old = replace(STEP, when=STEP.when - age, seconds=9.0)
    step_time(("other",), Measuring(old))
    step_time(KIND, Measuring(old))
    again = Measuring()
    assert step_time(KIND, again) == (STEP if times else old)
    assert again.times == times
    kept = json.loads(place.read_text(encoding="utf-8"))
    assert len(kept) == (1 if times else 2), "what is too old is removed"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[1]",
        b"3",
        b'{"alexnet": 3}',
        b'{"alexnet": {"seconds": 1}}',
        b'{"alexnet": {"seconds": "x", "network_bytes": 1, "offered": true, "when": "2026-01-01"}}',
        b'{"alexnet": {"seconds": 1, "network_bytes": 1, "offered": true, "when": "yesterday"}}',
        b'{"alexnet": {"seconds": 1, "network_bytes": 1, "offered": 1, "when": "2026-01-01"}}',
    ],
)
def test_a_file_that_is_not_as_it_was_written_counts_for_nothing(
    content: bytes, place: Path
) -> None:
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    assert step_time(KIND, Measuring()) == STEP
    again = Measuring()
    assert step_time(KIND, again) == STEP
    assert again.times == 0, "it was written anew"


def test_without_a_folder_that_can_be_written_each_plan_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    measuring = Measuring()
    assert [step_time(KIND, measuring) for _ in range(2)] == [STEP, STEP]
    assert measuring.times == 2
