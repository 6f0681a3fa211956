"""Pages made from the templates that lie beside this module."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from mcalc.report.formats import typeset


def render(name: str, **values: Any) -> str:
    """A template filled in; every text is escaped, but for what is HTML already (`Markup`)."""
    return _environment().get_template(name).render(**values)


@cache
def _environment() -> Environment:
    """One for all pages, as it keeps what it has compiled."""
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typeset"] = typeset
    environment.filters["minus"] = _minus
    return environment


def _minus(text: str) -> str:
    """A number as text, with a minus sign in place of a hyphen."""
    return f"−{text[1:]}" if text[:1] == "-" else text


def _read(name: str) -> str:
    return files("mcalc.report").joinpath(name).read_text(encoding="utf-8")
