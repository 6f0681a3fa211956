"""Going through many items: by group, in threads, with a report of how far it is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

_Item = TypeVar("_Item")
_Key = TypeVar("_Key")
_Made = TypeVar("_Made")

Progress = Callable[[int, int], None]
"""Called with (done, total) while something long is under way."""


def with_progress(items: Iterable[_Item], total: int, progress: Progress | None) -> Iterator[_Item]:
    """The items one after another; `progress` is called after the work on each."""
    for done, item in enumerate(items, start=1):
        yield item
        if progress:
            progress(done, total)


def grouped(items: Iterable[_Item], key: Callable[[_Item], _Key]) -> dict[_Key, list[_Item]]:
    """The items by key, keys and items in order of appearance."""
    groups: dict[_Key, list[_Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def in_threads(
    work: Callable[[_Item], _Made], items: Iterable[_Item], threads: int | None = None
) -> Generator[tuple[_Item, _Made]]:
    """Each item with what `work` makes of it, as they finish.

    After an error, Ctrl-C or `close` what has not begun is dropped, and what has is waited for.
    """
    pool = ThreadPoolExecutor(threads)
    try:
        running = {pool.submit(work, item): item for item in items}
        for future in as_completed(running):
            yield running[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)
