"""Going through many items: by group, in threads or processes, with a report of how far it is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
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


def in_processes(
    work: Callable[[_Item], _Made], items: Iterable[_Item], processes: int
) -> Generator[_Made]:
    """What `work` makes of each item, as they finish; for work that holds the interpreter's lock.

    Each process is a fresh interpreter, which imports what `work` needs: work, items and what is
    made travel by pickle. With one process all is done in this one, in order. After an error,
    Ctrl-C or `close` what has not begun is dropped, and what has is waited for.

    Raises:
        BrokenProcessPool: a process was killed.
    """
    if processes <= 1:
        yield from map(work, items)
        return
    # fork would copy locks that other threads of this process hold
    fresh = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, fresh, _begin_beside_parent)
    try:
        for future in as_completed([pool.submit(work, item) for item in items]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def usable_cores() -> int:
    """Cores that this process may use, each thread of one counted."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return allowed or 1


def _begin_beside_parent() -> None:
    """Leave Ctrl-C to the parent, and end where it is killed: nobody else would end this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
