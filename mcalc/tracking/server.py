"""A tracking server that may be away: what is written waits for it, or is kept on this machine.

Curves do not wait: their points are written when the server answers again. The end of a run waits
as long as `storage_wait` says. Where the server stays away, the whole run is written into a record
of its own below `tracking.dir`, and can be sent afterwards (`mcalc.tracking.unsent`).
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from mlflow.entities import Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import exceptions as http
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from urllib3.exceptions import HTTPError

from mcalc.config import check_tracking, no_tracking
from mcalc.errors import UserError, without_password
from mcalc.results import SERVER_TAG
from mcalc.retry import Retry, UnreachableError

# MLflow would try for minutes by itself, without a word
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
# two lines for each run that ends, in the middle of a sweep's own
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

_CUT_OFF = (http.ConnectionError, http.RetryError, http.ChunkedEncodingError, HTTPError)
"""Errors of a connection that could not be made, or ended too early."""
_AWAY = (429, 500, 502, 503, 504)
"""Answers of a server, or of a proxy before it, that another attempt may change."""
_WRITES = (
    "log_batch", "log_text", "log_table", "log_figure", "log_artifact", "log_artifacts", "set_tag",
    "set_terminated", "update_run", "log_inputs",
)  # fmt: skip
_MAY_WAIT = ("log_batch", "set_tag", "update_run", "log_inputs")
"""Writes that are sent with a later one where the server is away now."""
_PAUSE_SECONDS = 30.0
"""Between two attempts to send the points of a curve: each may take a minute where packets are
dropped, and training waits for it."""
_log = logging.getLogger(__name__)


def is_served(uri: str) -> bool:
    """Whether the address is that of a tracking server; others are databases."""
    return uri.startswith(("http://", "https://"))


def check_address(uri: str) -> None:
    """Raise UserError for what is not an address of a tracking server or a database."""
    check_tracking(uri)  # of a notebook too, which composes no settings
    if is_served(uri):
        return
    try:
        make_url(uri)
    except (ArgumentError, ValueError) as error:
        raise no_tracking(uri) from error


def server_retry(uri: str, wait: float) -> Retry:
    """What waits for the server or database of this address, for `wait` seconds at most."""
    kind = "tracking server" if is_served(uri) else "tracking database"
    return Retry(f"the {kind} {without_password(uri)}", wait, _reason_away)


@dataclass
class _Journal:
    """What was written to one run since it was opened by this process."""

    name: str = ""
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    sent: int = 0
    """How many of `calls` the server has."""
    local: str | None = None
    """The run on this machine that all calls go to, once the server was given up."""


class WaitingClient:
    """MLflow's client with the same methods, which waits for a server that is away.

    Raises UserError where the server refuses, and UnreachableError after waiting in vain.
    """

    def __init__(
        self, remote: MlflowClient, retry: Retry, refused: Callable[[MlflowException], UserError]
    ) -> None:
        """`refused` makes the error of an answer that waiting cannot change."""
        self._remote = remote
        self._retry = retry
        self._refused = refused

    def __getattr__(self, name: str) -> Any:
        return partial(self._ask, self._retry, getattr(self._remote, name))

    def _ask(self, how: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return how(*arguments, **options)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise
            raise self._refused(error) from error


class ServerClient(WaitingClient):
    """A client that waits, and writes on this machine what a server does not take."""

    def __init__(
        self, waiting: WaitingClient, keep: Callable[[], tuple[MlflowClient, str]], place: Path
    ) -> None:
        """`keep` opens the record on this machine, its client and experiment, in `place`."""
        super().__init__(waiting._remote, waiting._retry, waiting._refused)
        self.waiting = waiting
        self._keep = keep
        self._place = place
        self._local: tuple[MlflowClient, str] | None = None
        self._journals: dict[str, _Journal] = {}
        self._next_attempt = 0.0
        self._said = False
        """Whether a user knows that the server is away now."""

    def create_run(self, experiment: str, *, run_name: str, tags: dict[str, str]) -> Run:
        """A new run: on the server, or on this machine while the server is away."""
        try:
            run = self._ask(
                self._retry, self._remote.create_run, experiment, run_name=run_name, tags=tags
            )
        except UnreachableError:
            client, kept = self._record(run_name)
            run = client.create_run(kept, run_name=run_name, tags=tags)
            self._journals[run.info.run_id] = _Journal(run_name, local=run.info.run_id)
            return run
        self.opened(run.info.run_id, run_name, tags)
        return cast(Run, run)

    def at_once(self, operation: str, run_id: str, *arguments: Any) -> None:
        """Write to a run that nothing is kept of. Raises UnreachableError without waiting."""
        self._ask(self._retry.once, getattr(self._remote, operation), run_id, *arguments)

    def opened(
        self, run_id: str, name: str, tags: dict[str, str], params: Sequence[list[Param]] = ()
    ) -> None:
        """Note what a run has on the server, which a record on this machine needs too."""
        journal = self._journals[run_id] = _Journal(name)
        entered = [RunTag(name, value) for name, value in tags.items()]
        journal.calls.append(("log_batch", (), {"tags": entered}))
        journal.calls += [("log_batch", (), {"params": batch}) for batch in params]
        journal.sent = len(journal.calls)

    def __getattr__(self, name: str) -> Any:
        return partial(self._write, name) if name in _WRITES else super().__getattr__(name)

    def _write(self, operation: str, run_id: str, *arguments: Any, **options: Any) -> None:
        journal = self._journals.get(run_id)
        if journal is None:
            # of a run that another process wrote, nothing is kept here
            self._ask(self._retry, getattr(self._remote, operation), run_id, *arguments, **options)
            return
        journal.calls.append((operation, arguments, options))
        if journal.local:
            self._write_locally(journal)
        elif operation in _MAY_WAIT:
            self._send_soon(run_id, journal)
        else:
            try:
                self._send(run_id, journal, self._retry)
            except UnreachableError:
                self._give_up(run_id, journal)
        if operation == "set_terminated":
            del self._journals[run_id]

    def _send_soon(self, run_id: str, journal: _Journal) -> None:
        """Send what there is, unless the server did not answer a moment ago."""
        if time.monotonic() < self._next_attempt:
            return
        try:
            self._send(run_id, journal, self._retry.once)
        except UnreachableError as error:
            if not self._said:
                _log.warning(
                    f"  {self._retry.what} does not answer ({error}); training continues, and the "
                    "curve follows when it is back"
                )
            self._said, self._next_attempt = True, time.monotonic() + _PAUSE_SECONDS
        else:
            self._said = False

    def _send(self, run_id: str, journal: _Journal, how: Callable[..., Any]) -> None:
        while journal.sent < len(journal.calls):
            operation, arguments, options = journal.calls[journal.sent]
            self._ask(how, getattr(self._remote, operation), run_id, *arguments, **options)
            journal.sent += 1

    def _give_up(self, run_id: str, journal: _Journal) -> None:
        client, experiment = self._record(journal.name)
        tags = {SERVER_TAG: run_id}
        made = client.create_run(experiment, run_name=journal.name, tags=tags)
        journal.local, journal.sent = made.info.run_id, 0
        self._write_locally(journal)

    def _write_locally(self, journal: _Journal) -> None:
        assert self._local is not None
        assert journal.local is not None
        client, _ = self._local
        while journal.sent < len(journal.calls):
            operation, arguments, options = journal.calls[journal.sent]
            # but a temporary file of an earlier write, which the server has
            if operation not in ("log_artifact", "log_artifacts") or Path(arguments[0]).exists():
                getattr(client, operation)(journal.local, *arguments, **options)
            journal.sent += 1

    def _record(self, name: str) -> tuple[MlflowClient, str]:
        if self._local is None:
            self._local = self._keep()
        _log.warning(
            f"  {name}: {self._retry.what} does not answer; it is recorded in {self._place}. When "
            "the server is back, send it with `python -m mcalc.sweep send` and the same "
            "tracking.dir and tracking.uri"
        )
        return self._local


def _reason_away(error: Exception) -> str | None:
    """Why a server or database is away, in a few words; None for any other error."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, http.Timeout):
            return "no answer in time"
        if isinstance(seen, _CUT_OFF):
            return _connection_reason(str(seen))
        if isinstance(seen, OperationalError | InterfaceError) and _is_connection(seen.orig):
            text = str(seen.orig).strip().splitlines()
            return " ".join(text[0].split())[:160] if text else "no answer"
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, MlflowException):
        found = re.search(r"error code (\d{3})", str(error))
        if found and int(found.group(1)) in _AWAY:
            return f"it answers {found.group(1)}"
    return None


def _connection_reason(text: str) -> str:
    for words in ("Connection refused", "Name or service not known", "No route to host"):
        if words in text:
            return words
    if "resolve" in text or "getaddrinfo" in text:
        return "its name is not known"
    return "the connection failed"


def _is_connection(error: BaseException | None) -> bool:
    """Whether a database's error is about the connection: PostgreSQL's classes 08 and 57P."""
    state = getattr(error, "sqlstate", None)
    if getattr(error, "sqlite_errorcode", None) is not None:
        return False
    return state is None or state.startswith(("08", "57P"))


def refusal(uri: str, error: MlflowException | http.RequestException) -> UserError:
    """An answer that waiting cannot change, in one sentence."""
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    remedy = "check tracking.uri"
    if "401" in first or "403" in first or "PERMISSION" in first:
        remedy = "check MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD or its token"
    kind = "tracking server" if is_served(uri) else "tracking database"
    return UserError(
        f"the {kind} {without_password(uri)} refuses ({without_password(first)[:300]}): {remedy}"
    )
