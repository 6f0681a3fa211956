"""The file that `backbone.weights` names, looked for without PyTorch."""

from __future__ import annotations

from pathlib import Path

from mcalc.errors import UserError, nearest

PICKLE_SUFFIXES = (".pth", ".pt")
NPZ_SUFFIX = ".npz"


def weight_path(weights: str) -> Path | None:
    """The weight file; None for `imagenet` and `none`.

    Raises UserError for a word that is neither and names no file, and for a file that is not there.
    """
    if weights in ("imagenet", "none"):
        return None
    path = Path(weights).expanduser()
    if not path.suffix and not path.exists():
        raise UserError(
            f"backbone.weights={weights!r} is not understood: expected imagenet, none, or the path "
            f"of a {', '.join((*PICKLE_SUFFIXES, NPZ_SUFFIX))} file"
            f"{nearest(weights, ('imagenet', 'none'))}"
        )
    require_file(path)
    return path


def require_file(path: Path) -> None:
    """Raise UserError where a weight file is not there."""
    if not path.is_file():
        raise UserError(
            f"backbone.weights={path}: no such file; give the path of an existing weight file, "
            "backbone.weights=imagenet or backbone.weights=none"
        )
