"""Line and branch coverage of each package, from `coverage json`: `make coverage` prints it."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

_COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def by_package(report: Path) -> dict[str, list[int]]:
    """The four counts of each package, by its path; modules of the root under `mcalc`."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for name, file in json.loads(report.read_text())["files"].items():
        # two levels: mcalc/data, mcalc/sweep, ...
        package = "/".join(Path(name).parent.parts[:2])
        for place, count in enumerate(_COUNTS):
            counts[package][place] += file["summary"][count]
    return dict(sorted(counts.items()))


def main() -> None:
    print(f"{'package':34} {'lines':>14} {'branches':>14}")
    for package, (lines, all_lines, branches, all_branches) in by_package(
        Path(sys.argv[1])
    ).items():
        print(
            f"{package:34} {100 * lines / max(all_lines, 1):6.1f}% of {all_lines:5} "
            f"{100 * branches / max(all_branches, 1):5.1f}% of {all_branches:4}"
        )


if __name__ == "__main__":
    main()
