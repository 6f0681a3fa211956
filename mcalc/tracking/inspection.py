"""Whether a closed run is still what it was when it was closed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from mcalc.file_digest import file_sha256
from mcalc.results import LOCAL_TAG, RECORDED_AS_TAG, SAME_TAG, SERVER_TAG, SUPERSEDED_TAG
from mcalc.tracking.files import CURVE_FILE, NETWORK_FILE, NETWORK_GONE_FILE, read_curve
from mcalc.tracking.manifest import FILE, MANIFEST_TAG, Manifest, digest, read_manifest
from mcalc.tracking.names import CURVE_COLUMNS, NOT_DRAWN, metric_names, plain_metrics, stand_twice
from mcalc.tracking.run_writer import STATUS, is_lasting
from mcalc.tracking.runs import recorded_trial

_LATER = (MANIFEST_TAG, SUPERSEDED_TAG, SAME_TAG, LOCAL_TAG, SERVER_TAG, "mcalc.sent")
"""Tags that a closed run may get."""
_NAME_TAG = "mlflow.runName"
_CUT = 5000
"""MLflow cuts a longer value of a parameter or tag."""


@dataclass(frozen=True)
class Inspection:
    """What was found of one run."""

    problems: Sequence[str] = ()
    """What differs, each in a few words; empty where all is as it was."""
    manifest: Manifest | None = None
    """Where the run has one that is as the record says."""
    files: Path | None = None
    """Folder with its files, where those are as its manifest says: the run can be written anew."""

    @property
    def is_unknown(self) -> bool:
        """Whether the run is older than manifests."""
        return not self.problems and self.manifest is None


def inspect(client: MlflowClient, run: Run, folder: Path, sealed: str = "") -> Inspection:
    """Compare a closed run with its manifest and its files in `folder`.

    `sealed`: the digest of its manifest that is known from elsewhere. A run of an earlier version
    has no manifest: of it, nothing is found here.
    """
    tagged = run.data.tags.get(MANIFEST_TAG, "")
    known = sealed or tagged
    if not known and (folder / FILE).is_file():
        return Inspection(["the digest of its manifest is gone"])
    if not known:
        return Inspection()
    found = inspect_files(folder, known)
    if found.manifest is None:
        return found
    problems = [*found.problems, *_changed(found.manifest, run, tagged, known)]
    if found.files is not None:
        problems += _changed_curve(client, run, folder)
    return Inspection(problems, found.manifest, found.files)


def inspect_files(folder: Path, sealed: str) -> Inspection:
    """Compare a run's files in `folder` with its manifest, whose digest is `sealed`."""
    try:
        content = _file(folder / FILE).read_bytes()
    except OSError:
        return Inspection(["its manifest is missing"])
    if digest(content) != sealed:
        return Inspection(["its manifest was changed"])
    try:
        manifest = read_manifest(content)
    except ValueError as error:
        return Inspection([f"its manifest cannot be read: {error}"])
    damaged = _damaged_files(manifest, folder)
    return Inspection(damaged, manifest, None if damaged else folder)


def _file(file: Path) -> Path:
    """The same. Raises OSError where it is none: a pipe would never end."""
    if not file.is_file():
        raise FileNotFoundError(file)
    return file


def _damaged_files(manifest: Manifest, folder: Path) -> list[str]:
    found = []
    for name, known in manifest.files.items():
        try:
            if file_sha256(_file(folder / name)) != known:
                found.append(f"its file {name} was changed")
        except OSError:
            if not (name == NETWORK_FILE and (folder / NETWORK_GONE_FILE).is_file()):
                found.append(f"its file {name} is missing")
    return found


def _changed(manifest: Manifest, run: Run, tagged: str, known: str) -> list[str]:
    found = []
    # MLflow's page reads one of them, its searches the other
    names = {str(run.info.run_name), run.data.tags.get(_NAME_TAG, manifest.name)}
    # its row may have another name by now
    renamed = len(names) == 1 and run.data.tags.get(RECORDED_AS_TAG) == manifest.name
    for name in sorted(names):
        if name != manifest.name and not renamed:
            found.append(f"its name is {name}, and was {manifest.name}")
    state = recorded_trial(run).state
    status = STATUS[manifest.state]
    if state != manifest.state:
        found.append(f"it is {state}, and was {manifest.state}")
    elif run.info.status != status:
        found.append(f"its status is {run.info.status}, and was {status}")
    if tagged != known:
        found.append("the digest of its manifest was changed")
    tags = {
        name: text
        for name, text in run.data.tags.items()
        if name in manifest.tags or (is_lasting(name) and name not in _LATER)
    }
    # those of the curve are compared with its file
    plain = plain_metrics(run.data.metrics)
    metrics = {n: value for n, value in plain.items() if n not in CURVE_COLUMNS}
    found += [f"its metric {name} stands twice" for name in stand_twice(run.data.metrics)]
    found += _differing("parameter", run.data.params, manifest.params)
    found += _differing("tag", tags, manifest.tags)
    found += _differing("metric", metrics, manifest.metrics)
    return found


def _differing(kind: str, now: Mapping[str, object], then: Mapping[str, object]) -> list[str]:
    return [
        f"its {kind} {name} is {now.get(name)}, and was {then.get(name)}"
        for name in sorted({*now, *then})
        if not _is_same(now.get(name), then.get(name))
    ]


def _is_same(now: object, then: object) -> bool:
    if isinstance(now, str) and isinstance(then, str) and len(now) >= _CUT:
        return then.startswith(now)
    return now == then


def _changed_curve(client: MlflowClient, run: Run, folder: Path) -> list[str]:
    """Metrics whose history is not the column of the curve's file."""
    curve = read_curve(folder)
    found = []
    latest = plain_metrics(run.data.metrics)
    for name in CURVE_COLUMNS:
        if name == "iteration" or (name in NOT_DRAWN and name not in latest):
            continue
        points = [(point.iteration, float(getattr(point, name))) for point in curve]
        then = [point for point in points if math.isfinite(point[1])]
        names = [each for each in metric_names(name) if then and each in run.data.metrics]
        entries = [e for each in names for e in client.get_metric_history(run.info.run_id, each)]
        now = {(entry.step, entry.value) for entry in entries}
        if now != set(then) or (then and latest.get(name) != then[-1][1]):
            found.append(f"the history of its metric {name} is not that of {CURVE_FILE}")
    return found
