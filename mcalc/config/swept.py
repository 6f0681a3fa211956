"""How many values an argument of the command line lists, counted before they are listed.

`seed=range(0,1000000000)` is short to write and would fill the memory.
"""

from __future__ import annotations

import math
import re
import sys
from contextlib import suppress
from decimal import Decimal

from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString, RangeSweep

from mcalc.config.paths import Entry, entries
from mcalc.config.rules import out_of_range
from mcalc.errors import UserError
from mcalc.secret_text import argument_shown

MOST_TRIALS = 1_000_000
"""Of one sweep, and values of one argument."""
DEEPEST = 20
"""Brackets in each other that an argument may have: Hydra's grammar takes seconds for hundreds."""

_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")


def check_count(what: str, count: int, of: str = "trials") -> None:
    """Raise UserError where there are more than `MOST_TRIALS`."""
    if count > MOST_TRIALS:
        number = f"{count:,}" if count < 10**30 else f"about 10^{len(str(count)) - 1}"
        raise UserError(f"{what}: {number} {of}: expected at most {MOST_TRIALS:,}; list fewer")


def swept_count(override: Override) -> int:
    """How many values an argument lists; 1 for an interval and a glob(), which list none.

    Raises UserError for a range() that has no end, is not of numbers, or lists too many.
    """
    swept = override.value() if override.is_sweep_override() else None
    if isinstance(swept, list):
        return len(swept)
    if isinstance(swept, ChoiceSweep):
        return len(swept.list)
    if not isinstance(swept, RangeSweep):
        return 1
    finite = [
        Decimal(str(each))
        for each in (swept.start, swept.stop, swept.step)
        if each is not None and abs(each) <= sys.float_info.max
    ]
    if len(finite) < 3 or not swept.step:
        raise UserError(
            f"{argument_shown(str(override.input_line))}: expected range(START,STOP,STEP) of "
            "numbers, with a step that is not 0"
        )
    start, stop, step = finite
    count = max(0, math.ceil((stop - start) / step))
    check_count(argument_shown(str(override.input_line)), count, "values")
    return count


def check_numbers(override: Override) -> None:
    """Raise UserError where what is given, alone or in a list, is no number or out of its range.

    So that it is answered before a config is composed with it.
    """
    entry = entries().get(override.key_or_group)
    if entry is None or not set(entry.kinds) <= {int, float, type(None)}:
        return
    given = override.value()
    for each in given.list if isinstance(given, ChoiceSweep) else [given]:
        if isinstance(each, str | QuotedString):
            _check_number(entry, each if isinstance(each, str) else each.text)
        if isinstance(each, bool) or not isinstance(each, int | float):
            continue  # of another type: what is composed says so
        value = _as_field(each, entry)
        if not entry.rules.allow(value):
            expected = entry.rules.expected(optional=type(None) in entry.kinds)
            raise out_of_range(entry.key, value, expected)


def _check_number(entry: Entry, text: str) -> None:
    try:
        float(text)
    except ValueError:
        kind = "a number" if float in entry.kinds else "a whole number"
        raise UserError(f"{entry.key}={text} is not understood: expected {kind}") from None


def _as_field(number: float, entry: Entry) -> float:
    """A number as the field would hold it: messages show it so."""
    with suppress(OverflowError):  # whole numbers above 1e308
        return float(number) if float in entry.kinds else number
    return number


def check_depth(argument: str) -> None:
    """Raise UserError for an argument with more brackets in each other than are read."""
    deep = 0
    for character in re.findall(r"[\[({\])}]", _QUOTED.sub("", argument)):
        deep += 1 if character in "[({" else -1
        if deep > DEEPEST:
            raise UserError(
                f"argument {argument_shown(argument)[:40]}...: more than {DEEPEST} brackets lie in "
                "each other: expected key=value, as in head.weight_lr=10"
            )
