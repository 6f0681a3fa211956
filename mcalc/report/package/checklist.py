"""A reporting checklist, filled in as far as the record knows.

The items are those of CLAIM in its 2024 update, in our own short words (A. S. Tejani et al.,
Radiology: Artificial Intelligence 6 (2024) e240300; https://doi.org/10.1148/ryai.240300).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial

from mcalc.evaluation import METRICS, can_decide
from mcalc.report.cautions import grouped
from mcalc.results import RecordedTrial

Answer = Callable[[Sequence[RecordedTrial]], str]


def checklist(trials: Sequence[RecordedTrial]) -> str:
    """A Markdown table: number, item, what the record says, page (for the authors)."""
    lines = [
        "# Reporting checklist",
        "",
        "Items of CLAIM 2024 (https://doi.org/10.1148/ryai.240300), in short words. The third "
        "column is what the record knows; empty cells are for the authors.",
        "",
        "| | item | from the record | page |",
        "|---|---|---|---|",
    ]
    for number, (item, answer) in enumerate(ITEMS, start=1):
        said = answer(trials) if answer else ""
        lines.append(f"| {number} | {item} | {said.replace('|', '/')} | |")
    return "\n".join(lines) + "\n"


def _tag(name: str, before: str = "") -> Answer:
    return lambda trials: before + grouped(trials, lambda trial: trial.tags.get(name, "unknown"))


def _settings(keys: str) -> Answer:
    """The values of settings whose keys are divided by spaces."""

    def answer(trials: Sequence[RecordedTrial]) -> str:
        return "; ".join(
            f"{key}: {grouped(trials, partial(_shown, key))}"
            for key in keys.split()
            if any(key in trial.params for trial in trials)
        )

    return answer


def _shown(key: str, trial: RecordedTrial) -> str:
    return str(trial.param(key))


def _metrics(trials: Sequence[RecordedTrial]) -> str:
    further = {name for trial in trials for name in trial.further_metrics}
    return ", ".join([*(metric.name for metric in METRICS), *sorted(further)])


def _intervals(_: Sequence[RecordedTrial]) -> str:
    return (
        "95 % intervals clustered by patient: AUC by Obuchowski (1997) on the logit scale, rates "
        "by Wilson with a design effect; paired differences with Holm's correction"
    )


def _software(trials: Sequence[RecordedTrial]) -> str:
    return grouped(trials, lambda trial: _as_list(trial.tags.get("mcalc.versions", "unknown")))


def _as_list(recorded: str) -> str:
    """`torch 2.15.0, numpy 2.4.1` of the JSON that a record keeps."""
    try:
        return ", ".join(f"{name} {number}" for name, number in json.loads(recorded).items())
    except (ValueError, AttributeError):
        return recorded


def _counts(trials: Sequence[RecordedTrial]) -> str:
    def of(trial: RecordedTrial) -> str:
        said = trial.predictions
        patients = f" of {len(set(said.patients))} patients" if said.patients else ""
        return f"{said.labels.size} reported ({int(said.labels.sum())} malignant){patients}"

    return grouped(trials, of)


def _threshold(trials: Sequence[RecordedTrial]) -> str:
    fixed = sum(can_decide(trial.validation) for trial in trials)
    return (
        f"0.5, as published; for {fixed} of {len(trials)} networks also one fixed on the lesions "
        "that stopped training (table of choice and operating point)"
    )


ITEMS: tuple[tuple[str, Answer | None], ...] = (
    ("title or abstract name the kind of AI", _settings("backbone.name")),
    ("structured abstract", None),
    ("background, clinical role", None),
    ("aims and hypotheses", None),
    ("prospective or retrospective", lambda _: "retrospective, on a recorded data set"),
    ("study goal", None),
    ("data sources", _tag("mcalc.data")),
    ("inclusion and exclusion", _settings("data.min_completeness data.benign_without_callback")),
    (
        "preprocessing",
        _settings("data.region data.fit data.clahe.enabled data.clahe.clip_limit data.clahe.tiles"),
    ),
    ("selection of data subsets", _settings("data.csv_split")),
    ("de-identification", None),
    ("missing data", _settings("data.min_completeness")),
    ("image acquisition", None),
    ("definition of the reference standard", lambda _: "the data set's verified pathology"),
    ("rationale for the reference standard", None),
    ("source of annotations", None),
    ("annotation of the test set", None),
    ("variability of annotations", None),
    (
        "how data were assigned to partitions",
        _settings("protocol.name protocol.held_out protocol.validation protocol.seed seed"),
    ),
    ("level at which partitions are disjoint", _tag("mcalc.leak", "on both sides of the split: ")),
    ("intended sample size", None),
    ("model: inputs, outputs, layers", _settings("backbone.name data.unit")),
    ("software libraries, versions", _software),
    ("initialisation of parameters", _tag("mcalc.weights")),
    (
        "training: augmentation, rates, batches, stopping",
        _settings(
            "augment.enabled trainer.lr trainer.batch_size trainer.max_epochs "
            "trainer.max_iterations stopping.patience head.weight_lr head.bias_lr "
            "head.weight_l2"
        ),
    ),
    ("selection of the final model", _settings("stopping.network")),
    ("ensembles", lambda _: "none in these tables"),
    ("metrics of performance", _metrics),
    ("statistical uncertainty", _intervals),
    ("robustness and sensitivity", None),
    ("explainability", None),
    ("evaluation on internal data", _counts),
    ("evaluation on external data", None),
    ("registration of a trial or protocol", None),
    ("numbers of patients and images, flow", _counts),
    ("demographics and clinical characteristics", None),
    ("performance: metrics and their values", lambda _: "tables/"),
    ("performance: estimates with intervals, threshold", _threshold),
    ("failure analysis", None),
    ("limitations", None),
    ("implications for practice", None),
    ("reference to the full protocol", None),
    ("availability of software, models and data", _tag("mcalc.git", "code: ")),
    ("funding and role of funders", None),
)
"""Each with what answers it from the record; None where only the authors can."""
