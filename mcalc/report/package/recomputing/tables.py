"""The numbers of the tables, computed again from the predictions and compared.

Cells that quote the paper or describe a run are not computed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit
from scipy.stats import binomtest

from .formulas import (
    Array,
    Row,
    Said,
    area,
    calibration,
    difference,
    jackknife,
    plain,
    read,
    scores_of,
    subset,
    temperature,
    tested,
    threshold,
)

HERE = Path(__file__).resolve().parents[1]
TABLES = HERE / "tables"
Scorers = Mapping[str, tuple[Said, Mapping[str, Array]]]
"""Run -> what its network said, and each baseline's probabilities by title."""
STRATA = ("BENIGN", "BENIGN_WITHOUT_CALLBACK")
DESCRIPTIONS = {
    "density": "density", "view": "view", "type": "calc_type", "subtlety": "subtlety",
}  # fmt: skip
"""What parts of the units are by -> the column of samples.csv."""
BASELINES = {
    "crop size": "probability_size",
    "descriptors": "probability_descriptors",
    "with BI-RADS": "probability_descriptors_assessment",
}
"""Their titles in the tables -> the column of samples.csv."""
LONG_TITLES = {
    "crop size alone": "crop size",
    "radiologist's descriptors": "descriptors",
    "descriptors and BI-RADS assessment": "with BI-RADS",
}
"""Their titles in the table of baselines."""
NETWORKS = "networks, mean"
NUMBER = set("0123456789.,+-\u2212\u2013<toSDe ")
"""What cells of numbers and intervals are made of."""


class Check:
    """Counts cells that agree, and prints those that do not."""

    def __init__(self) -> None:
        self.same, self.wrong = 0, 0
        self.columns: dict[str, set[str]] = defaultdict(set)
        """Of each table those that were looked at."""

    def cell(self, table: str, row: str, column: str, stored: str, computed: float) -> None:
        """Compare a number as the table rounds it."""
        stored = plain(stored or "").replace("\u2212", "-")
        self.columns[table].add(column)
        if not stored:
            return  # the table leaves it out, as where it is not defined
        if stored.startswith("<"):
            ok = computed < float(stored[1:])
        else:
            digits = len(stored.partition(".")[2])
            # the last digit may round either way, and optimisers differ in the seventh
            room = 0.5000001 * 10.0**-digits + 2e-6 * abs(computed)
            ok = abs(float(stored) - computed) <= room
        self.same += ok
        if not ok:
            self.wrong += 1
            print(f"DIFFERS {table} {row} {column}: {stored}, computed {computed}")


def check_rows(
    check: Check, trials: Mapping[str, Said], evidence: Mapping[str, Sequence[Row]]
) -> None:
    """Tables 1, 2, 5 and 6 and the table of scores: a row for each trial, or for several seeds."""
    for name in ("table1", "table2", "table5", "table6", "scores", "trials"):
        for row in read(TABLES / f"{name}.csv"):
            ids = (row.get("run_id") or row.get("run_ids", "")).split()
            if not ids or not set(ids) <= trials.keys() or row.get("source", "ours") != "ours":
                continue
            every = [
                scores_of(trials[each]) | by_class(trials[each], evidence[each]) for each in ids
            ]
            for column in row.keys() & every[0].keys():
                values = [one[column] for one in every]
                if len(ids) > 1 and column.endswith(("_low", "_high", "_se")):
                    continue
                check.cell(name, row["name"], column, row[column], float(np.mean(values)))
            for column in ("accuracy", "auc", "recall", "precision", "specificity", "f_measure"):
                if len(ids) > 1 and row.get(f"{column}_sd"):
                    spread = float(np.std([one[column] for one in every], ddof=1))
                    check.cell(name, row["name"], f"{column}_sd", row[f"{column}_sd"], spread)


def by_class(said: Said, rows: Sequence[Row]) -> dict[str, float]:
    """AUC and specificity against each class of benign units, where the record knows them."""
    found = {}
    parts = {value: members for by, value, members in strata(said, rows) if by == "benign class"}
    for name, short in zip(STRATA, ("benign", "without_callback"), strict=True):
        if name in parts:
            benign = parts[name] & (said.labels == 0)
            part = subset(said, parts[name])
            found[f"auc_{short}"] = area(part, part.probabilities)[0]
            found[f"specificity_{short}"] = float((said.probabilities[benign] <= 0.5).mean())
    return found


def strata(said: Said, rows: Sequence[Row]) -> list[tuple[str, str, Array]]:
    """By what, which value, and which units: a unit is in the stratum of each of its lesions."""
    lesions: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["subset"] == "reported":
            lesions[plain(row["unit"])].append(row)
    if not all(each in lesions for each in said.ids):
        return []
    positive = said.labels == 1
    names = [{row["pathology"] for row in lesions[each]} for each in said.ids]
    called_back = np.array(["BENIGN" in each for each in names]) & ~positive
    without = ~positive & ~called_back
    found = [("all", "all", np.ones(positive.size, dtype=bool))]
    if called_back.any() and without.any():
        for name, benign in zip(STRATA, (called_back, without), strict=True):
            found.append(("benign class", name, positive | benign))
    for by, column in DESCRIPTIONS.items():
        values = [
            {value for row in lesions[each] for value in plain(row[column]).split(";")}
            for each in said.ids
        ]
        for value in sorted(set().union(*values)):
            members = np.array([value in each for each in values])
            found.append((by, value or "unknown", members))
    return found


def baselines(said: Said, rows: Sequence[Row], how: str) -> dict[str, Array]:
    """Each baseline's probability of the units reported, by its title in the tables."""
    found = {}
    for title, column in BASELINES.items():
        values: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            if row["subset"] == "reported" and row.get(column):
                values[plain(row["unit"])].append(float(row[column]))
        if all(each in values for each in said.ids):
            joint = np.max if how == "max" else np.mean
            found[title] = np.array([joint(values[each]) for each in said.ids])
    return found


def check_choices(
    check: Check,
    names: Mapping[str, str],
    trials: Mapping[str, Said],
    validations: Mapping[str, Said],
) -> None:
    """The operating point and the calibration of each trial."""
    for row in read(TABLES / "choosing.csv"):
        run = names.get(plain(row["name"]))
        if run is None:
            continue
        said, validation = trials[run], validations.get(run)
        half = scores_of(said)
        check.cell("choosing", row["name"], "auc", row["auc"], half["auc"])
        for column, key in (("sensitivity_half", "recall"), ("specificity_half", "specificity")):
            check.cell("choosing", row["name"], column, row[column], half[key])
        if validation is None or row["threshold_log_odds"] == "0.0":
            continue
        at = threshold(validation)
        check.cell("choosing", row["name"], "threshold", row["threshold"], float(expit(at)))
        found = scores_of(said, said.odds > at)
        for column, key in (("sensitivity", "recall"), ("specificity", "specificity")):
            check.cell("choosing", row["name"], column, row[column], found[key])
        value = area(validation, validation.probabilities)[0]
        check.cell("choosing", row["name"], "validation_auc", row["validation_auc"], value)
    for row in read(TABLES / "calibration.csv"):
        run = names.get(plain(row["name"]))
        if run is None or run not in validations:
            continue
        said, by = trials[run], temperature(validations[run])
        columns = ("brier", "slope", "intercept")
        before = calibration(said.labels, said.odds)
        values = dict(zip(columns, before, strict=True)) | {"temperature": by}
        if not math.isnan(by):
            after = calibration(said.labels, said.odds / by)
            values |= {f"{name}_after": value for name, value in zip(columns, after, strict=True)}
        for column, value in values.items():
            check.cell("calibration", row["name"], column, row[column], value)


def check_differences(check: Check, names: Mapping[str, str], scorers: Scorers) -> None:
    """Pairs of networks, and of a network and a baseline, on the same units."""
    for row in read(TABLES / "differences.csv"):
        first = group(plain(row["first"]), names)
        second = group(plain(row["second"]), names)
        if first is None:
            continue
        one = scorers[first][0]
        if second is not None:
            other = scorers[second][0].probabilities
            if one.ids != scorers[second][0].ids:
                continue
        elif row["second"] in scorers[first][1]:
            other = scorers[first][1][row["second"]]
        else:
            continue
        value, low, high, p = difference(one, one.probabilities, other)
        right = [(each > 0.5) == (one.labels == 1) for each in (one.probabilities, other)]
        gap = right[0].astype(float) - right[1]
        variance = 0.0 if np.array_equal(*right) else jackknife(gap, one.patients)
        accuracy = tested(gap.mean(), variance, len(np.unique(one.patients)) - 1)
        alone = [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())]
        exact = binomtest(alone[0], sum(alone)).pvalue if sum(alone) else 1.0
        computed = {
            "difference": value, "low": low, "high": high, "p": p, "mcnemar": exact,
            "accuracy_difference": accuracy[0], "accuracy_low": accuracy[1],
            "accuracy_high": accuracy[2],
        }  # fmt: skip
        pair = f"{row['first']} - {row['second']}"
        for column, number in computed.items():
            check.cell("differences", pair, column, row[column], number)


def check_parts(
    check: Check, names: Mapping[str, str], scorers: Scorers, evidence: Mapping[str, Sequence[Row]]
) -> None:
    """The case mix: each network and baseline on each part, where all report the same units."""
    if len({tuple(said.ids) for said, _ in scorers.values()}) != 1:
        return
    run = next(iter(scorers))
    said, known = scorers[run]
    networks = [each.probabilities for each, _ in scorers.values()]
    parts = {(by, value): members for by, value, members in strata(said, evidence[run])}
    for row in read(TABLES / "case_mix.csv"):
        members = parts.get((row["by"], plain(row["stratum"])))
        scores = [known[row["scorer"]]] if row["scorer"] in known else []
        if row["scorer"] == NETWORKS:
            scores = networks
        if plain(row["scorer"]) in names:
            scores = [scorers[names[plain(row["scorer"])]][0].probabilities]
        if members is None or not scores:
            continue
        part = subset(said, members)
        value, _, low, high = area(part, *(each[members] for each in scores))
        counts = (members.sum(), part.labels.sum(), len(np.unique(part.patients)))
        columns = ("n", "malignant", "patients", "auc", "low", "high")
        where = f"{row['by']} {row['stratum']} {row['scorer']}"
        for column, number in zip(columns, (*counts, value, low, high), strict=True):
            check.cell("case_mix", where, column, row[column], float(number))
    for row in read(TABLES / "baselines.csv"):
        title = LONG_TITLES.get(row["scorer"], "")
        scores = networks if row["scorer"].startswith(NETWORKS) else []
        if title in known:
            scores = [known[title]]
        if not scores:
            continue
        value, _, low, high = area(said, *scores)
        rates = [((each > 0.5) == (said.labels == 1)).mean() for each in scores]
        computed = {"auc": value, "auc_low": low, "auc_high": high, "accuracy": np.mean(rates)}
        for column, number in computed.items():
            check.cell("baselines", row["scorer"], column, row[column], float(number))


def check_repetitions(check: Check, configurations: Mapping[str, Sequence[Said]]) -> None:
    """Mean and SD over seeds and folds of one configuration."""
    for row in read(TABLES / "repetitions.csv"):
        found = [scores_of(said) for said in configurations.get(plain(row["name"]), ())]
        for column in ("accuracy", "auc"):
            values = [each[column] for each in found]
            if len(values) > 1:
                check.cell("repetitions", row["name"], column, row[column], float(np.mean(values)))
                spread = float(np.std(values, ddof=1))
                check.cell("repetitions", row["name"], f"{column}_sd", row[f"{column}_sd"], spread)


def group(text: str, names: Mapping[str, str]) -> str | None:
    """The run of a name, or of several that are one network (`AL5, AL6`, `AL5–AL7`)."""
    for part in (text, text.split(", ")[0], text.split(" + ")[0], text.split("\u2013")[0]):
        if part in names:
            return names[part]
    return None


def holds_numbers(rows: Sequence[Row], column: str) -> bool:
    """Whether a column has results: numbers, intervals, and nothing else.

    Settings (`head.weight_lr`) and the parts of the case mix (`5` of subtlety) are none.
    """
    if "." in column or column == "stratum":
        return False
    cells = [plain(row.get(column) or "") for row in rows]
    known = [cell for cell in cells if any(sign.isdigit() for sign in cell)]
    return bool(known) and all(not set(cell) - NUMBER for cell in known)


def main() -> int:
    """Check every table; returns the exit status."""
    trials: dict[str, Said] = {}
    validations: dict[str, Said] = {}
    evidence: dict[str, list[Row]] = {}
    names: dict[str, str] = {}
    scorers: dict[str, tuple[Said, dict[str, Array]]] = {}
    configurations: dict[str, list[Said]] = defaultdict(list)
    for row in read(HERE / "trials.csv"):
        run, folder = row["run_id"], HERE / "trials" / row["run_id"]
        names[plain(row["name"])] = run
        trials[run] = Said(read(folder / "predictions.csv"))
        evidence[run] = read(folder / "samples.csv")
        scorers[run] = trials[run], baselines(trials[run], evidence[run], row["unit_score"])
        configurations[plain(row["configuration"])].append(trials[run])
        if rows := read(folder / "validation.csv"):
            validations[run] = Said(rows)
    check = Check()
    check_rows(check, trials, evidence)
    check_choices(check, names, trials, validations)
    check_differences(check, names, scorers)
    check_parts(check, names, scorers, evidence)
    check_repetitions(check, configurations)
    print(f"{check.same} numbers of {len(trials)} trials agree, {check.wrong} do not")
    for table in sorted(path.stem for path in TABLES.glob("*.csv")):
        rows = read(TABLES / f"{table}.csv")
        numbers = [column for column in rows[0] if holds_numbers(rows, column)] if rows else []
        others = [column for column in numbers if column not in check.columns[table]]
        if others:
            all_of_it = "" if check.columns[table] else " (the whole table)"
            print(f"not computed here: {table}: {', '.join(others)}{all_of_it}")
    return 1 if check.wrong or not check.same else 0
