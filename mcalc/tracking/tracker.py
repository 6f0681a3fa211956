"""The record of sweeps and trials in MLflow, written.

A sweep is a parent run; each trial is a run of its own, a child where it belongs to a sweep.
Everything of a trial is written in a few batches: one by one, 600 values take two seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from mlflow.entities import LifecycleStage, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mcalc.atomic_write import make_record_folder
from mcalc.errors import UserError
from mcalc.results import (
    ERROR_TAG,
    FROM_RUN_TAG,
    LOCAL_TAG,
    RECORD_FORMAT,
    SAME_TAG,
    SERVER_TAG,
    SUPERSEDED_TAG,
    CurvePoint,
    Outcome,
    Predictions,
    RecordedTrial,
)
from mcalc.retry import UnreachableError
from mcalc.tracking.best_network import BestNetwork
from mcalc.tracking.files import CURVE_FILE, PREDICTIONS_FILE, read_curve, read_predictions
from mcalc.tracking.inspection import Inspection, inspect, inspect_files
from mcalc.tracking.left_files import remove_left_files
from mcalc.tracking.manifest import MANIFEST_TAG, Manifest
from mcalc.tracking.moved import lost_folder
from mcalc.tracking.names import (
    CONFIGURATION,
    metric_names,
    of_an_end,
    plain_metrics,
    split_settings,
)
from mcalc.tracking.opening import open_record
from mcalc.tracking.rows import WrongRow, mend_rows, wrong_rows
from mcalc.tracking.run_writer import Opening, RunWriter, data_set, entries
from mcalc.tracking.runs import FORMAT_TAG, PARENT_TAG, RERUN, recorded_trial, search
from mcalc.tracking.server import ServerClient
from mcalc.tracking.stored_files import files_of, run_files
from mcalc.tracking.unsent import Unsent

_ORIGIN = {
    "mlflow.user": "mcalc",
    "mlflow.source.name": "mcalc.train",
    FORMAT_TAG: str(RECORD_FORMAT),
}
"""Tags of every run."""

_NOTE_TAG = "mlflow.note.content"


class Tracker:
    """The record below one folder, or on a server. Raises UserError where it cannot be opened."""

    def __init__(
        self, directory: Path, experiment: str, uri: str | None = None, wait: float = 120.0
    ) -> None:
        """`wait`: seconds to wait for a server that is away."""
        make_record_folder(directory)
        self.client, self.experiment_id = open_record(directory, experiment, uri, wait)
        self.unsent = Unsent(directory, experiment)
        self.directory = directory if uri is None else None
        """Folder of a record on this machine; None of a server's."""
        self._uri = uri

    def _search(self, tags: Mapping[str, str], state: str = "", order: str = "DESC") -> list[Run]:
        return search(self.client, [self.experiment_id], tags, state, order)

    def _create_run(self, name: str, tags: Mapping[str, str]) -> str:
        run = self.client.create_run(self.experiment_id, run_name=name, tags={**_ORIGIN, **tags})
        return str(run.info.run_id)

    def finished(self, key: str, parent: str | None = None) -> Outcome | None:
        """The newest finished run of the trial with this key, of the sweep `parent` if given."""
        conditions = {"mcalc.kind": "trial", "mcalc.key": key}
        if parent:
            conditions[PARENT_TAG] = parent
        kept = [run for run in self.unsent.runs(key) if _is_finished(run, parent)]
        for run in (*self._search(conditions, state="FINISHED"), *reversed(kept)):
            if SUPERSEDED_TAG in run.data.tags:
                continue
            name, metrics = str(run.info.run_name), plain_metrics(run.data.metrics)
            sealed = run.data.tags.get(MANIFEST_TAG, "")
            return Outcome(name, key, "finished", str(run.info.run_id), metrics, manifest=sealed)
        return None

    def open_sweep(
        self, sweep: str, title: str, tags: Mapping[str, str], run_id: str | None = None
    ) -> str:
        """The parent run of a sweep: `run_id`, the one there is, or a new one. Returns its id."""
        own = {"mcalc.kind": "sweep", "mcalc.sweep_id": sweep}
        known = [run_id] if run_id else [str(run.info.run_id) for run in self._search(own)]
        if known:
            self.client.update_run(known[0], status="RUNNING")
            return known[0]
        return self._create_run(sweep, {**tags, **own, "mcalc.sweep": title})

    def title_sweep(self, run_id: str, sweep: str, title: str) -> None:
        """Write the name and the tags by which a sweep's parent run is found."""
        self.client.update_run(run_id, name=sweep)
        own = {"mcalc.kind": "sweep", "mcalc.sweep_id": sweep, "mcalc.sweep": title}
        for name, text in own.items():
            self.client.set_tag(run_id, name, text)

    def close_sweep(
        self, run_id: str, metrics: Mapping[str, float], texts: Mapping[str, str], *, complete: bool
    ) -> None:
        """End a sweep's parent run, with figures over its trials and files by name."""
        self.client.log_batch(run_id, metrics=entries(of_an_end(metrics)))
        for name, text in texts.items():
            self.client.log_text(run_id, text, name)
        self.client.set_terminated(run_id, "FINISHED" if complete else "FAILED")

    def describe(self, run_id: str, text: str) -> None:
        """What MLflow's page says of a run, in Markdown; a server that is away is not waited for.

        Raises UserError where it cannot be written.
        """
        try:
            if isinstance(self.client, ServerClient):
                self.client.at_once("set_tag", run_id, _NOTE_TAG, text)
            else:
                self.client.set_tag(run_id, _NOTE_TAG, text)
        except MlflowException as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"the note of run {run_id} was not written: {reason}") from error

    def data_set(self, run_id: str, source: str, fingerprint: str) -> None:
        """Note what a sweep's trials, or one trial, are trained on."""
        self.client.log_inputs(run_id, datasets=[data_set(source, fingerprint)])

    def runs_of(self, parent: str) -> list[RecordedTrial]:
        """Every trial's run of a sweep, in the order in which they began, without artifacts."""
        # whatever experiment they are in: its name may be another one now
        experiments = [each.experiment_id for each in self.client.search_experiments()]
        found = search(self.client, experiments, {PARENT_TAG: parent}, order="ASC")
        kept = {run.data.tags.get(SERVER_TAG, run.info.run_id): run for run in self._kept(parent)}
        runs = [kept.pop(run.info.run_id, run) for run in found]
        return [recorded_trial(run) for run in (*runs, *kept.values())]

    def _kept(self, parent: str) -> list[Run]:
        return [run for run in self.unsent.runs() if run.data.tags.get(PARENT_TAG) == parent]

    def run(self, run_id: str) -> RecordedTrial | None:
        """One run, without artifacts; None where there is none of this id.

        Of a run that the server did not take whole, what is kept on this machine.
        """
        for run in self.unsent.runs():
            if run_id in (run.info.run_id, run.data.tags.get(SERVER_TAG)):
                return recorded_trial(run)
        try:
            return recorded_trial(self.client.get_run(run_id))
        except MlflowException:
            sent = self._search({LOCAL_TAG: run_id})
            return recorded_trial(sent[0]) if sent else None

    def single_runs(self) -> list[RecordedTrial]:
        """The closed runs that count and belong to no sweep, re-runs among them."""
        runs = [run for kind in ("trial", RERUN) for run in self._search({"mcalc.kind": kind})]
        found = [recorded_trial(run) for run in runs if PARENT_TAG not in run.data.tags]
        return [run for run in found if run.manifest and not run.superseded]

    def wrong_rows(self) -> list[WrongRow]:
        """Values that MLflow cannot read, or not as the record has it; none of a server's."""
        return wrong_rows(self.directory) if self.directory else []

    def mend_rows(self, rows: list[WrongRow]) -> None:
        """Let these values be what the rest of the record says."""
        if self.directory and rows:
            mend_rows(self.directory, rows)

    def is_deleted(self, run_id: str) -> bool:
        """Whether MLflow has the run marked as deleted, from which it can be restored."""
        try:
            stage = self.client.get_run(run_id).info.lifecycle_stage
        except MlflowException:
            return False
        return str(stage) == LifecycleStage.DELETED

    def restore(self, run_id: str) -> None:
        """Restore a run that was deleted."""
        self.client.restore_run(run_id)

    def file_under(self, run_id: str, parent: str) -> None:
        """Let a run belong to a sweep's parent run."""
        self.client.set_tag(run_id, PARENT_TAG, parent)

    def curve_of(self, run_id: str) -> tuple[CurvePoint, ...]:
        """The curve in the files of a closed run; none where it has none."""
        client, directory = self._record_of(run_id)
        with files_of(client, run_id, directory, [CURVE_FILE]) as folder:
            return read_curve(folder) if folder else ()

    def predictions_of(self, run_id: str) -> Predictions | None:
        """The predictions in the files of a finished run; None where they are gone."""
        client, directory = self._record_of(run_id)
        try:
            with files_of(client, run_id, directory, [PREDICTIONS_FILE]) as folder:
                return read_predictions(folder) if folder else None
        except OSError:
            return None

    def rewrite(self, run_id: str, sealed: str, parent: str | None) -> RecordedTrial:
        """Write a closed run anew from its manifest and files, below `parent`.

        The new one replaces it. MLflow may have lost the run, but not its files.

        Raises UserError where these were changed too.
        """
        old = self.run(run_id)
        sealed = sealed or (old.manifest if old else "")
        with files_of(self.client, run_id, self.directory) as folder:
            found = inspect_files(folder, sealed) if folder else Inspection()
            if found.manifest is None or found.files is None:
                raise UserError(f"run {run_id} cannot be written anew: its files were changed too")
            new = self._written_anew(found.manifest, found.files, sealed, parent)
        if old is not None:
            self.supersede(run_id, new)
        return recorded_trial(self.client.get_run(new))

    def _written_anew(
        self, manifest: Manifest, files: Path, sealed: str, parent: str | None
    ) -> str:
        filed = {PARENT_TAG: parent} if parent else {}
        tags = {**_ORIGIN, **manifest.tags, **filed, MANIFEST_TAG: sealed}
        opening = Opening(manifest.name, manifest.params, tags)
        new = self._create_run(opening.name, opening.tags)
        for batch in opening.batches():
            self.client.log_batch(new, params=batch)
        opened = recorded_trial(self.client.get_run(new))
        if source := opened.params.get("data.source"):
            self.data_set(new, source, opened.tags.get("mcalc.fingerprint", ""))
        RunWriter(self.client, new, opening).copy(manifest, files, read_curve(files))
        return new

    def is_recoverable(self, run_id: str, sealed: str) -> bool:
        """Whether the files of a run that MLflow lost are there, as they were."""
        with files_of(self.client, run_id, self.directory) as folder:
            return bool(sealed and folder and inspect_files(folder, sealed).files)

    def inspect(self, run_id: str, sealed: str = "") -> Inspection:
        """What of a closed run is no longer as it was; `sealed` is its digest from elsewhere."""
        client, directory = self._record_of(run_id)
        run = client.get_run(run_id)
        with run_files(client, run, directory) as folder:
            return inspect(client, run, folder, sealed)

    def _record_of(self, run_id: str) -> tuple[MlflowClient, Path | None]:
        """The client of the record that has a run, and its folder; none of a server."""
        return self.unsent.record_of(run_id) or (self.client, self.directory)

    def open_trial(
        self,
        name: str,
        key: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: str | None,
        run_id: str | None = None,
        from_run: str | None = None,
        shown: Collection[str] | None = None,
        configuration: str = "",
    ) -> RunWriter:
        """Open a trial's run, or resume `run_id`, which a dead worker left open.

        `shown`: keys of `params` that become parameters in MLflow, by default all; the others are
        kept in a tag. `configuration`: what trials have in common that are repetitions.

        Without a sweep, runs of the same trial that a killed process left open are closed.
        `from_run`: the run that this one repeats. It is then of a kind of its own, so that nothing
        that looks for trials finds it.
        """
        own = {"mcalc.kind": "trial", "mcalc.key": key}
        if from_run:
            own |= {"mcalc.kind": RERUN, FROM_RUN_TAG: from_run}
        if parent:
            own[PARENT_TAG] = parent
        settings = {name: str(value) for name, value in params.items()}
        entered, kept = split_settings(settings, shown)
        if configuration:
            entered[CONFIGURATION] = configuration
        opening = Opening(name, entered, {**_ORIGIN, **tags, **kept, **own})
        if run_id and (resumed := self._resume(run_id, opening)):
            return resumed
        if not parent:
            for run in self._search(own, state="RUNNING"):
                self.client.set_terminated(run.info.run_id, "KILLED")
        new = self._create_run(opening.name, opening.tags)
        for batch in opening.batches():
            self.client.log_batch(new, params=batch)
        return RunWriter(self.client, new, opening, folder=self._place(new))

    def _place(self, run_id: str) -> Path | None:
        return lost_folder(self.directory, run_id) if self.directory else None

    def _resume(self, run_id: str, opening: Opening) -> RunWriter | None:
        """The writer of a run that a dead worker left open; None where the store has none."""
        for run in self.unsent.runs():
            if run_id in (run.info.run_id, run.data.tags.get(SERVER_TAG)):
                self.unsent.abandon(run.info.run_id)
        last = -1
        try:
            run = self.client.get_run(run_id)
            if run.info.lifecycle_stage == LifecycleStage.DELETED:
                return None
            opening = Opening(str(run.info.run_name), dict(run.data.params), dict(run.data.tags))
            names = [name for name in metric_names("val_loss") if name in run.data.metrics]
            written = [e for name in names for e in self.client.get_metric_history(run_id, name)]
            last = max((entry.step for entry in written), default=-1)
            remove_left_files(self.client, run, self._place(run_id), self._uri)
        except MlflowException:
            return None
        except UnreachableError:
            pass  # the points that it has are written once more when it is back
        if isinstance(self.client, ServerClient):
            self.client.opened(run_id, opening.name, dict(opening.tags), opening.batches())
        self.client.update_run(run_id, status="RUNNING")
        if opening.tags.get(ERROR_TAG):  # of an earlier attempt
            self.client.set_tag(run_id, ERROR_TAG, "")
        return RunWriter(self.client, run_id, opening, last, self._place(run_id))

    def abandon(self, run_id: str) -> None:
        """Close a run that a killed worker opened and that no study knows."""
        if self.unsent.record_of(run_id):
            self.unsent.abandon(run_id)
            return
        self.client.set_tag(run_id, SUPERSEDED_TAG, "nothing: its worker was killed as it began")
        self.client.set_terminated(run_id, "KILLED")

    def compared(self, run_id: str, *, same: bool) -> None:
        """Note in a re-run whether all its numbers are those of the run that it repeats."""
        self.client.set_tag(run_id, SAME_TAG, str(same).lower())

    def supersede(self, run_id: str, by: str) -> None:
        """Mark a finished run as replaced by a later one of the same trial (rerun=true)."""
        self.tag(run_id, SUPERSEDED_TAG, by)

    def tag(self, run_id: str, name: str, text: str) -> None:
        """Set a tag of a run, named by any of its ids; nothing happens where MLflow has lost it."""
        if run := self.run(run_id):
            client, _ = self._record_of(run.run_id)
            client.set_tag(run.run_id, name, text)

    def best_network(self, parent: str) -> BestNetwork:
        """Keeps the best network alone of the sweep whose run is `parent`."""
        return BestNetwork(self.client, self.experiment_id, parent, self.directory, self._uri)

    def send(self) -> Iterator[tuple[str, str]]:
        """Send what a server did not take; gives name and id on the server of each run.

        Raises UserError where the record is not on a server, and UnreachableError where the server
        is still away.
        """
        if not isinstance(self.client, ServerClient):
            raise UserError(
                "nothing is to be sent: the record is on this machine; name the server with "
                "tracking.uri=http://HOST:PORT"
            )
        return self.unsent.send(cast(MlflowClient, self.client.waiting), self.experiment_id)


def _is_finished(run: Run, parent: str | None) -> bool:
    return run.info.status == "FINISHED" and parent in (None, run.data.tags.get(PARENT_TAG))
