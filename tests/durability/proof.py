"""The sweep that every scenario runs, what it must come to, and what a scenario says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import processes
from durability.instants import Instant, Life, watch
from sweep_processes import ROOT, SQUEEZENET

NAME = "proof"
TRIALS = 6
SWEEP = (
    *(each for each in SQUEEZENET if not each.startswith("trainer.max_iterations")),
    "trainer.max_iterations=8",
    # one at every iteration
    "tracking.checkpoint_minutes=0.00001",
    "head.weight_lr=1,10,20",
    "stopping.patience=1,9",
    f"name={NAME}",
)
"""Six trials in three training runs, each of which resumes from a checkpoint."""
REPORT = (f"alexnet={NAME}", "out=report")
MOST_STARTS = 4
"""Commands after the first until it must have ended: one would do, where nothing else happens."""
LONGEST_SECONDS = 600.0
_DRAFT = re.compile(r"^\..*(-[0-9a-f]{12}(-made)?|\.partial)$|^\.draft-")
_starting = threading.Lock()


@dataclass(frozen=True)
class Result:
    """One case of a scenario."""

    scenario: str
    case: str
    wrong: tuple[str, ...] = ()
    """What is not as promised; nothing where it ended right."""
    fell: str = ""
    """The stage in which a process was struck."""
    skipped: str = ""
    """Why it could not be tried."""
    folder: Path | None = None
    """What it left."""


@dataclass(frozen=True)
class LeaseTimes:
    """Times of a worker's lease, in seconds."""

    heartbeat: float
    """Between two signs of life."""
    stale: float
    """Without one, until another worker takes over."""


@dataclass
class Workplace:
    """A folder in which the sweep is started, with its record, cache and temporary files."""

    folder: Path
    further: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    """Variables that the commands do not get."""
    printed: list[str] = field(default_factory=list)
    record_folder: Path | None = None
    aside: Path | None = None
    """Where logs and counts are kept, by default in the folder."""
    limit: int | None = None
    """Bytes that no file of the next command may exceed."""
    leases: LeaseTimes | None = None
    """By default those of mcalc."""

    def __post_init__(self) -> None:
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        self.notes.mkdir(parents=True, exist_ok=True)

    @property
    def notes(self) -> Path:
        return self.aside or self.folder

    @property
    def record(self) -> Path:
        return self.record_folder or self.folder / "mlruns"

    def start(
        self, module: str, *arguments: str, instant: Instant | None = None, life: str = "life"
    ) -> processes.Started:
        given = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.folder / "tmp"),
            **self.environment,
        }
        given = {name: text for name, text in given.items() if name not in self.without}
        before = partial(_before, str(self.notes / life), instant, self.limit, self.leases)
        log = self.notes / f"log-{len(self.printed)}-{life}"
        self.printed.append(log.name)
        # the server of forks is one for all threads
        with _starting:
            return processes.start(
                module, *arguments, folder=self.folder, environment=given, before=before, log=log
            )

    def sweep(self, instant: Instant | None = None, life: str = "life") -> processes.Started:
        return self.start("mcalc.train", "-m", *SWEEP, *self.further, instant=instant, life=life)

    def run(self, module: str, *arguments: str, instant: Instant | None = None) -> tuple[int, str]:
        """Start a command and wait: its exit status, and what it printed."""
        return ended(self.start(module, *arguments, instant=instant))

    def life(self, name: str = "life") -> Life:
        return Life.read(self.notes / name)

    def until_done(self) -> list[str]:
        """Give the sweep's command until it ends well; what is wrong where it does not."""
        status, said = 0, ""
        for _ in range(MOST_STARTS):
            status, said = ended(self.sweep())
            if status == 0:
                return []
            if "Traceback" in said:
                break
        return [f"the same command ended with {status}: {last_line(said)}"]


def _before(
    file: str, instant: Instant | None, limit: int | None, leases: LeaseTimes | None
) -> None:
    """In a new process, before its command: its leases' times, and what watches it."""
    if leases is not None:
        from mcalc.sweep.store import leases as module

        settings: Any = module
        settings.HEARTBEAT_SECONDS, settings.STALE_SECONDS = leases.heartbeat, leases.stale
    watch(file, instant, limit)


def ended(started: processes.Started) -> tuple[int, str]:
    """The exit status of a command and what it printed."""
    try:
        return started.wait(LONGEST_SECONDS), started.stdout
    finally:
        started.kill()


def last_line(said: str) -> str:
    return (said.strip().splitlines() or ["nothing was printed"])[-1]


def settled(place: Workplace, reference: dict[str, Any]) -> list[str]:
    """What a record has that it should not: every trial once, all numbers as undisturbed."""
    options = [each for each in place.further if each.startswith(("tracking.", "storage="))]
    status, said = place.run("mcalc.sweep", "check", *options)
    wrong = []
    if status != 0 or "Optuna and MLflow agree" not in said:
        wrong.append(f"check ended with {status}: {last_line(said)}")
    storage = next((each for each in options if each.startswith("storage=")), "")
    found = facts(place, storage.removeprefix("storage=") or None)
    for part in ("attempts", "runs", "trials"):
        if found.get(part) != reference[part]:
            wrong.append(f"{part}: {_difference(reference[part], found.get(part))}")
    return wrong + leftovers(place)


def leftovers(place: Workplace) -> list[str]:
    """Drafts and checkpoints that nobody needs any more."""
    found = [
        path
        for folder in (place.record, place.folder / ".cache", place.folder / "report")
        for path in folder.rglob(".*")
        if _DRAFT.match(path.name)
    ]
    if (place.record / "checkpoints").is_dir():
        found += (place.record / "checkpoints").iterdir()
    return [f"left over: {path.relative_to(place.folder)}" for path in sorted({*found})]


def _difference(wanted: Any, found: Any, at: str = "") -> str:
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted({*wanted, *found}):
            if wanted.get(key) != found.get(key):
                return _difference(wanted.get(key), found.get(key), f"{at} {key}")
    return f"{at.strip()} is {found!r}, not {wanted!r}"


def facts(place: Workplace, storage: str | None = None) -> dict[str, Any]:
    """What a record says, read by another process."""
    out = place.notes / "facts.json"
    out.unlink(missing_ok=True)
    with _starting:
        process = processes.fork(_write_facts, str(place.record), storage, str(out))
    process.join(LONGEST_SECONDS)
    process.kill()
    if not out.exists():
        return {"read": f"the record could not be read (status {process.exitcode})"}
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def _write_facts(record: str, storage: str | None, out: str) -> None:
    from sweep_processes import attempts, recorded

    from mcalc.config import TrackingConfig
    from mcalc.sqlite_file import url_of
    from mcalc.tracking.reader import read_trials

    made = attempts(storage or url_of(Path(record) / "optuna.db"))
    runs = [run for run in recorded(Path(record)) if not run.superseded]
    trials = {}
    for trial in read_trials(TrackingConfig(dir=record), NAME):
        files = Path(record) / "artifacts" / trial.run_id / "artifacts"
        trials[trial.name] = {
            "key": trial.key,
            "metrics": {k: repr(v) for k, v in trial.metrics.items() if k != "seconds"},
            "steps": [point.iteration for point in trial.curve],
            **{
                name: hashlib.sha256((files / name).read_bytes()).hexdigest()
                for name in ("predictions.csv", "curve.csv")
            },
        }
    found = {
        "attempts": Counter(f"{a.user_attrs['name']}: {a.state.name}" for a in made),
        "runs": Counter(f"{run.name}: {run.state}" for run in runs),
        "trials": trials,
    }
    draft = Path(f"{out}.part")
    draft.write_text(json.dumps(found))
    draft.rename(out)


@dataclass
class Undisturbed:
    """The sweep that nothing disturbs: its record, and what every other one must equal."""

    place: Workplace
    facts: dict[str, Any]
    sweep: Life
    report: Life
    seconds: float
    """From start to end."""
    tables: dict[str, bytes]


def undisturbed(folder: Path) -> Undisturbed:
    """Run it."""
    place = Workplace(folder)
    began = time.monotonic()
    status, said = ended(place.sweep(life="life-sweep"))
    seconds = time.monotonic() - began
    assert status == 0, said
    status, said = ended(place.start("mcalc.report", *REPORT, life="life-report"))
    assert status == 0, said
    found = facts(place)
    assert len(found.get("trials", ())) == TRIALS, found
    reference = Undisturbed(
        place, found, place.life("life-sweep"), place.life("life-report"), seconds, tables(place)
    )
    assert settled(place, found) == []
    return reference


def tables(place: Workplace) -> dict[str, bytes]:
    """The report's tables, by file."""
    return {file.name: file.read_bytes() for file in sorted((place.folder / "report").glob("*.*"))}


def copied(reference: Undisturbed, folder: Path, *parts: str) -> Workplace:
    """A workplace with copies of parts of the undisturbed one: `mlruns`, `.cache`."""
    place = Workplace(folder)
    for part in parts:
        shutil.copytree(reference.place.folder / part, folder / part)
    return place


def kept(results: Sequence[Result], folder: Path) -> None:
    """Remove what the cases left that ended right."""
    wrong = {result.folder for result in results if result.wrong}
    for result in results:
        if result.folder and result.folder not in wrong:
            shutil.rmtree(result.folder, ignore_errors=True)
