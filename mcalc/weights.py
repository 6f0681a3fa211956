"""`python -m mcalc.weights`: read a file of weights, say what is in it, and write it as `.npz`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mcalc.atomic_write import refused_as, write_binary
from mcalc.command_line import run_command
from mcalc.config import NPZ_SUFFIX, Line
from mcalc.errors import UserError
from mcalc.leaving import run_as_program
from mcalc.models import weight_path
from mcalc.plain_file import kind_of

if TYPE_CHECKING:
    from torch import Tensor

    from mcalc.models.weights import Loaded


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status."""
    return run_command("weights", arguments)


def run(line: Line) -> int:
    """Check the file that `backbone.weights` names, print what it holds and convert it.

    Raises UserError where it names no file, for a file as training does, and where the new file
    cannot be written.
    """
    config = line.config().backbone
    path = weight_path(config.weights, config.name)
    target: Path | None = line.words["to"]
    if path is None:
        raise UserError(
            "backbone.weights=PATH names the file to read, as in backbone=alexnet_bvlc "
            "backbone.weights=bvlc_alexnet.caffemodel to=alexnet_bvlc.npz"
        )
    if target is not None:
        _check_target(target, path)
    # late: PyTorch
    from mcalc.models import find_backbone
    from mcalc.models.published_weights import digests
    from mcalc.models.weights import load_file

    entry = find_backbone(config.name)
    if target is not None and entry.npz_key is None:
        raise UserError(
            f"to={target}: backbone={config.name} reads no {NPZ_SUFFIX} files, so none is written: "
            "omit to="
        )
    model = entry.build()
    loaded = load_file(model, path, npz_key=entry.npz_key, optional=entry.optional)
    key = entry.npz_key or str
    state = {name: value for name, value in model.state_dict().items() if name in loaded.entries}
    digest, known = digests(path)
    print(f"{path}: {loaded.what}")
    print(f"SHA-256 {digest}: {known}")
    print("", *_table(state, key, loaded), "", sep="\n")
    total = sum(value.numel() for value in state.values())
    print(f"{len(state)} arrays of {total:,} finite numbers: all of backbone={config.name}")
    for each in loaded.changed:
        print(f"changed: {each}")
    for each in loaded.unchecked:
        print(f"not checked: {each}")
    if target is not None:
        _write(target, {key(name): value for name, value in state.items()})
        print(f"wrote {target}: SHA-256 {digests(target)[0]}")
    file = shlex.quote(f"backbone.weights={target or path}")
    print(f"next: `python -m mcalc.train backbone={config.name} {file}`")
    return 0


def _check_target(target: Path, source: Path) -> None:
    """Raise UserError for a place that nothing is written to, before the source is read."""
    if target.suffix.lower() != NPZ_SUFFIX:
        raise UserError(f"to={target}: expected a name that ends in {NPZ_SUFFIX}")
    if target.exists() and (not target.is_file() or target.samefile(source)):
        # it is read again for its hash
        kind = kind_of(target.stat().st_mode) or "the file that is read"
        raise UserError(f"to={target} is {kind}: give the name of a new file")


_HEADINGS = ("name", "in the file", "shape", "type", "smallest", "largest", "mean size")


def _table(state: Mapping[str, Tensor], key: Callable[[str], str], loaded: Loaded) -> list[str]:
    """What the network's arrays are in the file, with their range, a line each."""
    from mcalc.models.weight_entry import plain

    rows: list[tuple[str, ...]] = [_HEADINGS]
    for name, value in state.items():
        entry = loaded.entries[name]
        bounds = (value.min(), value.max(), value.abs().mean())
        rows.append(
            (
                key(name),
                plain(entry.storage),
                "x".join(map(str, entry.shape)),
                entry.dtype,
                *(f"{float(each):.4g}" for each in bounds),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _write(target: Path, arrays: Mapping[str, Tensor]) -> None:
    """An `.npz` in the place of `target`, whole or not at all. Raises UserError."""
    import numpy as np

    plain = {name: value.numpy() for name, value in arrays.items()}
    with refused_as(f"to={target}"), write_binary(target) as file:
        np.savez(file, **plain)  # type: ignore[arg-type]


if __name__ == "__main__":
    run_as_program(partial(main, sys.argv[1:]))
