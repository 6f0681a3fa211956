"""Four sweeps at once on one cache, one study and one record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from durability.proof import Result, Undisturbed, Workplace, ended, last_line, settled

WORKERS = 4


def cases(reference: Undisturbed, folder: Path) -> Iterator[Callable[[], Result]]:
    """Nothing disturbs them; and one of them is killed."""
    yield partial(_together, reference, folder / "together", kill=False)
    yield partial(_together, reference, folder / "together-killed", kill=True)


def _together(reference: Undisturbed, folder: Path, *, kill: bool) -> Result:
    place = Workplace(folder)
    workers = [place.sweep(life=f"worker-{number}") for number in range(WORKERS)]
    if kill:
        victim = workers.pop()
        while place.life(f"worker-{WORKERS - 1}").stage in ("", "start-up"):
            if victim.poll() is not None:
                break
            victim.process.join(0.05)
        victim.process.join(reference.seconds / 4)
        victim.kill()
    wrong = []
    for number, worker in enumerate(workers):
        status, said = ended(worker)
        if status != 0 or "Traceback" in said:
            wrong.append(f"worker {number} ended with {status}: {last_line(said)}")
    wrong += settled(place, reference.facts)
    case = f"{WORKERS} sweeps on one cache, study and record"
    return Result(
        "together", case + (", one is killed" if kill else ""), tuple(wrong), folder=folder
    )
