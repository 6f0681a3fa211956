"""What becomes of a trial: the shapes that training and recording write and reports read."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcalc.errors import UserError, shown

if TYPE_CHECKING:  # a tenth of a second, before a mistyped name of a sweep is answered
    import numpy as np
    import numpy.typing as npt

RECORD_FORMAT = 1
"""Format of the record in MLflow and Optuna. A record without a number is older than the first."""


def check_format(number: object, what: str) -> None:
    """Raise UserError where a record's format number is one that this version does not know.

    `what` names the part of the record, for the message; None is a record before the first format.
    """
    if number is not None and not str(number).isdecimal():
        raise UserError(
            f"{what} says that its format is {shown(number)}, which is no number: put a copy of "
            "the record back"
        )
    if number is not None and int(str(number)) > RECORD_FORMAT:
        raise UserError(
            f"{what} was recorded in format {number}, but this mcalc reads formats up to "
            f"{RECORD_FORMAT}: use the version of mcalc that wrote it, or a newer one"
        )


@dataclass(frozen=True)
class Predictions:
    """Of a subset of a split, one entry per lesion, all of one length, in the split's order."""

    ids: tuple[str, ...]
    """A lesion's id, or a scoring unit's."""
    labels: npt.NDArray[np.int64]
    """0 benign, 1 malignant; shape (n,)."""
    probabilities: npt.NDArray[np.float64]
    """Probability of malignant, 0..1; shape (n,)."""
    patients: tuple[str, ...] = ()
    """Of each its patient; empty where the record is older than that."""
    logits: npt.NDArray[np.float64] | None = None
    """What the network gave for each class, shape (n, classes); of scoring units the log odds of
    malignant, shape (n, 1). None where the record is older than that."""


@dataclass(frozen=True)
class CurvePoint:
    """One validation evaluation, and training since the one before."""

    iteration: int
    epoch: float
    train_loss: float
    """Mean cross-entropy over the iterations since the last point."""
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_auc: float = math.nan


@dataclass(frozen=True)
class TrialResult:
    """What training gives for one trial."""

    name: str
    key: str
    """Identity of the trial (`mcalc.config.identity`)."""
    iterations: int
    """Iterations until it stopped."""
    stop_reason: str
    """`patience`, `max_epochs` or `max_iterations`."""
    reported_iteration: int
    """Iteration of the network reported: the last one, or the best one's."""
    predictions: Predictions
    """Of the samples reported."""
    curve: tuple[CurvePoint, ...]
    seconds: float
    """Wall time of its training run up to where it stopped."""
    validation: Predictions | None = None
    """Of the samples that stopped training; None where those are what is reported."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended, in plain data that travels between processes."""

    name: str
    key: str
    state: str
    """`finished`, `pruned`, `failed`, `skipped` (it was finished or pruned before) or `left` (to
    another worker)."""
    run_id: str | None
    """Its MLflow run; None where none was opened."""
    metrics: dict[str, float]
    error: str | None = None
    retry: bool = True
    """After a failure: whether another attempt may succeed (not after a divergence)."""
    manifest: str = ""
    """SHA-256 of what its run consists of (`mcalc.tracking.manifest`), once it is closed."""


@dataclass(frozen=True)
class Evidence:
    """What is known of a lesion on a sample that is reported or stops training."""

    subset: str
    """`reported` or `validation`."""
    unit: str
    """Its scoring unit, as in `Predictions.ids`."""
    known: Mapping[str, str]
    """The columns of samples.csv (docs/inference.md) as text; empty where a value is not known."""


@dataclass(frozen=True)
class Artifacts:
    """The files of a finished trial's run that the report needs."""

    predictions: Predictions
    curve: tuple[CurvePoint, ...] = ()
    crops: dict[str, str] = field(default_factory=dict)
    """Lesion id -> path of a small PNG of its prepared crop, where kept."""
    validation: Predictions | None = None
    """Of the scoring units that stopped training; None where they are those reported, or where the
    record is older than that."""
    evidence: tuple[Evidence, ...] = ()
    """What is known of each lesion without the network; empty in an older record."""
    masks: dict[str, str] = field(default_factory=dict)
    """Lesion id -> path of a PNG of its outline, white on the lesion, as its crop is prepared;
    empty in an older record, and where the data has no masks."""
    network: Callable[[], AbstractContextManager[Path]] | None = field(default=None, compare=False)
    """Gives the file of the network's weights while a block runs, fetched where a server has it;
    None where they were not kept."""
    kept: object = field(default=None, repr=False, compare=False)
    """Whatever has to live as long as the paths above are used."""


@dataclass(frozen=True)
class RecordedTrial:
    """A trial's MLflow run as read back."""

    run_id: str
    name: str
    """`AL1` .. `GL10` in the paper's sweeps."""
    state: str
    """`running`, `finished`, `pruned`, `failed` or `interrupted`."""
    params: dict[str, str]
    """Flat config: `head.weight_lr` -> `10.0`."""
    metrics: dict[str, float]
    tags: dict[str, str]
    artifacts: Artifacts | None = None
    """None where only the run itself was read."""
    ended: str = ""
    """When its run was closed: `2026-11-27 06:51 UTC`; empty where that is not known."""
    since: int = 0
    """From when on it counts of its name: as it began or was asked for again, ms since 1970."""

    @property
    def key(self) -> str:
        """Identity of the trial."""
        return self.tags.get("mcalc.key", "")

    @property
    def manifest(self) -> str:
        """SHA-256 of what the run consists of; empty for one that is open, or older than that."""
        return self.tags.get("mcalc.manifest", "")

    @property
    def outcome(self) -> Outcome:
        """How the trial ended, for a run that has ended."""
        return Outcome(
            self.name, self.key, self.state, self.run_id, self.metrics, manifest=self.manifest
        )

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its key took beside settings and data; nothing where a record does not say."""
        try:
            known = json.loads(self.tags.get("mcalc.identity", "{}"))
        except ValueError:
            return {}
        return known if isinstance(known, dict) else {}

    @property
    def numerics(self) -> int | None:
        """Version of the code's numerics that computed it; None where a record does not say."""
        found = self.identity.get("numerics")
        return found if isinstance(found, int) else None

    @property
    def ids(self) -> tuple[str, ...]:
        """By which a study may know it: a server that was away gives a run another id than ours."""
        others = (self.tags[tag] for tag in (LOCAL_TAG, SERVER_TAG) if tag in self.tags)
        return (self.run_id, *others)

    @property
    def superseded(self) -> bool:
        """Whether a later run of the same trial replaces it."""
        return SUPERSEDED_TAG in self.tags

    @property
    def warnings(self) -> tuple[str, ...]:
        """Fallbacks and allowances that a reader must see."""
        return tuple(json.loads(self.tags.get("mcalc.warnings", "[]")))

    @property
    def predictions(self) -> Predictions:
        """Predictions of the reported set. Raises ValueError if artifacts were not read."""
        return self._artifacts().predictions

    @property
    def curve(self) -> tuple[CurvePoint, ...]:
        """Validation evaluations in order. Raises ValueError if artifacts were not read."""
        return self._artifacts().curve

    @property
    def crops(self) -> dict[str, str]:
        """Paths of small PNGs by lesion id. Raises ValueError if artifacts were not read."""
        return self._artifacts().crops

    @property
    def masks(self) -> dict[str, str]:
        """Paths of outlines by lesion id. Raises ValueError if artifacts were not read."""
        return self._artifacts().masks

    @property
    def network(self) -> Callable[[], AbstractContextManager[Path]] | None:
        """Gives the file of the network's weights while a block runs; None where none is kept."""
        return self._artifacts().network

    @property
    def validation(self) -> Predictions | None:
        """Predictions of what stopped training, where it was apart and is recorded."""
        return self._artifacts().validation

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What is known of each lesion; empty in an older record."""
        return self._artifacts().evidence

    def _artifacts(self) -> Artifacts:
        if self.artifacts is None:
            raise ValueError(f"the artifacts of {self.name} were not read")
        return self.artifacts

    @property
    def further_metrics(self) -> tuple[str, ...]:
        """Names in the setting `metrics`: metrics of installed packages recorded with the trial."""
        return tuple(ast.literal_eval(self.params.get("metrics", "[]")))

    def param(self, key: str) -> Any:
        """A parameter as a number where it is one, else as text, None for 'None'."""
        text = self.params.get(key)
        if text is None or text == "None":
            return None
        try:
            value = float(text)
        except ValueError:
            return text
        return int(value) if value.is_integer() else value


VALIDATION_AUC = "validation_auc"
"""Metric of a trial: its AUC on what stopped training, where nothing of that is reported."""
ERROR_TAG = "mcalc.error"
"""Tag of a run that ended without a result: why."""
SUPERSEDED_TAG = "mcalc.superseded_by"
"""Tag of a run that a later run of the same trial replaces."""
ASKED_AGAIN_TAG = "mcalc.asked_again"
"""Tag of a run that counts though a later one has its name: since when, in ms since 1970."""
RECORDED_AS_TAG = "mcalc.recorded_as"
"""Tag of a run whose row has another name now: the name that it was recorded with."""
FROM_RUN_TAG = "mcalc.from_run"
"""Tag of a re-run (`from_run=ID`): the run that it repeats."""
LOCAL_TAG = "mcalc.local_run"
"""Tag of a run on a server: the run on a worker's machine that it was sent from."""
SERVER_TAG = "mcalc.server_run"
"""Tag of a run on a worker's machine: the run on the server that it continues."""
SAME_TAG = "mcalc.same_as_from_run"
"""Tag of a finished re-run: `true` where all its numbers are those of the run it repeats."""
