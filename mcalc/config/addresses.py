"""Addresses of a store and of a tracking server, checked before what opens them is imported.

Only how they begin is looked at. SQLAlchemy and MLflow check the rest when they open them.
"""

from __future__ import annotations

import re

from mcalc.errors import UserError, without_password

_STORES = ("sqlite", "postgresql")
"""What sweeps can be stored in, by SQLAlchemy's names."""
_RECORDS = (*_STORES, "mysql", "mssql")
"""What MLflow can use beside a server."""


def check_storage(url: str) -> None:
    """Raise UserError for what does not begin as the address of a database for sweeps."""
    _refuse_empty("storage", url)
    if not _is_database(url, _STORES):
        raise no_storage(url)


def check_tracking(uri: str) -> None:
    """Raise UserError for what does not begin as the address of a tracking server or database."""
    _refuse_empty("tracking.uri", uri)
    served = re.fullmatch(r"https?://[^/?#\s]+\S*", uri)
    if not served and not _is_database(uri, _RECORDS):
        raise no_tracking(uri)


def no_storage(url: str) -> UserError:
    """The error for a value of `storage` that is no address."""
    return UserError(
        f"storage={without_password(url)} is not an address of a database for sweeps: expected "
        "postgresql+psycopg://USER@HOST/NAME or sqlite:///FILE"
    )


def no_tracking(uri: str) -> UserError:
    """The error for a value of `tracking.uri` that is no address."""
    bare = re.fullmatch(r"[\w.-]+:\d{1,5}(/\S*)?", uri)
    meant = f"; did you mean http://{uri}?" if bare else ""
    return UserError(
        f"tracking.uri={without_password(uri)} is not an address of a tracking server: expected "
        "http://HOST:PORT, or a database as postgresql+psycopg://USER@HOST/NAME or sqlite:///FILE "
        f"(a folder is named with tracking.dir=PATH){meant}"
    )


def _refuse_empty(key: str, address: str) -> None:
    # else a variable that a script did not set is a record on each machine alone
    if not address.strip():
        raise UserError(f"{key}= is empty: give an address, or null for none")


def _is_database(address: str, names: tuple[str, ...]) -> bool:
    found = re.match(r"(\w+)(\+\w+)?://", address)
    return found is not None and found[1] in names
