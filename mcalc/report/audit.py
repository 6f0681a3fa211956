"""The paper audited by its own numbers, as tables: what its rows can show, and what they cannot.

Every figure is computed here from the printed tables and, where they are at hand, from the four
case CSVs of CBIS-DDSM. `python -m mcalc.paper` prints the tables, and the report shows them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mcalc.data.sources.cbis_ddsm import Case
from mcalc.paper import BENIGN, MALIGNANT, NETWORK_TITLES, NETWORKS, PAPER_TRIALS, REPORTED
from mcalc.paper.noise import best, difference, difference_of_runs, noise
from mcalc.paper.recomputed import Printed, cells, differing_accuracies, other_digits, totals
from mcalc.report.audit_901 import counts_table, hypotheses_table, sizes_table
from mcalc.report.formats import Column, Table, numbers

WITHOUT_CSVS = (
    "The four case CSVs of CBIS-DDSM were not named, so what needs them is left out: "
    "data.csv_dir=PATH."
)


def audit(cases: Sequence[Case] | None) -> dict[str, Table]:
    """The tables of the audit by name, in the order of reading.

    Args:
        cases: every row of the four case CSVs; None leaves out what needs them, and says so.
    """
    found = {
        "noise": _noise_table(),
        "networks": _networks_table(),
        "best": _best_table(),
        "recomputed": _recomputed_table(),
        "sizes": sizes_table(),
        "hypotheses": hypotheses_table(cases),
    }
    if cases is None:
        found["hypotheses"] = _with_note(found["hypotheses"], WITHOUT_CSVS)
    else:
        found["counts"] = counts_table(cases)
    return found


def _with_note(table: Table, note: str) -> Table:
    return Table(table.title, table.columns, table.rows, (note, *table.notes))


def _noise_table() -> Table:
    columns = (
        Column("network", "Network", text=True),
        *numbers(sd_alike="SD, patience alone", standard_error="Binomial SE"),
        *numbers(p_sampling="p, sampling", sd_others="SD, others"),
        *numbers(f="F", p="p", f_needed="F at 0.05"),
    )
    rows, notes = [], []
    for network, trials in PAPER_TRIALS.items():
        found = noise(trials)
        rows.append(
            (
                NETWORK_TITLES[network], f"{found.sd_alike:.3f}", f"{found.standard_error:.3f}",
                f"{found.p_sampling:.3f}", f"{found.sd_others:.3f}", f"{found.f_ratio:.2f}",
                f"{found.p_f:.2f}", f"{found.f_needed:.1f}",
            )
        )  # fmt: skip
        notes.append(
            f"{NETWORK_TITLES[network]}: {_listed(found.alike)} differ in patience alone; "
            f"{_listed(found.others)} differ in rates or L2."
        )
    p_values = [noise(trials).p_f for trials in PAPER_TRIALS.values()]
    verdict = (
        "The rows that differ in rates or L2 do not spread significantly more than those that "
        "differ in patience alone: these tables show no effect of rates or L2."
        if min(p_values) >= 0.05
        else "In one network the rows that differ in rates or L2 spread significantly more than "
        "those that differ in patience alone."
    )
    return Table(
        "Noise: accuracies of rows that differ in patience alone, and of the others",
        columns,
        tuple(rows),
        (
            verdict,
            "That is not evidence of no effect: so few rows would show only a spread whose "
            "variance is as many times higher as the last column says.",
            "Binomial SE: of one accuracy on as many independent images. The rows share their "
            "images, so sampling alone would spread them less than that. p, sampling: "
            "chi-square; F: variance of the other rows over that of the rows alike, upper tail.",
            *notes,
        ),
    )


def _networks_table() -> Table:
    first, second = (PAPER_TRIALS[network] for network in NETWORKS)
    columns = (
        Column("pairs", "Pairs of rows", text=True),
        *numbers(n="n", mean="Mean difference", low="95% from", high="95% to", t="t", p="p"),
    )
    found = {
        "all rows": difference(first, second),
        "patience alone as one row": difference_of_runs(first, second),
    }
    rows = tuple(
        (
            name, str(each.pairs), f"{each.mean:+.3f}", f"{each.low:+.3f}", f"{each.high:+.3f}",
            f"{each.t:.2f}", f"{each.p:.4f}",
        )
        for name, each in found.items()
    )  # fmt: skip
    stands = all(each.p < 0.05 for each in found.values())
    names = " over ".join(NETWORK_TITLES[network] for network in NETWORKS)
    return Table(
        f"{names}: difference of accuracies, paired by row",
        columns,
        rows,
        (
            f"{names} {'does stand' if stands else 'does not stand'} in these rows, by Student's "
            "paired t. It is of one split of one data set, on images that both were tuned on.",
        ),
    )


def _best_table() -> Table:
    columns = (
        Column("network", "Network", text=True),
        Column("row", "Best row", text=True),
        *numbers(correct="Correct", accuracy="Accuracy", low="95% from", high="95% to"),
        *numbers(mean="Mean of rows", above="Above the mean", by_chance="By chance"),
    )
    rows = []
    for network, trials in PAPER_TRIALS.items():
        top = best(trials)
        rows.append(
            (
                NETWORK_TITLES[network], top.name, f"{top.correct}/{top.total}",
                f"{top.accuracy:.4f}", f"{top.low:.3f}", f"{top.high:.3f}", f"{top.mean:.3f}",
                f"{top.above:+.3f}", f"{top.by_chance:+.3f}",
            )
        )  # fmt: skip
    return Table(
        "The best rows, chosen on the images that they are reported on",
        columns,
        tuple(rows),
        (
            "Wilson's interval says how far other images would move one accuracy that was fixed "
            "beforehand. It does not allow for the choice of the best row, nor for training, which "
            "moves a row as the first table shows. It takes images as independent: views of one "
            "breast, or copies of one image, are not, so it is too narrow.",
            "By chance: how far the best of ten equal rows lies above their mean on average, where "
            "they spread as the rows that differ in patience alone do (normal distribution).",
        ),
    )


def _recomputed_table() -> Table:
    every = cells()
    columns = (
        Column("table", "Table", text=True),
        Column("quantity", "Quantity", text=True),
        *numbers(cells="Cells", rounded="Rounded", cut="Cut off", twice="Rounded twice"),
        *numbers(otherwise="Otherwise", largest="Largest difference", beyond="1e-4 or more"),
    )
    rows = []
    for table, quantity in dict.fromkeys((cell.table, cell.quantity) for cell in every):
        group = [cell for cell in every if (cell.table, cell.quantity) == (table, quantity)]
        ways = Counter(cell.how for cell in group)
        rows.append(
            (
                table, quantity, str(len(group)), str(ways[Printed.ROUNDED] + ways[Printed.EXACT]),
                str(ways[Printed.CUT]), str(ways[Printed.TWICE]), str(ways[Printed.OTHERWISE]),
                f"{max(abs(cell.off) for cell in group):.1e}",
                str(sum(not cell.agrees for cell in group)),
            )
        )  # fmt: skip
    beyond = [cell for cell in every if not cell.agrees]
    agree = (
        f"All {len(every)} values of Tables 1, 2 and 6, and the accuracies of Table 5, are within "
        "1e-4 of what Table 5's counts give."
        if not beyond
        else f"{len(beyond)} of {len(every)} values are not what Table 5's counts give: "
        + "; ".join(
            f"Table {cell.table} {cell.row} {cell.quantity} {cell.printed}, computed "
            f"{float(cell.exact):.4f}"
            for cell in beyond
        )
        + "."
    )
    odd = [cell for cell in every if cell.how in (Printed.CUT, Printed.TWICE, Printed.OTHERWISE)]
    named = ", ".join(f"{cell.row} {cell.quantity} (Table {cell.table})" for cell in odd)
    same = differing_accuracies()
    fewer = other_digits()
    sums = totals([trial for trials in PAPER_TRIALS.values() for trial in trials])
    return Table(
        "Tables 1, 2, 5 and 6, computed again from the counts of Table 5",
        columns,
        tuple(rows),
        (
            agree,
            f"Not rounded as usual: {named}." if odd else "Every value is rounded as usual.",
            "Tables 1 and 2 against Table 5: "
            + (f"accuracies differ in {'; '.join(same)}." if same else "no accuracy differs")
            + (
                ""
                if same
                else f"; printed with other digits: {', '.join(fewer)}."
                if fewer
                else "."
            ),
            "Rows of Table 5 sum to "
            + " or ".join(f"{benign} benign + {malignant} malignant" for benign, malignant in sums)
            + f" = {REPORTED} images."
            if sums == {(BENIGN, MALIGNANT)}
            else f"Rows of Table 5 do not all sum to {BENIGN} benign + {MALIGNANT} malignant.",
        ),
    )


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
