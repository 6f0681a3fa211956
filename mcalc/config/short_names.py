"""Names as a terminal of 80 columns shows them. What is recorded keeps its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcalc.config.paths import entries


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """Keys without their sections where that is clear: `weight_lr` of `head.weight_lr`."""
    known = list(dict.fromkeys(keys))
    last = [key.rpartition(".")[2] for key in known]
    return {
        key: short if last.count(short) == 1 else key
        for key, short in zip(known, last, strict=True)
    }


def short_title(title: str) -> str:
    """A sweep's title: of a product the keys that vary, without their sections."""
    keys = title.split(" x ")
    short = short_keys(keys)
    return " x ".join(short[key] for key in keys)


def short_name(name: str) -> str:
    """A trial's name: of one made from settings the values, with no more of a key than is needed.

    `alexnet, weight_lr=10` of `backbone=alexnet, head.weight_lr=10`. Others stay as they are.
    """
    parts = name.split(", ")
    keys = [part.partition("=")[0] for part in parts if "=" in part]
    short = short_keys(keys)
    return ", ".join(_short_part(part, short) for part in parts)


def joined(names: Sequence[str], most: int = 4) -> str:
    """Names of trials that share a run: `AL1 + AL5 + AL9`; of many the first ones and how many."""
    shown = [short_name(name) for name in names]
    if len(shown) <= most:
        return " + ".join(shown)
    return f"{' + '.join(shown[: most - 1])} + {len(shown) - most + 1} more"


def _short_part(part: str, short: dict[str, str]) -> str:
    key, equals, value = part.partition("=")
    if not equals or key not in entries():
        return part
    # a group is chosen by the name of a file, which says what it is
    return value if entries()[key].is_section else f"{short[key]}={value}"
