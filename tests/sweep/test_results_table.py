"""A sweep's table at the end tells its trials apart on a terminal of any usual width."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from mcalc.sweep.display.results import Results, Row, results_table, varied_keys


def rows(names: list[str], **settings: list[str]) -> Results:
    """Of two trials or more, the first without a result."""
    found = [
        Row(
            name=name,
            settings={key: values[place] for key, values in settings.items()},
            state="finished" if place else "failed",
            accuracy=2 / 3 if place else math.nan,
            low=0.3,
            high=0.903,
            auc=0.71 if place else math.nan,
            validation_auc=0.8 if place else math.nan,
            value=None,
        )
        for place, name in enumerate(names)
    ]
    return Results(found, "in the plan's order", varied_keys([(r.name, r.settings) for r in found]))


def printed(results: Results, columns: int) -> list[str]:
    """Lines of the table below its head."""
    screen = Console(file=io.StringIO(), width=columns, markup=False)
    screen.print(results_table(results, screen, "weight_lr"))
    lines = screen.file.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    rule = next(place for place, line in enumerate(lines) if "──" in line)
    return lines[rule + 1 :]


def first_cells(lines: list[str]) -> list[str]:
    """The first column of each row, its lines joined: a row begins where figures stand."""
    cells: list[str] = []
    for line in lines:
        if "0.667" in line or "—" in line:
            cells.append("")
        if cells:
            cells[-1] += line.split("[")[0].split("0.667")[0].split("—")[0].replace(" ", "")
    return cells


@pytest.mark.parametrize("columns", [40, 44, 60, 80, 120])
def test_names_that_differ_at_their_ends_are_told_apart(columns: int) -> None:
    values = ["1", "10", "100"]
    results = rows([f"head.weight_lr={v}" for v in values], **{"head.weight_lr": values})
    cells = first_cells(printed(results, columns))
    for cell, value in zip(cells, values, strict=True):
        assert cell.startswith(f"weight_lr={value}")
        assert not cell.removeprefix(f"weight_lr={value}")[:1].isdigit()


@pytest.mark.parametrize("columns", [40, 44, 60, 80, 120])
def test_figures_and_settings_are_whole_at_any_width(columns: int) -> None:
    settings = {"trainer.lr": ["0.001", "0.02", "0.3"], "trainer.batch_size": ["16", "32", "64"]}
    lines = printed(rows(["#0", "#1", "#2"], **settings), columns)
    words = " ".join(" ".join(lines).split())
    assert "…" not in words
    assert words.count("[0.300, 0.903]") == 2
    assert words.count("0.710") == 2
    assert "failed" in words
    for value in (*settings["trainer.lr"], *settings["trainer.batch_size"]):
        assert value in words.replace(",", " ").split()
