"""The short form of `make test-faults`: a few kills, a signal, a full disk, two workers' lease."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from durability import disk, kills, run, signals
from durability.instants import TRAINING
from durability.proof import LeaseTimes, Result, Undisturbed, undisturbed

pytestmark = [pytest.mark.whole, pytest.mark.xdist_group("durability")]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


def right(results: list[Result]) -> list[Result]:
    print(run.table(results))
    assert not [run.line(result) for result in results if result.wrong]
    return results


def test_killed_anywhere_it_ends_with_every_trial_once_and_the_same_numbers(
    reference: Undisturbed, tmp_path: Path
) -> None:
    results = right([case() for case in kills.cases(reference, tmp_path, 2, 2026)])
    assert [result.fell for result in results if result.fell in TRAINING]


def test_a_worker_that_was_taken_over_writes_nothing(
    reference: Undisturbed, tmp_path: Path
) -> None:
    # as mcalc's own: a worker is taken for dead after nine heartbeats
    leases = LeaseTimes(heartbeat=0.5, stale=4.5)
    right([[*signals.cases(reference, tmp_path, leases)][-1]()])


def test_room_is_made_on_a_full_disk_and_the_same_command_ends(
    reference: Undisturbed, tmp_path: Path
) -> None:
    right([next(disk.cases(reference, tmp_path))()])


def test_the_table_counts_what_ended_right_and_where_kills_fell() -> None:
    results = [
        Result("kill", "training 3", fell="training"),
        Result("kill", "artifacts 9", ("lost",), "artifacts"),
        Result("disk", "full", skipped="no disk"),
    ]
    rows = [line.split() for line in run.table(results).splitlines()]
    assert ["kill", "2", "1", "1", "0"] in rows
    assert ["disk", "0", "0", "0", "1"] in rows
    assert ["artifacts", "1", "0"] in rows
    assert "1 of 2 kills inside training" in run.table(results)


def test_fifty_kills_fall_in_every_stage_and_thirty_of_them_in_training() -> None:
    import random

    chosen = kills.stages(50, random.Random(0))
    assert len(chosen) == 50
    assert {*chosen} == {*kills.SHARES}
    assert sum(stage in TRAINING for stage in chosen) >= 30
