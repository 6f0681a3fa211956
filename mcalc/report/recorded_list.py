"""What is recorded, as a page lists it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A sweep, or the single trials."""

    title: str
    trials: int
    """With a result."""
    without: int
    """Failed, pruned, cut off or running."""
    verdict: str
    """What came out, in a sentence."""
    address: str = ""
    """Of its page, relative to the one it is listed on; empty for that page itself."""
