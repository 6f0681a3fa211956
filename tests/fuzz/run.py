"""Damaged and hostile inputs of every kind: each ends in an error of ours, or a row of the ledger.

    python tests/fuzz/run.py                          10,000 inputs, seed 0
    python tests/fuzz/run.py count=500 seed=7 dicom   500 of one kind, others

Inputs are whole files after a few mutations, drawn from the seed. A batch of them is read in a
process that has the libraries in memory and may take 1 GB more than it starts with. An input may
take two seconds; one that takes longer is tried once more alone, as the machine may be busy. One
that hangs is killed with its batch, of which the rest is read by another process.

The table says what became of the inputs of each kind. Those that went wrong are kept in `out=`
(by default build/fuzz), with what they did. Exit status 1 where there are any.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

SECONDS = 2.0
MEMORY = 1 << 30
HANG_SECONDS = 30.0
BATCH = 250

FINE = ("read", "refused", "ledger")
WRONG = ("raw error", "slow", "out of memory", "hang", "died")


@dataclass(frozen=True)
class Verdict:
    """What became of one input."""

    number: int
    outcome: str
    detail: str = ""


def verdicts(kind: str, seed: int, numbers: Sequence[int], kept: Path) -> Iterator[Verdict]:
    """Read the inputs of these numbers, in batches; those that go wrong are kept."""
    waiting = list(numbers)
    while waiting:
        done = list(_batch(kind, seed, waiting[:BATCH], kept))
        waiting = waiting[len(done) :]
        for verdict in done:
            if verdict.outcome == "slow":
                (verdict,) = _batch(kind, seed, [verdict.number], kept)
            yield verdict


def _batch(kind: str, seed: int, numbers: Sequence[int], kept: Path) -> Iterator[Verdict]:
    """The verdicts of a batch, up to the one that ended its process."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.touch()
        from processes import fork

        process = fork(_read_batch, kind, seed, numbers, str(kept), folder)
        seen, last = 0, time.monotonic()
        while process.is_alive():
            process.join(0.2)
            lines = log.read_text(errors="replace").count("\n")
            if lines > seen:
                seen, last = lines, time.monotonic()
            elif time.monotonic() - last > HANG_SECONDS:
                process.kill()
                process.join()
        lines = log.read_text(errors="replace").splitlines()
        entries = [line.split("\t") for line in lines]
        yield from (Verdict(int(number), *rest) for number, *rest in entries if rest)
        begun = [int(entry[0]) for entry in entries if len(entry) == 1]
        ended = {int(entry[0]) for entry in entries if len(entry) > 1}
        for number in [each for each in begun if each not in ended]:
            silent = time.monotonic() - last > HANG_SECONDS
            how = "hang" if silent else "died"
            yield Verdict(number, how, f"exit status {process.exitcode}")
        if not begun:
            raise RuntimeError(f"no {kind} was read: the process ended with {process.exitcode}")


def _read_batch(kind: str, seed: int, numbers: Sequence[int], kept: str, folder: str) -> None:
    from fuzz.kinds import KINDS
    from fuzz.mutations import damaged

    os.chdir(folder)
    Path("sweeps").mkdir()
    made = KINDS[kind]
    whole = made.whole()
    for data in whole:
        # so that what is imported late counts to no input, and whole files are read
        outcome, detail = _read(kind, data, Path("warm") / f"up{made.suffix}")
        assert outcome in ("read", "ledger"), f"a whole {kind} is {outcome}: {detail}"
    _limit_memory()
    with Path("log").open("a") as log:
        for number in numbers:
            log.write(f"{number}\n")
            log.flush()
            draw = random.Random(f"{seed} {kind} {number}")
            data = damaged(draw.choice(whole), made.ways, draw)
            file = Path("inputs") / f"n{number}{made.suffix}"
            began = time.monotonic()
            outcome, detail = _read(kind, data, file)
            seconds = time.monotonic() - began
            if seconds > SECONDS and outcome in FINE:
                outcome, detail = "slow", f"{seconds:.1f} s"
            if outcome not in FINE:
                place = Path(kept) / kind
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{seed}-{number}{made.suffix}").write_bytes(data)
            log.write(f"{number}\t{outcome}\t{' '.join(detail.split())[:300]}\n")
            log.flush()


@contextmanager
def _errors_aside() -> Iterator[None]:
    """Nothing that a library prints reaches the table."""
    null = os.open(os.devnull, os.O_WRONLY)
    before = os.dup(2)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(null)


def _read(kind: str, data: bytes, file: Path) -> tuple[str, str]:
    from fuzz.kinds import KINDS

    from mcalc.errors import UserError

    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    ours = (UserError, ValueError) if kind == "checkpoint" else (UserError,)
    try:
        with _errors_aside():
            return ("ledger" if KINDS[kind].read(file) else "read"), ""
    except ours as error:
        return "refused", str(error)
    except MemoryError:
        return "out of memory", traceback.format_exc(limit=-3)
    except BaseException as error:
        return "raw error", f"{type(error).__name__}: {traceback.format_exc(limit=-3)}"
    finally:
        file.unlink(missing_ok=True)


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def table(counts: dict[str, Counter[str]]) -> str:
    """Counts by kind and outcome."""
    heads = (*FINE, *WRONG, "all")
    lines = [f"{'':14}" + "".join(f"{head:>15}" for head in heads)]
    whole: Counter[str] = Counter()
    for kind, count in counts.items():
        whole.update(count)
        cells = [count[head] for head in heads[:-1]]
        lines.append(f"{kind:14}" + "".join(f"{cell:>15}" for cell in (*cells, count.total())))
    cells = [whole[head] for head in heads[:-1]]
    lines.append(f"{'all':14}" + "".join(f"{cell:>15}" for cell in (*cells, whole.total())))
    return "\n".join(lines)


def fuzz(count: int, seed: int, kinds: Sequence[str], kept: Path) -> tuple[str, list[str]]:
    """The table, and a line for each input that went wrong."""
    counts: dict[str, Counter[str]] = {}
    wrong = []
    for place, kind in enumerate(kinds):
        share = range(place, count, len(kinds))
        counts[kind] = Counter()
        for verdict in verdicts(kind, seed, share, kept):
            counts[kind][verdict.outcome] += 1
            if verdict.outcome not in FINE:
                wrong.append(f"{kind} {seed}-{verdict.number}: {verdict.outcome}: {verdict.detail}")
                print(wrong[-1], flush=True)
    return table(counts), wrong


def main(arguments: Sequence[str]) -> int:
    from fuzz.kinds import KINDS

    options = dict(each.split("=", 1) for each in arguments if "=" in each)
    kinds = [each for each in arguments if "=" not in each] or list(KINDS)
    if unknown := {*kinds} - {*KINDS} or {*options} - {"count", "seed", "out"}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))} (kinds: {', '.join(KINDS)})")
    kept = Path(options.get("out", "build/fuzz")).resolve()
    shutil.rmtree(kept, ignore_errors=True)
    began = time.monotonic()
    count, seed = int(options.get("count", 10_000)), int(options.get("seed", 0))
    printed, wrong = fuzz(count, seed, kinds, kept)
    print(f"{printed}\n{count} inputs, seed {seed}, {time.monotonic() - began:.0f} s")
    if wrong:
        print(f"{len(wrong)} went wrong: {kept}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
