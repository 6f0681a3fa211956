"""Wait for a store that is away for a while: a server that restarts, a network that fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mcalc.errors import CutOffError, UserError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0

_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class UnreachableError(CutOffError):
    """A store did not answer in the time that was allowed."""


class Retry:
    """Calls that are tried again while a store cannot be reached, for `wait` seconds at most.

    After a wait in vain a call fails at once until the store answers again, so that what a worker
    does at its end need not wait once more.

    Args:
        what: the store as messages name it, without a password.
        wait: seconds.
        reason_of: why an error means that the store is away, in a few words; None for any other
            error, which is raised as it is.
        refusal_of: what a user should do about a reason that waiting cannot fix where the store has
            never answered before; None where waiting may.

    Raises UserError where the store refuses, and UnreachableError after the wait.
    """

    def __init__(
        self,
        what: str,
        wait: float,
        reason_of: Callable[[Exception], str | None],
        refusal_of: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self.what = what
        self.wait = wait
        self._reason_of = reason_of
        self._refusal_of = refusal_of
        self._answered = False
        self._given_up_after = 0.0

    def __call__(self, action: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
        """The action's result."""
        began, pause, said = time.monotonic(), _FIRST_PAUSE, False
        while True:
            try:
                return self.once(action, *arguments, **options)
            except UnreachableError as error:
                waited = time.monotonic() - began
                if self._given_up_after or waited + pause > self.wait:
                    waited = self._given_up_after = self._given_up_after or waited
                    # a command that reads does not wait, whatever is set
                    longer = " (storage_wait= sets how long to wait)" if self.wait else ""
                    raise UnreachableError(
                        f"{self.what} could not be reached for {waited:.0f} s ({error}): nothing "
                        "recorded is lost; check that it runs and that this machine may reach it, "
                        f"and give the same command again{longer}"
                    ) from error
                if not said:
                    _log.warning(
                        f"{self.what} cannot be reached ({error}); waiting up to {self.wait:.0f} s"
                    )
                    said = True
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def once(self, action: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
        """The action's result. Raises UnreachableError, with the reason, without waiting."""
        try:
            result = action(*arguments, **options)
        except UnreachableError:
            raise
        except Exception as error:
            reason = self._reason_of(error)
            if reason is None:
                raise
            if not self._answered and (remedy := self._refusal_of(reason)):
                raise UserError(f"{self.what} refuses ({reason}): {remedy}") from error
            raise UnreachableError(reason) from error
        self._answered, self._given_up_after = True, 0.0
        return result
