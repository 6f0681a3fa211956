"""A tracking server that goes away: nothing is lost, and what it did not take is sent later."""

from __future__ import annotations

import base64
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import fmean
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import engine
import processes
import pytest
from mlflow.tracking import MlflowClient
from servers import served, tracking_server
from small_record import CURVE, PREDICTIONS, record
from sweep_processes import SMALL

from mcalc.config import PlannedTrial, TrackingConfig
from mcalc.errors import UserError
from mcalc.results import SUPERSEDED_TAG
from mcalc.retry import UnreachableError
from mcalc.sweep.__main__ import main as sweep_command
from mcalc.tracking import run_writer
from mcalc.tracking.files import CURVE_FILE
from mcalc.tracking.names import BASELINES_TAG
from mcalc.tracking.reader import read_trials
from mcalc.tracking.tracker import Tracker

pytestmark = [pytest.mark.whole, pytest.mark.xdist_group("tracking server")]


class Road:
    """The way to a server, which can be closed: connections are refused, and those open are cut."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.left = -1
        """Connections that still pass; -1 for all."""
        self._passing: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.open(0)

    def open(self, connections: int = -1) -> None:
        self.left = connections
        for each in self._passing:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._passing.clear()

    def end(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                if not self.left:
                    connection.close()
                    continue
                self.left -= self.left > 0
                self._passing.append(connection)
                threading.Thread(target=self._pass, args=(connection,), daemon=True).start()

    def _pass(self, connection: socket.socket) -> None:
        there = ("127.0.0.1", self.port)
        with suppress(OSError), connection, socket.create_connection(there) as server:
            back = threading.Thread(target=_pipe, args=(server, connection), daemon=True)
            back.start()
            _pipe(connection, server)
            back.join()


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with tracking_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def road(server: str) -> Iterator[Road]:
    road = Road(int(server.rsplit(":", 1)[1]))
    yield road
    road.end()


def on_server(server: str, experiment: str) -> dict[str, tuple[str, dict[str, float]]]:
    """Status and metrics by name of every run of an experiment."""
    client = MlflowClient(tracking_uri=server)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {run.info.run_name: (run.info.status, dict(run.data.metrics)) for run in runs}


def read(server: str, experiment: str) -> None:
    """Every finished trial's files are those of `record`."""
    trials = read_trials(TrackingConfig(uri=server, experiment=experiment))
    assert trials
    for trial in trials:
        assert trial.predictions.ids == PREDICTIONS.ids
        assert trial.curve == CURVE


def test_a_server_that_is_away_for_a_while_has_everything_afterwards(
    server: str, road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # each point is sent at once, as those are that come seconds apart
    monkeypatch.setattr(run_writer, "_FLUSH_SECONDS", 0.0)
    tracker = Tracker(tmp_path, "for a while", road.address, 60)
    run = tracker.open_trial("one", "k1", {"head.weight_lr": 10.0}, {}, None)
    road.close()
    for point in CURVE:
        run.point(point)
    threading.Timer(3, road.open).start()
    run.table(PREDICTIONS)
    run.curve(CURVE)
    run.finish({"accuracy": 0.5}, {})
    assert not (tmp_path / "unsent").exists()
    (found,) = on_server(server, "for a while").values()
    assert found[0] == "FINISHED"
    assert found[1]["result/accuracy"] == 0.5
    history = MlflowClient(tracking_uri=server).get_metric_history(run.run_id, "training/val_loss")
    assert [(each.step, each.value) for each in history] == [
        (point.iteration, point.val_loss) for point in CURVE
    ]


def test_what_a_server_did_not_take_is_kept_and_sent_once(
    server: str, road: Road, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Tracker(tmp_path, "for good", road.address, 0.5)
    begun = tracker.open_trial("begun", "k1", {"head.weight_lr": 10.0}, {"t": "1"}, "parent")
    begun.text("settings", "config.yaml")
    road.close()
    for point in CURVE:
        begun.point(point)
    begun.table(PREDICTIONS)
    begun.curve(CURVE)
    begun.finish({"accuracy": 2 / 3}, {})
    assert "unsent" in caplog.text
    record(tracker, "never begun", "k2", "parent")
    assert "mcalc.sweep send" in caplog.text
    # known here though the server knows nothing of it
    kept = tracker.run(begun.run_id)
    assert kept is not None
    assert (kept.state, kept.metrics["accuracy"]) == ("finished", 2 / 3)
    with pytest.raises(UnreachableError):
        list(tracker.send())
    road.open()
    assert {run.name: run.state for run in tracker.runs_of("parent")} == {
        "begun": "finished",
        "never begun": "finished",
    }
    assert tracker.finished("k2", "parent") is not None
    # cut off in the middle
    for seconds in (0.05, 0.2, 0.4):
        road.open()
        closing = threading.Timer(seconds, road.close)
        closing.start()
        with suppress(UnreachableError):
            list(tracker.send())
        closing.join()
    road.open()
    later = Tracker(tmp_path, "for good", road.address, 5)
    list(later.send())
    assert list(later.send()) == []
    found = on_server(server, "for good")
    assert {name: status for name, (status, _) in found.items()} == {
        "begun": "FINISHED",
        "never begun": "FINISHED",
    }
    assert all(metrics["result/accuracy"] == 2 / 3 for _, metrics in found.values())
    read(server, "for good")
    assert later.run(begun.run_id) is not None
    assert len(later.runs_of("parent")) == 2


def test_a_server_that_was_never_there_is_said_after_the_wait(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"http://127.0.0.1:{port} could not be reached"):
        Tracker(tmp_path, "mcalc", f"http://127.0.0.1:{port}", 0.5)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("localhost:5000", "did you mean http://localhost:5000"),
        ("file:///tmp/x", "expected http://HOST:PORT"),
        ("file://", "expected http://HOST:PORT"),
        ("mlruns", "expected http://HOST:PORT"),
        ("http://", "expected http://HOST:PORT"),
        ("databricks", "expected http://HOST:PORT"),
    ],
)
def test_other_addresses_are_said(tmp_path: Path, uri: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Tracker(tmp_path, "mcalc", uri, 1)
    with pytest.raises(UserError, match=said):
        read_trials(TrackingConfig(dir=str(tmp_path), uri=uri))


def test_a_deleted_experiment_and_another_server_are_said(server: str, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri=server)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(UserError, match="was deleted"):
        Tracker(tmp_path, "gone", server, 1)
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]
    with (
        served(lambda port: [*command, str(port)], tmp_path) as (address, _),
        pytest.raises(UserError, match=r"refuses \(.*40"),
    ):
        Tracker(tmp_path, "mcalc", address, 1)


class _Guard(BaseHTTPRequestHandler):
    """Passes on what names the user and the password, and refuses all else, as a proxy does."""

    protocol_version = "HTTP/1.1"
    server_address = ""
    expected = "Basic " + base64.b64encode(b"ann:cAn4ry").decode()

    def _pass_on(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if self.headers.get("Authorization") != self.expected:
            self._answer(401, b"who is there?", "text/plain")
            return
        kept = {k: v for k, v in self.headers.items() if k in ("Content-Type", "Accept")}
        address = f"{self.server_address}{self.path}"
        asked = Request(address, body or None, kept, method=self.command)
        try:
            with urlopen(asked) as answer:
                self._answer(answer.status, answer.read(), answer.headers.get_content_type())
        except HTTPError as error:
            self._answer(error.code, error.read(), "application/json")

    def _answer(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def guarded(server: str) -> Iterator[str]:
    """A server behind a proxy that asks for a password."""
    handler = type("Handler", (_Guard,), {"server_address": server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()


def test_a_password_of_the_environment_opens_a_server(
    guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "cAn4ry")
    record(Tracker(tmp_path, "guarded", guarded, 5), "one", "k1", None)
    read(guarded, "guarded")
    for wrong in ("cAn4ryX", ""):
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", wrong)
        with pytest.raises(UserError, match="check MLFLOW_TRACKING_USERNAME") as refused:
            Tracker(tmp_path / "other", "guarded", guarded, 5)
        assert "cAn4ry" not in str(refused.value)
        with pytest.raises(UserError, match="check MLFLOW_TRACKING_USERNAME"):
            read_trials(TrackingConfig(uri=guarded, experiment="guarded"))


def test_a_trial_on_a_server_is_run_again_and_compared(server: str, tmp_path: Path) -> None:
    there = [f"tracking.uri={server}", "tracking.experiment=again", f"data.cache={tmp_path / 'c'}"]
    trained = processes.run("mcalc.train", *SMALL, *there, "name=mine", folder=tmp_path)
    assert trained.returncode == 0, trained.stderr
    again = processes.run("mcalc.train", "from_run=mine", *there, folder=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("again")
    new, old = client.search_runs([experiment.experiment_id], order_by=["start_time DESC"])
    assert new.data.tags["mcalc.from_run"] == old.info.run_id
    assert new.data.tags["mcalc.same_as_from_run"] == "true"
    # a number that somebody changed on the server
    client.log_metric(old.info.run_id, "result/accuracy", 0.123)
    changed = processes.run("mcalc.train", "from_run=mine", *there, folder=tmp_path)
    assert changed.returncode == 1, changed.stdout + changed.stderr
    assert "accuracy" in changed.stdout


@pytest.mark.parametrize(
    ("steps", "begun"),
    [
        ("check more check send check more check again check", 3 + 3),
        ("again check send check more check", 2 + 2 + 1),
    ],
)
def test_a_sweep_goes_on_and_is_checked_before_and_after_what_was_kept_is_sent(
    steps: str,
    begun: int,
    server: str,
    road: Road,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A study knows a kept trial by the id that it had first: on the server, or on this machine."""

    def at(instant: engine.Instant, trial: PlannedTrial, place: str) -> None:
        if place == "began":
            road.close()  # the first is open there then, the second never begins there

    experiment = f"either {begun}"
    there = [
        f"tracking.uri={road.address}",
        f"tracking.experiment={experiment}",
        "storage_wait=0.5",
    ]
    words = [*there, f"tracking.dir={tmp_path / 'mlruns'}"]
    log = tmp_path / "log"

    def sweep(*asked: str) -> None:
        instant = engine.Instant(log, files=True)
        engine.sweep(tmp_path, *there, *asked, "name=either", instant=instant)

    with monkeypatch.context() as away:
        away.setattr(engine.Instant, "_at", at)
        sweep("head.weight_lr=1,2")
    road.open()
    rates = "1,2"
    for what in steps.split():
        if what in ("check", "send"):
            capsys.readouterr()
            assert sweep_command([what, *words]) == 0, capsys.readouterr()
            continue
        rates = "1,2,3" if what == "more" else rates
        sweep(f"head.weight_lr={rates}", *(["rerun=true"] if what == "again" else []))
    assert len(log.read_text().splitlines()) == begun
    client = MlflowClient(tracking_uri=server)
    found = client.get_experiment_by_name(experiment)
    trials = client.search_runs([found.experiment_id], "tags.`mcalc.kind` = 'trial'")
    counting = [each for each in trials if SUPERSEDED_TAG not in each.data.tags]
    names = sorted((each.info.run_name, each.info.status) for each in counting)
    assert names == [(f"head.weight_lr={rate}", "FINISHED") for rate in (1, 2, 3)]
    for trial in counting:
        assert {each.path for each in client.list_artifacts(trial.info.run_id)} >= {CURVE_FILE}


def test_scores_without_an_image_are_not_fetched_trial_by_trial(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def fetch(client: MlflowClient, run_id: str, path: str, place: str | None = None) -> str:
        fetched.append(run_id)
        return download(client, run_id, path, place)

    download = MlflowClient.download_artifacts
    monkeypatch.setattr(MlflowClient, "download_artifacts", fetch)
    there = [f"tracking.uri={server}", "tracking.experiment=means", "name=means"]
    instant = engine.Instant(tmp_path / "log", baselines=True)
    engine.sweep(tmp_path, *there, "head.weight_lr=1,2", instant=instant)
    engine.sweep(tmp_path, *there, "head.weight_lr=1,2,3", instant=instant)
    recorded = on_server(server, "means")
    mean = fmean(
        metrics["result/accuracy"] for name, (_, metrics) in recorded.items() if name != "means"
    )
    assert recorded["means"][1]["without_image/size_auc"] == mean
    assert not fetched
    # as an earlier version recorded them
    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("means")
    for run in client.search_runs([experiment.experiment_id]):
        if BASELINES_TAG in run.data.tags:
            client.delete_tag(run.info.run_id, BASELINES_TAG)
    engine.sweep(tmp_path, *there, "head.weight_lr=1,2,3,4", instant=instant)
    recorded = on_server(server, "means")
    mean = fmean(
        metrics["result/accuracy"] for name, (_, metrics) in recorded.items() if name != "means"
    )
    assert recorded["means"][1]["without_image/size_auc"] == mean
    assert len(fetched) == 3


def test_a_sweep_on_a_server_is_removed(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = [f"tracking.uri={server}", "tracking.experiment=removed"]
    for name in ("mine", "other"):
        engine.sweep(tmp_path, *there, "head.weight_lr=1,2", f"name={name}")
    words = [*there, f"tracking.dir={tmp_path / 'mlruns'}"]
    assert sweep_command(["remove", "mine", "confirm=true", *words]) == 0
    names = set(on_server(server, "removed"))
    assert names == {"other", "head.weight_lr=1", "head.weight_lr=2"}
    assert sweep_command(["check", "other", *words]) == 0
    with pytest.raises(SystemExit):
        sweep_command(["check", "mine", *words])
    capsys.readouterr()
    # the name is free
    engine.sweep(tmp_path, *there, "head.weight_lr=1,2", "name=mine")
    assert sweep_command(["check", *words]) == 0
    assert "mine: 2 complete" in capsys.readouterr().out
