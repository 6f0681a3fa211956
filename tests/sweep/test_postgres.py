"""Several workers on one study in a real PostgreSQL: killed workers, a server that goes away."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from optuna import get_all_study_names
from optuna.trial import TrialState
from servers import free_port
from sqlalchemy.engine import make_url
from sweep_processes import at_work, attempts, recorded, running, start, wait_for

from mcalc.errors import UserError
from mcalc.retry import UnreachableError
from mcalc.sweep.__main__ import main
from mcalc.sweep.store.storage import Storage

pytestmark = [pytest.mark.slow, pytest.mark.distributed, pytest.mark.xdist_group("postgres")]

PASSWORD = "hunter2-not-for-logs"


def programs() -> Path | None:
    """Where Debian, or the PATH, has PostgreSQL's server programs; the newest."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    found += [Path(on_path).parent] if on_path else []
    return max(found, key=lambda path: path.parent.name, default=None)


class Server:
    """A PostgreSQL of its own, in a folder of its own, on a free port, with a password."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.folder = folder
        # it refuses to run as root
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(folder, self.user)
        self.port = free_port()
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", self.data, "-U", "mcalc", "-A", "scram-sha-256",
                  f"--pwfile={secret}", "-N")  # fmt: skip
        for _ in range(3):
            try:
                self.start()
                return
            except AssertionError:
                self.port = free_port()  # another process may have taken the port
        self.start()

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            user=self.user if os.geteuid() == 0 else None,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", self.data, "-o", options, "-l", f"{self.data}/log", "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")

    def url(self, name: str = "postgres") -> str:
        return f"postgresql+psycopg://mcalc:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def database(self, name: str) -> str:
        """The address of a new database."""
        plain = self.url().replace("+psycopg", "")
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed here: `apt-get install postgresql`")
    # not below pytest's folder, which only its owner may enter
    folder = Path(tempfile.mkdtemp(prefix="mcalc-postgres-"))
    made = Server(found, folder)
    try:
        yield made
    finally:
        subprocess.run(
            [str(found / "pg_ctl"), "-D", made.data, "-m", "immediate", "stop"],
            user=made.user if os.geteuid() == 0 else None,
            cwd=folder,
            capture_output=True,
        )
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"data.cache={tmp_path_factory.mktemp('cache')}"


def check(storage: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `python -m mcalc.sweep check` prints; the stores must agree."""
    status = main(["check", f"storage={storage}", f"tracking.dir={runs}"])
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert "Optuna and MLflow agree" in printed
    return printed


def every_trial_is_done_once(storage: str, runs: Path, trials: int) -> None:
    made = attempts(storage)
    assert [attempt.state for attempt in made] == [TrialState.COMPLETE] * trials
    assert len({attempt.user_attrs["key"] for attempt in made}) == trials
    finished = Counter(run.key for run in recorded(runs) if run.state == "finished")
    assert dict(finished) == {attempt.user_attrs["key"]: 1 for attempt in made}
    assert {run.state for run in recorded(runs)} == {"finished"}


def test_three_workers_share_a_sweep_and_one_is_killed(
    server: Server, tmp_path: Path, cache: str, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = server.database("three")
    arguments = (
        "head.weight_lr=1,10",
        "seed=0,1",
        "trainer.max_iterations=16",
        f"storage={storage}",
        f"tracking.dir={tmp_path / 'runs'}",
        cache,
    )
    workers = [start(*arguments, log=tmp_path / f"{i}.log") for i in range(3)]
    wait_for(lambda: len(set(at_work(storage).values())) == 3, *workers)
    wait_for(lambda: len(running(storage)) >= 3, *workers)
    victim = workers[1]
    assert victim.process.pid in at_work(storage).values()
    victim.process.kill()
    assert victim.ended() == -signal.SIGKILL
    for worker in (workers[0], workers[2]):
        assert worker.ended() == 0, worker.printed()
        assert PASSWORD not in worker.printed()
    every_trial_is_done_once(storage, tmp_path / "runs", 4)
    assert at_work(storage) == {}
    assert "4 complete" in check(storage, tmp_path / "runs", capsys)
    # one of them was begun by the worker that was killed, and resumed by another
    assert sum("resumed" in attempt.user_attrs for attempt in attempts(storage)) == 1
    configs = list((tmp_path / "runs" / "artifacts").rglob("config.yaml"))
    assert len(configs) == 4
    for file in configs:
        assert PASSWORD not in file.read_text()
        assert "mcalc:***@127.0.0.1" in file.read_text()


def test_workers_that_share_a_store_stop_when_told_and_go_on_after_resume(
    server: Server, tmp_path: Path, cache: str, capsys: pytest.CaptureFixture[str]
) -> None:
    storage, runs = server.database("told"), tmp_path / "runs"
    arguments = (
        "head.weight_lr=1,10", "seed=0,1", "name=mine", "trainer.max_iterations=16",
        f"storage={storage}", f"tracking.dir={runs}", cache,
    )  # fmt: skip
    told = [f"storage={storage}", f"tracking.dir={runs}"]
    workers = [start(*arguments, log=tmp_path / f"{i}.log") for i in range(2)]
    wait_for(lambda: len(set(at_work(storage).values())) == 2, *workers)
    wait_for(lambda: len(running(storage)) == 2, *workers)
    assert main(["cancel", "mine", *told]) == 0
    for worker in workers:
        assert worker.ended() == 2, worker.printed()
        assert "cancelled" in worker.printed()
        assert PASSWORD not in worker.printed()
    assert sum(a.state is TrialState.COMPLETE for a in attempts(storage)) < 4
    assert at_work(storage) == {}
    assert main(["check", *told]) == 0
    late = start(*arguments, log=tmp_path / "late.log")
    assert late.ended() == 2
    assert "is cancelled" in late.printed()
    assert main(["resume", "mine", *told]) == 0
    again = start(*arguments, log=tmp_path / "again.log")
    assert again.ended() == 0, again.printed()
    assert "4 complete" in check(storage, runs, capsys)
    finished = Counter(run.key for run in recorded(runs) if run.state == "finished")
    assert sorted(finished.values()) == [1] * 4


def asked(server: Server, name: str, query: str) -> list[str]:
    """The one column that a query of a database gives."""
    with psycopg.connect(server.url(name).replace("+psycopg", "")) as connection:
        return [str(value) for (value,) in connection.execute(query)]


def test_a_launchers_jobs_lie_in_the_store_and_its_password_nowhere(
    server: Server, tmp_path: Path, cache: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither printed nor in a store, a log, or what a launcher writes for its jobs.

    Submitit writes most for them. The password is among the address's parameters, where fewer look
    for one.
    """
    name, runs = "jobs", tmp_path / "runs"
    server.database(name)
    storage = (
        f"postgresql+psycopg:///{name}?host=127.0.0.1&port={server.port}&user=mcalc"
        f"&password={PASSWORD}"
    )
    worker = start(
        "head.weight_lr=1,10",
        f"storage={storage}",
        f"tracking.dir={runs}",
        cache,
        "hydra/launcher=submitit_local",
        log=tmp_path / "log",
    )
    wait_for(lambda: at_work(storage) and running(storage), worker)
    plans = asked(server, name, "SELECT plan FROM mcalc_jobs")
    (during,) = asked(server, name, "SELECT database_to_xml(true, false, '')")
    assert worker.ended() == 0, worker.printed()
    assert sum('"head.weight_lr": 10.0' in plan for plan in plans) == 1
    assert "mcalc_jobs" in during
    every_trial_is_done_once(storage, runs, 2)
    check(storage, runs, capsys)
    assert asked(server, name, "SELECT plan FROM mcalc_jobs") == []
    assert len(list((runs / "logs").glob("*.log"))) == 2
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 20
    assert [file for file in files if PASSWORD.encode() in file.read_bytes()] == []
    (after,) = asked(server, name, "SELECT database_to_xml(true, false, '')")
    assert PASSWORD not in during + after


def test_a_server_that_stays_away_ends_the_sweep_and_one_that_comes_back_does_not(
    server: Server, tmp_path: Path, cache: str, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = server.database("away")
    arguments = (
        "head.weight_lr=1,10",
        f"storage={storage}",
        f"tracking.dir={tmp_path / 'runs'}",
        cache,
    )
    first = start(*arguments, "storage_wait=2", log=tmp_path / "first.log")
    wait_for(lambda: at_work(storage) and running(storage), first)
    server.stop()
    try:
        status = first.ended()
    finally:
        server.start()
    printed = first.printed()
    assert status == 2, printed
    assert printed.count("error: ") == 1
    assert "nothing recorded is lost" in printed
    assert "Traceback" not in printed
    assert {run.state for run in recorded(tmp_path / "runs")} <= {"running", "finished"}
    assert TrialState.FAIL not in {attempt.state for attempt in attempts(storage)}

    second = start(*arguments, "storage_wait=60", log=tmp_path / "second.log")
    wait_for(lambda: at_work(storage) and running(storage), second)
    server.stop()
    try:
        wait_for(lambda: "cannot be reached" in second.printed(), second)
    finally:
        server.start()
    assert second.ended() == 0, second.printed()
    assert PASSWORD not in printed + second.printed()
    every_trial_is_done_once(storage, tmp_path / "runs", 2)
    check(storage, tmp_path / "runs", capsys)


def test_once_a_store_has_answered_a_refusal_is_waited_for_too(server: Server) -> None:
    storage = Storage(server.database("brief"), 60)
    plain = server.url().replace("+psycopg", "")

    def rename(before: str, now: str) -> None:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [before],
            )
            connection.execute(f"ALTER DATABASE {before} RENAME TO {now}")

    rename("brief", "aside")
    back = threading.Timer(1.5, rename, ("aside", "brief"))
    back.start()
    assert get_all_study_names(storage.optuna) == []
    back.join()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "wrong-" + PASSWORD}, "password authentication failed"),
        ({"database": "nowhere"}, "does not exist"),
        ({"host": "no-such-host.invalid"}, "host"),
    ],
)
def test_a_wrong_address_is_refused_at_once_in_one_sentence(
    server: Server, wrong: dict[str, str], said: str
) -> None:
    address = make_url(server.url()).set(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=said) as caught:
        Storage(address.render_as_string(hide_password=False), 60)
    assert not isinstance(caught.value, UnreachableError), "it was waited for"
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_closed_port_is_waited_for_and_named(server: Server) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = make_url(server.url()).set(port=probe.getsockname()[1])
        with pytest.raises(UnreachableError, match="could not be reached") as caught:
            Storage(closed.render_as_string(hide_password=False), 1)
    assert PASSWORD not in str(caught.value)


def test_an_invalid_address_is_answered_without_its_password() -> None:
    with pytest.raises(UserError, match="not an address of a database") as caught:
        Storage(f"postgresql+psycopg://mcalc:{PASSWORD}@host:port/name", 1)
    assert PASSWORD not in str(caught.value)
