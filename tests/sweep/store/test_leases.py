"""Leases on a real SQLite file: one owner, a dead one's work is free, a living one's is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from mcalc.sqlite_file import url_of
from mcalc.sweep.store import leases as module
from mcalc.sweep.store.leases import Lease, Leases, Owner
from mcalc.sweep.store.storage import Storage

HOLD = """
import sys, time
from rich.console import Console
from mcalc.sweep.store.leases import Leases
from mcalc.sweep.store.storage import Storage
with Leases(Storage(sys.argv[1], 5), "study").acquire("work") as held:
    print(type(held).__name__, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.fixture
def leases(url: str) -> Leases:
    return Leases(Storage(url, 5), "study")


def test_work_has_one_owner_until_it_is_released(leases: Leases, url: str) -> None:
    other = Leases(Storage(url, 5), "study")
    with leases.acquire("work") as mine:
        assert isinstance(mine, Lease)
        assert mine.held()
        assert list(leases.owners()) == ["work"]
        with leases.acquire("other work") as second:
            assert isinstance(second, Lease)
        with Leases(other.storage, "another study").acquire("work") as elsewhere:
            assert isinstance(elsewhere, Lease)
    with other.acquire("work") as theirs:
        assert isinstance(theirs, Lease)


def test_a_living_process_keeps_its_lease_and_a_killed_one_loses_it(
    leases: Leases, url: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "Lease\n"
        with leases.acquire("work") as held:
            assert isinstance(held, Owner)
            assert held.process == owner.pid
            assert str(owner.pid) in str(held)
        owner.kill()
    with leases.acquire("work") as held:
        assert isinstance(held, Lease)


def of_another_machine(leases: Leases) -> None:
    """Make the leases that there are look as if another machine had taken them."""
    with leases.storage.engine.begin() as connection:
        connection.execute(text("update mcalc_claims set host = 'elsewhere', boot = 'another'"))


def count_on(leases: Leases) -> None:
    with leases.storage.engine.begin() as connection:
        connection.execute(text("update mcalc_claims set beat = beat + 1"))


def test_a_lease_of_another_machine_is_kept_while_it_beats_and_free_when_it_stops(
    leases: Leases, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALE_SECONDS", 0.5)
    watcher = Leases(Storage(url, 5), "study")
    with leases.acquire("work") as first:
        assert isinstance(first, Lease)
        of_another_machine(leases)
        for _ in range(4):
            with watcher.acquire("work") as held:
                assert isinstance(held, Owner)
                assert held.host == "elsewhere"
            time.sleep(0.3)
            count_on(leases)
        with watcher.acquire("work") as held:
            assert isinstance(held, Owner), "it counted on a moment ago"
        time.sleep(0.7)
        with watcher.acquire("work") as held:
            assert isinstance(held, Lease), "it has not counted on for longer than is allowed"
            # and the first owner, once it wakes up, learns that its lease is gone
            monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0)
            assert not first.held()
        assert first.lost
    with watcher.acquire("work") as held:
        assert isinstance(held, Lease), "what is lost is not released a second time"


def test_the_first_owner_leaves_what_another_took_over_to_it(
    leases: Leases, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALE_SECONDS", 0.1)
    watcher, third = (Leases(Storage(url, 5), "study") for _ in range(2))
    with ExitStack() as until_the_end:
        with leases.acquire("work"):
            of_another_machine(leases)
            with watcher.acquire("work") as held:
                assert isinstance(held, Owner)
            time.sleep(0.3)
            thief = until_the_end.enter_context(watcher.acquire("work"))
            assert isinstance(thief, Lease)
        # the first owner has released its own by now, and nothing else
        of_another_machine(leases)
        with third.acquire("work") as held:
            assert isinstance(held, Owner)
            assert held.token == thief.token


def test_of_two_that_take_over_at_once_one_succeeds(
    leases: Leases, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (Leases(Storage(url, 5), "study") for _ in range(2))
    with ExitStack() as until_the_end:
        until_the_end.enter_context(leases.acquire("work"))
        of_another_machine(leases)
        monkeypatch.setattr(first, "_is_dead", lambda row: True)
        taken = []

        def meanwhile(row: object) -> bool:
            """The second has seen that the owner is dead; the first one is faster."""
            if taken:
                return False
            taken.append(until_the_end.enter_context(first.acquire("work")))
            return True

        monkeypatch.setattr(second, "_is_dead", meanwhile)
        with second.acquire("work") as held:
            assert isinstance(taken[0], Lease)
            assert isinstance(held, Owner)
            assert held.token == taken[0].token


def test_what_this_process_left_behind_is_free(leases: Leases) -> None:
    assert isinstance(leases._take("work"), str)  # and its thread died before it could release it
    with leases.acquire("work") as held:
        assert isinstance(held, Lease)


def test_a_lease_counts_on_while_it_is_held(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.02)
    counted = text("select beat from mcalc_claims where work = 'work'")

    def count() -> int:
        with leases.storage.engine.connect() as connection:
            return int(connection.execute(counted).scalar_one())

    with leases.acquire("work"):
        deadline = time.monotonic() + 60
        while count() < 3:
            assert time.monotonic() < deadline, "the heartbeat stands still"
            time.sleep(0.02)


def test_a_worker_may_be_silent_for_several_heartbeats(leases: Leases, url: str) -> None:
    assert module.STALE_SECONDS >= 3 * module.HEARTBEAT_SECONDS
    watcher = Leases(Storage(url, 5), "study")
    with leases.acquire("work"):
        of_another_machine(leases)
        for _ in range(3):
            with watcher.acquire("work") as held:
                assert isinstance(held, Owner)
            time.sleep(0.05)


def test_in_containers_of_one_name_a_lease_is_free_when_its_heartbeat_stops(
    leases: Leases, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a container's host name and namespace may be those of one on another machine
    monkeypatch.setattr(module, "_pid_namespace", lambda: "pid:[4026532001]")
    monkeypatch.setattr(module, "STALE_SECONDS", 0.2)
    watcher = Leases(Storage(url, 5), "study")
    with leases.acquire("work"):
        with leases.storage.engine.begin() as connection:
            connection.execute(text("update mcalc_claims set boot = 'another machine'"))
        with watcher.acquire("work") as held:
            assert isinstance(held, Owner)
        time.sleep(0.4)
        with watcher.acquire("work") as held:
            assert isinstance(held, Lease)


def test_a_lease_from_before_the_machine_was_started_anew_is_free(
    leases: Leases, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # on a whole machine; in a container, host names may repeat and one has to wait
    monkeypatch.setattr(module, "_pid_namespace", lambda: module._INITIAL_PID_NAMESPACE)
    watcher = Leases(Storage(url, 5), "study")
    with leases.acquire("work"):
        with leases.storage.engine.begin() as connection:
            connection.execute(text("update mcalc_claims set boot = 'before the power cut'"))
        with watcher.acquire("work") as held:
            assert isinstance(held, Lease)


def test_a_copy_of_a_record_does_not_wait_for_its_originals_worker(
    tmp_path: Path, url: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "Lease\n"
        copied = tmp_path / "copied"
        copied.mkdir()
        for file in tmp_path.glob("*.db*"):
            shutil.copy(file, copied)
        (database,) = copied.glob("*.db")
        copy, original = (Leases(Storage(each, 5), "study") for each in (url_of(database), url))
        assert copy.owners() == {}
        with copy.acquire("work") as held:
            assert isinstance(held, Lease)
        with original.acquire("work") as held:
            assert isinstance(held, Owner)
        # a version before wrote no place
        with original.storage.engine.begin() as connection:
            connection.execute(text("delete from mcalc_lease_places"))
        assert list(original.owners()) == ["work"]
        owner.kill()
    assert original.owners() == {}
