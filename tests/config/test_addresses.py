"""Addresses of stores and servers are checked with the settings, before anything opens them."""

from __future__ import annotations

import pytest

from mcalc.config.compose import compose_config
from mcalc.errors import UserError

DATABASES = (
    "sqlite:///sweeps.db",
    "sqlite:////tmp/sweeps.db",
    "postgresql://host/name",
    "postgresql+psycopg://user:secret@host:5432/name?sslmode=require",
)
NEITHER = ("host:5000", "sweeps.db", "ftp://host/name", "sqlite:sweeps.db", "postgres", "://host")


def stored_in(address: str) -> str | None:
    return compose_config([f"storage='{address}'"]).storage


def recorded_in(address: str) -> str | None:
    return compose_config([f"tracking.uri='{address}'"]).tracking.uri


@pytest.mark.parametrize("address", DATABASES)
def test_databases_are_taken_for_both(address: str) -> None:
    assert stored_in(address) == address
    assert recorded_in(address) == address


@pytest.mark.parametrize(
    "address", ["http://host", "https://user:secret@host:5000/mlflow", "mysql+pymysql://host/name"]
)
def test_what_mlflow_alone_can_use(address: str) -> None:
    assert recorded_in(address) == address
    with pytest.raises(UserError, match="is not an address of a database for sweeps") as raised:
        stored_in(address)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("address", NEITHER)
def test_anything_else_is_refused_with_what_is_expected(address: str) -> None:
    with pytest.raises(UserError, match=r"expected postgresql\+psycopg://USER@HOST/NAME or"):
        stored_in(address)
    with pytest.raises(UserError, match="expected http://HOST:PORT, or a database as"):
        recorded_in(address)


def test_a_server_without_its_scheme_is_guessed() -> None:
    with pytest.raises(UserError, match=r"did you mean http://host:5000\?"):
        recorded_in("host:5000")


@pytest.mark.parametrize("nothing", ["", " "])
def test_a_variable_that_a_script_did_not_set_is_no_record_of_this_machine(nothing: str) -> None:
    with pytest.raises(UserError, match="storage= is empty"):
        stored_in(nothing)
    with pytest.raises(UserError, match=r"tracking\.uri= is empty"):
        recorded_in(nothing)
