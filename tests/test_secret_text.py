"""What an address keeps secret is in no message, whatever the address looks like."""

from __future__ import annotations

import pickle
from urllib.parse import quote

import pytest

from mcalc.errors import UserError, shown
from mcalc.secret_text import argument_shown, hidden, without_password

SECRETS = ("hun", "ter2", "hunter2", "CANARY")
"""Parts of every password below; none may be left."""

SHOWN = {
    "postgresql+psycopg://ann:hunter2@db:5432/mcalc": "postgresql+psycopg://ann:***@db:5432/mcalc",
    "postgresql://ann:hun@ter2@db/mcalc": "postgresql://ann:***@db/mcalc",
    "postgresql://ann:hun/ter2@db/mcalc": "postgresql://ann:***@db/mcalc",
    "postgresql://ann:hun:ter2@db/mcalc": "postgresql://ann:***@db/mcalc",
    "postgresql://ann:hun?ter2@db/mcalc": "postgresql://ann:***@db/mcalc",
    "postgresql://ann:hun#ter2@db/mcalc": "postgresql://ann:***@db/mcalc",
    "postgresql://ann:hun%40ter2@db/mcalc": "postgresql://ann:***@db/mcalc",
    "postgresql://ann:hun ter2@db/mcalc": "postgresql://ann:***@db/mcalc",
    "postgresql://ann:hun'ter2@db/mcalc": "postgresql://ann:***@db/mcalc",
    "postgresql://ann:hun[ter2@db/mcalc": "postgresql://ann:***@db/mcalc",
    "postgresql://ann:hunter2@[::1]:5432/mcalc": "postgresql://ann:***@[::1]:5432/mcalc",
    "postgresql://ann:hunter2@a:1,b:2/mcalc?sslmode=require":
        "postgresql://ann:***@a:1,b:2/mcalc?sslmode=require",
    "postgresql://ann:hunter2@db:port/mcalc": "postgresql://ann:***@db:port/mcalc",
    "postgresql://ann:hunter2": "postgresql://ann:***",
    "postgresql:///mcalc?host=db&password=hun@ter2": "postgresql:///mcalc?host=db&password=***",
    "postgresql://?host=db&Password=hunter2&user=ann":
        "postgresql://?host=db&Password=***&user=ann",
    "postgresql://ann@db/mcalc?sslpassword=hunter2": "postgresql://ann@db/mcalc?sslpassword=***",
    "sqlite:///a.db?password=hunter2": "sqlite:///a.db?password=***",
    "https://hunter2@tracking:5000/x": "https://***@tracking:5000/x",
    "https://hunter2:@tracking": "https://***:@tracking",
    "https://hunter2:x-oauth-basic@tracking": "https://***:***@tracking",
    "http://tracking:5000/?token=hunter2": "http://tracking:5000/?token=***",
    "http://tracking/?a=hunter2&API_KEY=hunter2&sig=hunter2":
        "http://tracking/?a=***&API_KEY=***&sig=***",
    "http://tracking?hunter2": "http://tracking?***",
    "http://tracking/#access_token=hunter2": "http://tracking/#***",
    "http://tracking/x;token=hunter2": "http://tracking/x;token=***",
    "http:\\\\ann:hunter2@tracking": "http:\\\\ann:***@tracking",
    "host=db user=ann password='hun ter2' dbname=mcalc":
        "host=db user=ann password=*** dbname=mcalc",
    "host=db password = hunter2 dbname=mcalc": "host=db password = *** dbname=mcalc",
    "Server=db;Uid=ann;Pwd=hun ter2;Database=mcalc": "Server=db;Uid=ann;Pwd=***;Database=mcalc",
    "ann:hunter2@db/mcalc": "ann:***@db/mcalc",
    "//ann:hunter2@db": "//ann:***@db",
    "hunter2@db": "***@db",
    "postgresql:/ann:hunter2@db/mcalc": "postgresql:***@db/mcalc",
    "postgresql://ann:hunter2@a/x,postgresql://ann:hunter2@b/y":
        "postgresql://ann:***@a/x,postgresql://ann:***@b/y",
    "'postgresql://ann:hunter2@db/mcalc'": "'postgresql://ann:***@db/mcalc'",
    '["http://a?pwd=hunter2"]': '["http://a?pwd=***"]',
}  # fmt: skip
HARMLESS = (
    "postgresql+psycopg://ann@db:5432/mcalc",
    "postgresql://ann@a:1,b:2/mcalc?sslmode=require&application_name=ann@work",
    "http://127.0.0.1:5000",
    "http://[::1]:5000/x",
    "localhost:5000",
    "sqlite:////home/ann@work/50%/run#3/optuna.db",
    "file:///home/ann@work/mlruns",
    "mlruns",
    "/data/run=3/mlruns",
    "C:\\data\\mlruns",
)


@pytest.mark.parametrize(("address", "expected"), SHOWN.items())
def test_an_address_is_shown_without_what_it_keeps_secret(address: str, expected: str) -> None:
    assert without_password(address) == expected
    assert without_password(expected) == expected, "what is hidden stays as it is"


@pytest.mark.parametrize("address", HARMLESS)
def test_an_address_without_secrets_is_shown_as_it_is(address: str) -> None:
    assert without_password(address) == address
    assert argument_shown(f"storage={address}") == f"storage={address}"


@pytest.mark.parametrize("key", ["storage", "tracking.uri", "+storage", "name"])
@pytest.mark.parametrize("address", SHOWN)
def test_an_argument_is_quoted_without_secrets(key: str, address: str) -> None:
    if key == "name" and "://" not in address:
        return
    for text in (argument_shown(f"{key}={address}"), shown(argument_shown(f"{key}={address}"))):
        assert not any(part in text for part in SECRETS), text


@pytest.mark.parametrize("address", [each for each in SHOWN if "://" in each])
def test_a_sentence_is_without_the_secrets_of_addresses_in_it(address: str) -> None:
    said = f"argument {'storage=' + address!r} is not understood: write postgresql://USER@HOST/NAME"
    error = UserError(said)
    assert not any(part in str(error) for part in SECRETS), error
    assert str(error).endswith("is not understood: write postgresql://USER@HOST/NAME")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    "repeated",
    [
        "invalid literal for int() with base 10: 'p@ssw0rd/x'",
        "failed to resolve host 'ssw0rd/x@db': name or service not known",
        f"connection to {quote('p@ssw0rd/x', safe='')} failed",
        'password authentication failed; password "p@ssw0rd/x"',
    ],
)
def test_errors_of_libraries_do_not_repeat_a_known_password(repeated: str) -> None:
    text = hidden(repeated, "postgresql://ann:p@ssw0rd/x@db/mcalc")
    assert "ssw0rd" not in text
    assert "***" in text


def test_what_only_looks_like_a_secret_is_left() -> None:
    for text in (
        "head.weight_lr=10 is out of range: expected above 0",
        "password authentication failed for user 'mcalc'",
        "the store has no job 'abc': job= is set by the sweep engine alone",
        "expected http://HOST:PORT or postgresql+psycopg://USER@HOST/NAME (docs/parallel.md)",
        "sets how long to wait (storage_wait= sets it; storage= names the store)",
        "P_00001: CC and MLO of LEFT; see https://www.cancerimagingarchive.net/collection/",
    ):
        assert hidden(text) == text


def test_a_password_that_is_a_word_leaves_other_words_alone() -> None:
    text = "postgresql: no route to host post"
    assert hidden(text, "postgresql://a:post@db/x") == "postgresql: no route to host ***"


@pytest.mark.parametrize("tail", ["", "@", ":", "//", "?", "#", "[", "://", "=", "%", "'", "\n"])
def test_nothing_is_too_damaged_to_be_hidden(tail: str) -> None:
    for address in ("", "://", "postgresql://", "http://[", "@", "a:b", "x=", "postgresql://u:p@"):
        without_password(address + tail)
        hidden(address + tail, address + tail)
        argument_shown(f"storage={address}{tail}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("next: `open http://127.0.0.1:5077`", "next: `open http://127.0.0.1:5077`"),
        ("next: `open http://a:b@h:5077`", "next: `open http://a:***@h:5077`"),
        ("`x` then http://h:50x`", "`x` then http://h:***"),
    ],
)
def test_a_command_in_backticks_at_the_end_is_no_password(text: str, shown: str) -> None:
    assert hidden(text) == shown
