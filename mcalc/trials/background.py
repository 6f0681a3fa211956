"""Work that is done in its order in a thread of its own, beside training.

Whoever hands work in goes on at once. An error is raised where more is handed in, or waited for,
and nothing that was handed in after it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Background:
    """Does what it is given, one after another. Belongs to one thread, which hands work in."""

    def __init__(self, name: str) -> None:
        """`name` is that of its thread, which begins with the first work."""
        self._executor = ThreadPoolExecutor(1, name)
        self._handed_in: list[Future[None]] = []
        self._error: BaseException | None = None

    def do(self, work: Callable[[], None]) -> None:
        """Hand work in. Raises the error of what was handed in before."""
        self._raise()
        self._handed_in = [each for each in self._handed_in if not each.done()]
        self._handed_in.append(self._executor.submit(self._run, work))

    def settle(self) -> None:
        """Wait until all is done. Raises the error of the first work that failed."""
        for each in self._handed_in:
            each.result()
        self._handed_in = []
        self._raise()

    def close(self) -> None:
        """End the thread after the work under way; what is not begun is dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _run(self, work: Callable[[], None]) -> None:
        if self._error is not None:
            return
        try:
            work()
        except BaseException as error:  # raised in the thread that hands work in
            self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
