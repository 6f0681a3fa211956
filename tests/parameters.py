"""Parameters of tests, a few of which are enough for `make test`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def most_are_whole(values: Sequence[Any], fast: int) -> list[Any]:
    """All of them as parameters; but for the first ones they run with `make test-all`.

    A tuple is one parameter's values, as for `pytest.mark.parametrize`.
    """
    marked = [
        pytest.param(*each, marks=pytest.mark.whole)
        if isinstance(each, tuple)
        else pytest.param(each, marks=pytest.mark.whole)
        for each in values[fast:]
    ]
    return [*values[:fast], *marked]
