"""Sentences that belong beside the numbers: what to be careful about, and how they were made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from mcalc.evaluation import Confusion, auc, auc_interval, majority_rate
from mcalc.paper import BENIGN, MALIGNANT, REPORTED
from mcalc.report.formats import counted, rounded_name
from mcalc.report.recorded import reported_auc, reported_baselines
from mcalc.results import RecordedTrial

_UNKNOWN = "not recorded"
_MOST_NAMED = 3
"""Trials that a sentence names by their settings."""

_PLURAL = {
    "lesion": "lesions",
    "finding": "findings",
    "image": "images",
    "breast": "breasts",
    "patient": "patients",
}
"""Value of data.unit -> what is counted."""


def cautions(trials: Sequence[RecordedTrial]) -> tuple[str, ...]:
    """What a reader must know before believing a number, most important first."""
    if not trials:
        return ()
    found: list[str] = []
    phantoms = [trial for trial in trials if trial.params.get("data.source") == "phantom"]
    # most records have a warning that says so
    phantoms = [trial for trial in phantoms if not any("phantom" in t for t in trial.warnings)]
    if phantoms:
        found.append(
            f"Phantom data{_whose(phantoms, trials)}: the images are synthetic, so these numbers "
            "show that the machinery works and say nothing about mammograms."
        )
    warned = _warnings(trials)
    # that nothing is said of mammograms matters more than any number
    synthetic = [text for text in warned if "phantom" in text]
    found += synthetic
    found += _versions(trials)
    found.extend(_says_nothing(trials))
    copied = [t for t in trials if t.tags.get("mcalc.protocol") == "paper_augment_first"]
    if copied:
        leak = grouped(copied, _tag("leak"))
        found.append(
            f"Protocol paper_augment_first{_whose(copied, trials)}: images were augmented before "
            f"the split, so that copies of one lesion are trained on and reported (here: {leak}). "
            "This tests how the paper may have come by its 901 images; it says nothing about "
            "lesions that were never seen."
        )
    paper = [trial for trial in trials if trial.tags.get("mcalc.protocol") == "paper"]
    published = [trial for trial in paper if _stops_on_reported(trial)]
    if published:
        leak = grouped(published, _tag("leak"))
        found.append(
            f"Protocol paper{_whose(published, trials)}: as published, the held-out part both "
            "stops training and is reported, and a patient may have lesions in both subsets of "
            f"the split (here: {leak}); accuracies are optimistic. protocol=patient keeps patients "
            "apart."
        )
    explained = {trial.run_id for trial in (*published, *copied)}
    others = [trial for trial in trials if trial.run_id not in explained]
    leaking = [trial for trial in others if trial.tags.get("mcalc.leak", "none") != "none"]
    if leaking:
        found.append(f"The split{_whose(leaking, trials)} leaks: {grouped(leaking, _tag('leak'))}.")
    found += [text for text in warned if text not in synthetic]
    if len({trial.predictions.ids for trial in trials}) > 1:
        found.append(
            "The trials do not report on the same lesions, so a difference between two rows may be "
            "one between lesions."
        )
    patient = [trial for trial in trials if trial.param("stopping.patience") is not None]
    unstopped = [t for t in patient if t.tags.get("mcalc.stop_reason", "patience") != "patience"]
    if unstopped:
        found.append(_unused_patience(unstopped, patient, trials))
    found.extend(_contradictions(trials))
    return tuple(found)


def provenance(trials: Sequence[RecordedTrial]) -> tuple[str, ...]:
    """How the numbers were made: set, baselines, protocol, weights, data, device and scale."""
    if not trials:
        return ()

    def tag(name: str) -> str:
        return grouped(trials, _tag(name))

    majority = grouped(trials, lambda trial: f"{majority_rate(trial.predictions.labels):.4f}")
    return (
        f"Reported set: {grouped(trials, _reported)}. The paper's has {REPORTED} images "
        f"({BENIGN} benign, {MALIGNANT} malignant): counts compare only where n is the same, "
        "rates always.",
        f"Intervals are 95 %: {_interval_method(trials)}",
        f"Always giving the commoner class scores {majority}; in the paper "
        f"{BENIGN / REPORTED:.4f}.",
        f"Crop size alone (no pixel read) reaches {grouped(trials, _area('size'))}; a network has "
        "learnt something from the image only where its AUC is above that.",
        "What the radiologist wrote down reaches without the BI-RADS assessment "
        f"{grouped(trials, _area('descriptors'))}, with it "
        f"{grouped(trials, _area('descriptors_assessment'))}.",
        f"Protocol: {tag('protocol')}; leak: {tag('leak')}.",
        f"Weights: {tag('weights')}.",
        f"Data: {tag('data')}; fingerprint {tag('fingerprint')}.",
        f"Device: {tag('device')}; arithmetic: {tag('precision')}.",
        f"Format of the record: {tag('format')}; code: {tag('git')}.",
        f"Scale: {grouped(trials, _scale)}.",
        f"Iterations trained: {_spread(trials, 'iterations')}; stopped by {tag('stop_reason')}.",
    )


def _warnings(trials: Sequence[RecordedTrial]) -> list[str]:
    """What was recorded as warnings, each once with the trials that have it."""
    warned: dict[str, list[RecordedTrial]] = {}
    for trial in trials:
        for text in dict.fromkeys(trial.warnings):
            warned.setdefault(text, []).append(trial)
    return [f"Warning{_whose(whose, trials)}: {text}" for text, whose in warned.items()]


def _versions(trials: Sequence[RecordedTrial]) -> list[str]:
    """That not all were computed by one version of the code's numerics."""
    if len({trial.numerics for trial in trials}) < 2:
        return []
    which = grouped(trials, lambda trial: f"{trial.numerics or _UNKNOWN}")
    return [
        f"Computed by several versions of the code's numerics: {which}. A mean over them, or a "
        "difference between them, may come from the code alone. The command of a sweep of rows "
        "computes anew what an older version did; a search goes on beside it."
    ]


def _unused_patience(
    unstopped: Sequence[RecordedTrial],
    patient: Sequence[RecordedTrial],
    trials: Sequence[RecordedTrial],
) -> str:
    """Of trials that their patience did not stop, among those that have one and among all."""
    if len(trials) == 1:
        return "Training ended at its limit, before the patience was used up."
    whose = "its" if len(unstopped) == 1 else "their"
    said = (
        f"{len(unstopped)} of {counted(len(patient), 'trial')} with a patience ended at {whose} "
        f"limit of training before it was used up ({names(unstopped, trials)})"
    )
    if len(unstopped) == 1:
        return f"{said}."
    return f"{said}; two of them that differ in patience alone are one network."


def _stops_on_reported(trial: RecordedTrial) -> bool:
    """Whether what is reported has also stopped training."""
    if trial.validation is not None:
        return False
    if trial.evidence or trial.params.get("protocol.split_file", "None") == "None":
        return trial.param("protocol.validation") is None or bool(trial.evidence)
    # an older record of a split that a file gave: the same lesions have the same figures
    area = trial.metrics.get("reported_val_auc", math.nan)
    return abs(area - reported_auc(trial)) < 1e-9


def _says_nothing(trials: Sequence[RecordedTrial]) -> list[str]:
    """Of networks that give one answer, or are right no more often than one answer would be."""
    one_class: dict[str, list[RecordedTrial]] = {}
    stuck = []
    for trial in trials:
        counts = Confusion.of(trial.predictions)
        if counts.tp + counts.fp in (0, counts.total):
            answer = "malignant" if counts.tp + counts.fp else "benign"
            one_class.setdefault(answer, []).append(trial)
        elif counts.accuracy <= majority_rate(trial.predictions.labels):
            stuck.append(trial)
    found = [
        f"At 0.5 every lesion is called {answer} by {_some(whose, trials)}: accuracy is then a "
        "share of the classes and says nothing of the network; its AUC may."
        for answer, whose in one_class.items()
    ]
    if stuck:
        found.append(
            f"No more accurate than always giving the commoner class: {_some(stuck, trials)}."
        )
    return found


def _some(chosen: Sequence[RecordedTrial], among: Sequence[RecordedTrial]) -> str:
    if len(chosen) == len(among):
        return "every network" if len(among) > 1 else "the network"
    return f"{len(chosen)} of {len(among)} networks ({names(chosen, among)})"


def _interval_method(trials: Sequence[RecordedTrial]) -> str:
    if all(trial.predictions.patients for trial in trials):
        return (
            "clustered by patient, as lesions of one patient are not independent. AUC: Obuchowski "
            "(1997), Student's t on the logit scale. Rates: Wilson's, of as many lesions as theirs "
            "are worth. intervals=independent gives those of independent lesions."
        )
    return (
        f"they take {units_of(trials)} as independent (asked for, or a record without patients). "
        "Several of one patient are not, which makes them too narrow: on this kind of data by a "
        "quarter to two fifths. AUC: DeLong, Student's t on the logit scale; rates: Wilson."
    )


def names(chosen: Sequence[RecordedTrial], among: Sequence[RecordedTrial]) -> str:
    """`AL1, AL5–AL7`: the chosen trials' names, with neighbours in `among` as a range."""
    run_ids = {trial.run_id for trial in chosen}
    return _at([index for index, trial in enumerate(among) if trial.run_id in run_ids], among)


def _at(places: Sequence[int], among: Sequence[RecordedTrial]) -> str:
    """As `names`, of the trials at these places, which ascend."""
    own = [rounded_name(among[place].name) for place in places]
    if any("," in name for name in own):
        # names of a sweep's settings: a range of them would say nothing
        more = [f"and {len(own) - _MOST_NAMED} more"] if len(own) > _MOST_NAMED + 1 else []
        return "; ".join(own[:_MOST_NAMED] + more if more else own)
    parts: list[str] = []
    # places that follow one another are as far from their index as the first of them
    for _, neighbours in groupby(enumerate(places), key=lambda pair: pair[1] - pair[0]):
        run = [among[place].name for _, place in neighbours]
        parts += run if len(run) <= 2 else [f"{run[0]}–{run[-1]}"]
    return ", ".join(parts)


def grouped(trials: Sequence[RecordedTrial], value: Callable[[RecordedTrial], str]) -> str:
    """The value where all trials share it, else each value with the trials that have it."""
    places: dict[str, list[int]] = {}
    for place, trial in enumerate(trials):
        places.setdefault(value(trial), []).append(place)
    if len(places) == 1:
        return next(iter(places))
    return "; ".join(f"{one} ({_at(whose, trials)})" for one, whose in places.items())


def _tag(name: str) -> Callable[[RecordedTrial], str]:
    """What gives a trial's tag `mcalc.<name>`."""
    return lambda trial: trial.tags.get(f"mcalc.{name}", _UNKNOWN)


def _whose(chosen: Sequence[RecordedTrial], among: Sequence[RecordedTrial]) -> str:
    return "" if len(chosen) == len(among) else f" ({names(chosen, among)})"


def _reported(trial: RecordedTrial) -> str:
    labels = trial.predictions.labels
    malignant = int(labels.sum())
    classes = f"{labels.size - malignant} benign, {malignant} malignant"
    return f"n = {labels.size} {_units(trial)} ({classes})"


def units_of(trials: Sequence[RecordedTrial]) -> str:
    """What trials are scored on, in the plural: `lesions`, `images`, `breasts` or `patients`."""
    return grouped(trials, _units) if trials else "lesions"


def _units(trial: RecordedTrial) -> str:
    word = _PLURAL.get(trial.params.get("data.unit", "lesion"), "lesions")
    copied = trial.tags.get("mcalc.protocol") == "paper_augment_first"
    return f"{word} and copies of {word}" if copied else word


def _area(baseline: str) -> Callable[[RecordedTrial], str]:
    """What gives the AUC of a baseline on a trial's reported set, with its interval, as text."""

    def text(trial: RecordedTrial) -> str:
        area = _metric(trial, f"{baseline}_auc")
        low, high = (_metric(trial, f"{baseline}_auc_{end}") for end in ("low", "high"))
        said, known = trial.predictions, reported_baselines(trial)
        if baseline in known:  # as all tables have it, whatever was recorded
            area = auc(said.labels, known[baseline])
            low, high = auc_interval(said.labels, known[baseline], said.patients or None)
        if math.isnan(area):
            return f"AUC {_UNKNOWN}"
        interval = "" if math.isnan(low + high) else f" ({low:.3f}–{high:.3f})"
        return f"AUC {area:.3f}{interval}"

    return text


def _scale(trial: RecordedTrial) -> str:
    def known(key: str) -> str:
        value = trial.param(key)
        return _UNKNOWN if value is None else f"{value}"

    limit = trial.param("trainer.max_iterations")
    iterations = "" if limit is None else f" or {_of(limit, 'iteration')}"
    every = trial.param("trainer.val_every")
    parts = [
        f"at most {_of(trial.param('trainer.max_epochs'), 'epoch')}{iterations}",
        f"batches of {known('trainer.batch_size')}",
        "validation every iteration"
        if every == 1
        else f"validation every {_of(every, 'iteration')}",
        f"base rate {known('trainer.lr')}",
    ]
    if trial.params.get("data.source") == "phantom":
        parts.append(_of(trial.param("data.phantom.lesions"), "phantom lesion"))
    return ", ".join(parts)


def _of(value: object, one: str) -> str:
    """A recorded number with its noun, or that it is not recorded."""
    return counted(value, one) if isinstance(value, int) else f"{value or _UNKNOWN} {one}s"


def _spread(trials: Sequence[RecordedTrial], key: str) -> str:
    values = [trial.metrics[key] for trial in trials if not math.isnan(_metric(trial, key))]
    if not values:
        return _UNKNOWN
    low, high = min(values), max(values)
    return f"{low:.0f}" if low == high else f"{low:.0f}–{high:.0f}"


def _metric(trial: RecordedTrial, key: str) -> float:
    return trial.metrics.get(key, math.nan)


def _contradictions(trials: Sequence[RecordedTrial]) -> list[str]:
    """Recorded accuracies that the recorded predictions do not give."""
    found = []
    for trial in trials:
        recorded, own = _metric(trial, "accuracy"), Confusion.of(trial.predictions).accuracy
        if abs(recorded - own) > 1e-6:  # never where one is not recorded, nan
            found.append(
                f"{trial.name}: the record's accuracy {recorded:.4f} is not that of its "
                f"predictions, {own:.4f}; the predictions are shown."
            )
    return found
