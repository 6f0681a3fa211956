"""Where training runs keep their checkpoints; what is in one is of `mcalc.training.checkpoint`."""

from __future__ import annotations

from pathlib import Path

from mcalc.atomic_write import remove_abandoned


def checkpoint_path(directory: Path, trajectory: str) -> Path:
    """Where the run with this trajectory key keeps its checkpoint, in a record's folder."""
    return directory / "checkpoints" / f"{trajectory}.pth"


def remove_checkpoint(path: Path) -> None:
    """Delete a checkpoint, if there is one, and what killed processes left of earlier ones."""
    remove_abandoned(path)
    if path.is_file():
        path.unlink()
