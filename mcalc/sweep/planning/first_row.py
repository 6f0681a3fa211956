"""What all rows share, where a rule refuses it without what each row adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from mcalc.config import Config
from mcalc.errors import UserError
from mcalc.sweep.planning.values import override_of


def allowed(
    fixed: tuple[str, ...],
    rows: Iterable[Mapping[str, Any]],
    compose: Callable[[Sequence[str]], Config],
) -> tuple[str, ...]:
    """These overrides, with those of the first row where no config comes of them alone.

    `data.region=full` is refused with the default `data.unit`, though each row may name another.
    What a row names has no part in what all rows share, so that it does not matter which row it is.

    Raises UserError of the overrides alone where the first row does not help.
    """
    try:
        compose(fixed)
    except UserError:
        for values in islice(rows, 1):
            with suppress(UserError):
                whole = (*fixed, *(override_of(key, value) for key, value in values.items()))
                compose(whole)
                return whole
        raise
    return fixed
