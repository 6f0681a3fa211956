"""Kills, full disks, signals and odd surroundings: nothing is lost, doubled or changed.

    python tests/durability/run.py                        everything: 50 kills, seed 0
    python tests/durability/run.py kills=10 seed=7 kill   ten kills alone, others
    python tests/durability/run.py disk signal            two scenarios

Real commands run on real files. First a sweep of six trials that nothing disturbs, then each case
in a folder of its own: what happens to it, the same command again, and a comparison with the
undisturbed record. What is left of a case that ended wrong is kept in `out=` (build/durability).
Exit status 1 where there is any.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from durability import disk, kills, postgres, signals, surroundings, together  # noqa: E402
from durability.instants import STAGES, TRAINING  # noqa: E402
from durability.proof import Result, Undisturbed, kept, undisturbed  # noqa: E402

Cases = Iterator[Callable[[], Result]]


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    scenarios: tuple[str, ...]
    kills: int = 50
    seed: int = 0
    jobs: int = 2
    away: float = 60.0
    """Seconds for which PostgreSQL is stopped."""
    out: Path = Path("build/durability")


def scenarios(options: Options, reference: Undisturbed, folder: Path) -> dict[str, Cases]:
    """The cases of each scenario."""
    return {
        "kill": kills.cases(reference, folder, options.kills, options.seed),
        "signal": signals.cases(reference, folder),
        "disk": disk.cases(reference, folder),
        "together": together.cases(reference, folder),
        "surroundings": surroundings.cases(reference, folder),
        "postgres": postgres.cases(reference, folder, options.away),
    }


NAMES = ("kill", "signal", "disk", "together", "surroundings", "postgres")


def endure(options: Options) -> list[Result]:
    """Run the scenarios, a few cases at once; each result is printed as it comes."""
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    reference = undisturbed(options.out / "undisturbed")
    print(f"undisturbed: six trials in {reference.seconds:.0f} s", flush=True)
    known = scenarios(options, reference, options.out)
    results = []
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = [
            pool.submit(_safely, name, case) for name in options.scenarios for case in known[name]
        ]
        for done in as_completed(waiting):
            result = done.result()
            results.append(result)
            print(line(result), flush=True)
            kept([result], options.out)
    return results


def _safely(scenario: str, case: Callable[[], Result]) -> Result:
    try:
        return case()
    except Exception:
        return Result(scenario, "broke off", (traceback.format_exc(),))


def line(result: Result) -> str:
    """A result in a line or, where it is wrong, a few."""
    how = "WRONG" if result.wrong else "SKIPPED" if result.skipped else "right"
    fell = f" (fell in {result.fell})" if result.fell else ""
    said = f": {result.skipped}" if result.skipped else ""
    return "\n  ".join([f"{how:8}{result.scenario}: {result.case}{fell}{said}", *result.wrong])


def table(results: Sequence[Result]) -> str:
    """Counts by scenario, and where the kills fell."""
    lines = [f"{'scenario':16}{'tried':>8}{'ended right':>14}{'wrong':>8}{'skipped':>9}"]
    for name in (*NAMES, "all"):
        of = [result for result in results if name in (result.scenario, "all")]
        tried = [result for result in of if not result.skipped]
        if of:
            wrong = sum(bool(result.wrong) for result in tried)
            lines.append(
                f"{name:16}{len(tried):>8}{len(tried) - wrong:>14}{wrong:>8}"
                f"{len(of) - len(tried):>9}"
            )
    fell = Counter(result.fell for result in results if result.scenario == "kill")
    if fell:
        lines += ["", f"{'kills fell in':16}{'tried':>8}{'ended right':>14}"]
        for stage in (*STAGES, *(sorted({*fell} - {*STAGES}))):
            of = [each for each in results if each.scenario == "kill" and each.fell == stage]
            if of:
                right = sum(not each.wrong for each in of)
                lines.append(f"{stage or 'unknown':16}{len(of):>8}{right:>14}")
        inside = sum(fell[stage] for stage in TRAINING)
        lines.append(f"{inside} of {fell.total()} kills inside training")
    return "\n".join(lines)


def read_options(arguments: Sequence[str]) -> Options:
    """Options from `key=value` and names of scenarios."""
    given = dict(each.split("=", 1) for each in arguments if "=" in each)
    names = tuple(each for each in arguments if "=" not in each) or NAMES
    if unknown := {*names} - {*NAMES} or {*given} - {"kills", "seed", "jobs", "away", "out"}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))} (scenarios: {', '.join(NAMES)})")
    options = Options(names, jobs=os.cpu_count() or 1)
    numbers = {key: int(given[key]) for key in ("kills", "seed", "jobs") if key in given}
    return replace(
        options,
        **numbers,
        away=float(given.get("away", options.away)),
        out=Path(given.get("out", options.out)).resolve(),
    )


def main(arguments: Sequence[str]) -> int:
    options = read_options(arguments)
    # a shell lets its background jobs ignore Ctrl-C, and what they start inherits that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    results = endure(options)
    seconds = time.monotonic() - began
    print(f"\n{table(results)}\nseed {options.seed}, {seconds:.0f} s")
    for result in results:
        if result.skipped:
            print(f"SKIPPED, so not shown here: {result.scenario}: {result.case}: {result.skipped}")
    if any(result.wrong for result in results):
        print(f"what ended wrong is kept in {options.out}")
        return 1
    shutil.rmtree(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
