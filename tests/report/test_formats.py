from __future__ import annotations

import csv
import io
import re

import pytest

from mcalc.report.formats import (
    NOT_RUN,
    Column,
    Table,
    as_csv,
    as_latex,
    as_markdown,
    as_text,
)


@pytest.fixture
def table() -> Table:
    return Table(
        title="Table 9. Rates & shares, 100 % of them",
        columns=(
            Column("name", "Name", text=True),
            Column("accuracy", "Our accuracy"),
            Column("difference", "Difference"),
            Column("weights", "Weights", text=True, csv_only=True),
        ),
        rows=(("AL1", "0.75", "-0.1000", "a,b"), ("AL_2|x", NOT_RUN, NOT_RUN, NOT_RUN)),
        notes=("A $note_ with <tags> & more.",),
        provenance=("Made by hand.",),
    )


def test_text_lines_up_numbers_under_their_headings(table: Table) -> None:
    assert as_text(table).splitlines() == [
        "Table 9. Rates & shares, 100 % of them",
        "----------------------------",
        "             Our",
        "Name    accuracy  Difference",
        "----------------------------",
        "AL1         0.75     −0.1000",
        "AL_2|x         —           —",
        "----------------------------",
        "* A $note_ with <tags> & more.",
        "* Made by hand.",
    ]


def test_text_fits_a_terminal_of_120_columns() -> None:
    wide = Table(
        title="word " * 60,
        columns=(
            Column("name", "Name", text=True),
            *(Column(f"c{i}", "Number") for i in range(12)),
        ),
        rows=(("a-very-long-trial-name-that-goes-on-" * 4, *("0.12345",) * 12),),
        notes=("word " * 100,),
    )
    lines = as_text(wide).splitlines()
    assert max(len(line) for line in lines) <= 120
    row = next(line for line in lines if line.startswith("a-"))
    assert "…" in row  # a cut name says that it is cut
    assert row.count("0.12345") == 12  # numbers are never cut


def test_csv_reads_back_with_the_columns_only_it_has(table: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert rows == [
        {"name": "AL1", "accuracy": "0.75", "difference": "-0.1000", "weights": "a,b"},
        {"name": "AL_2|x", "accuracy": "", "difference": "", "weights": ""},
    ]


def test_people_do_not_see_columns_made_for_programs(table: Table) -> None:
    for form in (as_text, as_markdown, as_latex):
        assert "Weights" not in form(table)


def test_markdown_escapes_what_would_break_the_table(table: Table) -> None:
    lines = as_markdown(table).splitlines()
    body = [line for line in lines if line.startswith("|")]
    assert body[1] == "|---|---:|---:|"
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in body]
    assert [len(row) for row in cells] == [3, 3, 3, 3]
    assert r"AL\_2\|x" in body[3]
    assert r"\<tags\>" in lines[-2]
    assert lines[-1] == "- Made by hand."


def test_latex_escapes_and_uses_booktabs(table: Table) -> None:
    latex = as_latex(table)
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert latex.count(rule) == 1
    assert r"Rates \& shares, 100 \% of them" in latex
    assert r"A \$note\_ with \textless{}tags\textgreater{} \& more." in latex
    assert r"AL1 & 0.75 & $-0.1000$ \\" in latex
    assert r"AL\_2|x & --- & --- \\" in latex
    assert latex.count(r"\begin{") == latex.count(r"\end{")


def test_latex_escapes_a_backslash_once() -> None:
    table = Table(r"a\b {x} ~^ [y]", (Column("name", "Name"),), (("[1]",),))
    assert r"a\textbackslash{}b \{x\} \textasciitilde{}\textasciicircum{} {[}y]" in as_latex(table)
    assert "{[}1]" in as_latex(table)  # after \\ a bare [ would be an argument


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table("t", (Column("a", "A"),), (("1", "2"),))
