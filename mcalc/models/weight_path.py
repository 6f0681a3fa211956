"""The file that `backbone.weights` names, looked for without PyTorch."""

from __future__ import annotations

from pathlib import Path

from mcalc.config import NO_FILES, WEIGHT_SUFFIXES, weight_file
from mcalc.errors import UserError, nearest


def weight_path(weights: str, backbone: str) -> Path | None:
    """The weight file of a backbone; None for `imagenet` and `none`.

    Raises UserError for a word that is neither and names no file, for a file that is not there or
    of another kind than weights have, and for a folder as `mcalc.config.weight_file`.
    """
    path = weight_file(weights, backbone)
    if path is None:
        return None
    if not path.suffix and not path.exists():
        raise UserError(
            f"backbone.weights={weights!r} is not understood: expected imagenet, none, or the path "
            f"of a {', '.join(WEIGHT_SUFFIXES)} file or of a folder with one"
            f"{nearest(weights, NO_FILES)}"
        )
    require_file(path)
    if path.suffix.lower() not in WEIGHT_SUFFIXES:
        raise UserError(
            f"backbone.weights={path}: weights are read from {', '.join(WEIGHT_SUFFIXES)} files, "
            f"not {path.suffix or 'one without an ending'}; give a file of one of these kinds"
        )
    return path


def require_file(path: Path) -> None:
    """Raise UserError where a weight file is not there."""
    if path.is_file():
        return
    if path.exists():
        raise UserError(
            f"backbone.weights={path} is no file: give the path of one, or of a folder with one"
        )
    raise UserError(
        f"backbone.weights={path}: no such file; give the path of an existing weight file, "
        "backbone.weights=imagenet or backbone.weights=none"
    )
