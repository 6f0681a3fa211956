"""Kills at seeded instants over the whole life of a sweep and of its report.

Most fall on the n-th event of a stage or a few milliseconds after it, so that every stage is hit;
the rest at a moment of the undisturbed run's time. Afterwards the same command is given again.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from durability.instants import STAGES, Instant
from durability.proof import (
    REPORT,
    Result,
    Undisturbed,
    Workplace,
    copied,
    ended,
    last_line,
    settled,
    tables,
)

SHARES = {
    "training": 15, "validation": 9, "checkpoint": 9, "Optuna": 2, "MLflow": 3, "artifacts": 3,
    "start-up": 1, "tables": 2, "data": 2, "report": 2, "": 2,
}  # fmt: skip
"""Kills of fifty by stage; the last are timed."""
_LONGEST_DELAY = 0.08
"""Seconds after an event: about what a step, an evaluation or a checkpoint takes."""


def stages(count: int, draw: random.Random) -> list[str]:
    """The stage of each kill, in the shares above, in an order of its own."""
    whole = sum(SHARES.values())
    owed = [(stage, count * share / whole) for stage, share in SHARES.items()]
    chosen = [stage for stage, number in owed for _ in range(int(number))]
    rest = sorted(owed, key=lambda each: int(each[1]) - each[1])
    chosen += [stage for stage, _ in rest][: count - len(chosen)]
    draw.shuffle(chosen)
    return chosen


def cases(
    reference: Undisturbed, folder: Path, count: int, seed: int
) -> Iterator[Callable[[], Result]]:
    """The kills, each to be called."""
    for number, stage in enumerate(stages(count, random.Random(f"{seed} stages"))):
        draw = random.Random(f"{seed} {number}")
        place = folder / f"kill-{number}"
        if not stage:
            after = draw.uniform(0.0, reference.seconds)
            yield _case(_timed, reference, place, after)
            continue
        life = reference.report if stage == "report" else reference.sweep
        events = draw.randint(1, max(1, life.counts[stage]))
        # half of them between two events: amid a step, a write or a commit; imports are too quick
        amid = draw.random() < 0.5 and stage != "start-up"
        delay = draw.uniform(0.0, _LONGEST_DELAY) if amid else 0.0
        instant = Instant(stage, events, delay)
        yield _case(_in_report if stage == "report" else _in_sweep, reference, place, instant)


def _case(run: Callable[..., Result], *arguments: object) -> Callable[[], Result]:
    return lambda: run(*arguments)


def _in_sweep(reference: Undisturbed, folder: Path, instant: Instant) -> Result:
    # the data is made once more where its making is what is killed
    early = instant.stage in ("start-up", "tables", "data")
    place = copied(reference, folder, *(() if early else (".cache",)))
    status, said = ended(place.sweep(instant))
    return _after(reference, place, str(instant), status, said)


def _timed(reference: Undisturbed, folder: Path, after: float) -> Result:
    place = Workplace(folder)
    started = place.sweep()
    until = time.monotonic() + after
    while time.monotonic() < until and started.poll() is None:
        time.sleep(0.005)
    started.kill()
    status, said = ended(started)
    return _after(reference, place, f"after {after:.2f} s", status, said)


def _after(reference: Undisturbed, place: Workplace, case: str, status: int, said: str) -> Result:
    fell = place.life().stage or STAGES[0]
    wrong = []
    if status == 0:
        fell = "ended before"
    elif status != -signal.SIGKILL:
        wrong.append(f"ended with {status} before it was killed: {last_line(said)}")
    wrong += place.until_done() or settled(place, reference.facts)
    return Result("kill", case, tuple(wrong), fell, folder=place.folder)


def _in_report(reference: Undisturbed, folder: Path, instant: Instant) -> Result:
    place = copied(reference, folder, "mlruns")
    status, said = place.run("mcalc.report", *REPORT, instant=instant)
    wrong = []
    if status != -signal.SIGKILL:
        wrong.append(f"the report ended with {status}: {last_line(said)}")
    fell = place.life().stage
    status, said = place.run("mcalc.report", *REPORT)
    if status != 0:
        wrong.append(f"the report, again, ended with {status}: {last_line(said)}")
    elif tables(place) != reference.tables:
        other = [name for name, text in reference.tables.items() if tables(place)[name] != text]
        wrong.append(f"the report is another one: {', '.join(other)}")
    wrong += settled(place, reference.facts)
    return replace(Result("kill", str(instant), tuple(wrong), fell), folder=place.folder)
