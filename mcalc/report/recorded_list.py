"""What is recorded, as a page lists it."""

from __future__ import annotations

from dataclasses import dataclass

from mcalc.report.first_screen import Verdict


@dataclass(frozen=True, slots=True)
class Entry:
    """A sweep, or the single trials."""

    title: str
    trials: int
    """With a result."""
    without: int
    """Failed, pruned, cut off or running."""
    said: Verdict
    """What came out."""
    address: str = ""
    """Of its page, relative to the one it is listed on; empty for that page itself."""
