"""Wait for a store that is away for a while: a server that restarts, a network that fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from mcalc.errors import CutOffError, UserError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "failed to resolve host",
    "could not translate host name",
)
"""What waiting cannot fix, if the store has never answered before."""

_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class StorageUnreachableError(CutOffError):
    """The store of a sweep did not answer in the time that was allowed."""


class Retry:
    """Calls that are tried again while a store cannot be reached, for `wait` seconds at most.

    After a wait in vain a call fails at once until the store answers again, so that what a worker
    does at its end need not wait once more.

    Raises UserError where the store refuses, and StorageUnreachableError after the wait.
    """

    def __init__(self, url: str, wait: float) -> None:
        self.address = shown(url)
        self.wait = wait
        self._answered = False
        self._given_up_after = 0.0

    def __call__(self, action: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
        """The action's result."""
        began, pause, said = time.monotonic(), _FIRST_PAUSE, False
        while True:
            try:
                result = action(*arguments, **options)
                self._answered, self._given_up_after = True, 0.0
                return result
            except (OperationalError, StorageInternalError) as error:
                reason = _reason(error)
                if reason is None:
                    raise
                if not self._answered and any(words in reason for words in _REFUSALS):
                    raise UserError(
                        f"the store {self.address} refuses ({reason}): check user, password "
                        "(best in ~/.pgpass), host and name in storage="
                    ) from error
                waited = time.monotonic() - began
                if self._given_up_after or waited + pause > self.wait:
                    waited = self._given_up_after = self._given_up_after or waited
                    raise StorageUnreachableError(
                        f"the store {self.address} could not be reached for {waited:.0f} s "
                        f"({reason}): nothing recorded is lost; check that it runs and that this "
                        "machine may reach it, and give the same command again (storage_wait= "
                        "sets how long to wait)"
                    ) from error
                if not said:
                    _log.warning(
                        f"the store {self.address} cannot be reached ({reason}); waiting up to "
                        f"{self.wait:.0f} s"
                    )
                    said = True
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)


def shown(url: str) -> str:
    """A store's address without its password."""
    return make_url(url).render_as_string(hide_password=True)


def _reason(error: Exception) -> str | None:
    """Why the store is unreachable, in a few words; None where it answers with a refusal."""
    cause = error if isinstance(error, DBAPIError) else error.__cause__
    if not isinstance(cause, OperationalError):
        return None
    text = str(cause.orig).strip().splitlines()
    first = " ".join(text[0].split()) if text else "no answer"
    if "no such table" in first or "no such column" in first:
        return None
    return first[:160]
