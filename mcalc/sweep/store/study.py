"""The Optuna study of a sweep: the record of each trial, and the state of a search."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, TypeGuard

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from mcalc.config import NUMERICS_VERSION, PlannedTrial
from mcalc.results import RECORD_FORMAT, Outcome, check_format
from mcalc.sweep.planning import OBJECTIVES, Plan, Search, Values
from mcalc.sweep.store.at_once import write_at_once
from mcalc.sweep.store.attempts import VOIDS, Attempts, Preference, Tally
from mcalc.sweep.store.dashboard import describe_for_dashboard
from mcalc.sweep.store.definition import (
    AUTOMATIC_FACT,
    DEFINITION,
    FORMAT,
    SHARED,
    check_same_definition,
)
from mcalc.sweep.store.draft import draw
from mcalc.sweep.store.entry import ended, identity_of
from mcalc.sweep.store.parameters import Parameters, is_within
from mcalc.sweep.store.pruning import is_pruned
from mcalc.sweep.store.readable import rename_study, with_sound_attributes
from mcalc.sweep.store.samplers import distributions, pruner_of, sampler_of
from mcalc.sweep.store.storage import Storage

PARENT, PREFERRED = "mcalc:parent", "mcalc:preferred"
"""User attributes of a study, beside those of its definition."""
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
"""States that are not run again."""


class SweepStudy:
    """One study a sweep; a trial is known by its key, of several attempts the last one counts.

    Value of explicit trials: accuracy on the reported side; of a search's: its objective.
    """

    def __init__(self, storage: Storage, name: str, study: optuna.Study) -> None:
        self.storage = storage
        self.name = name
        self.study = study
        self._id = storage.optuna.get_study_id_from_name(name)
        self._known = Attempts(lambda: study.get_trials(deepcopy=False), study.direction)
        self._reading = threading.Lock()
        self._recorded: dict[str, BaseDistribution] = {}

    @classmethod
    def create(cls, plan: Plan, storage: Storage) -> SweepStudy:
        """The study of a plan, made where it is not there yet.

        Raises UserError where a sweep of this name is recorded with other settings.
        """
        direction = OBJECTIVES[plan.search.objective] if plan.search else "maximize"
        study = optuna.create_study(
            storage=storage.optuna,
            study_name=plan.sweep,
            load_if_exists=True,
            direction=StudyDirection[direction.upper()],
        )
        made = cls(storage, plan.sweep, study)
        check_same_definition(plan, made.facts(), made.attempts())
        made._describe(plan)
        return made

    @classmethod
    def find(cls, storage: Storage, name: str) -> SweepStudy | None:
        """The study of this name, if there is one."""
        if name not in optuna.get_all_study_names(storage.optuna):
            return None
        found = cls(storage, name, optuna.load_study(study_name=name, storage=storage.optuna))
        check_format(found.facts().get(FORMAT), f"the sweep {name!r}")
        return found

    @classmethod
    def all_beginning(cls, storage: Storage, start: str) -> list[SweepStudy]:
        """The studies whose names begin so."""
        names = optuna.get_all_study_names(storage.optuna)
        found = [cls.find(storage, name) for name in names if name.startswith(start)]
        return [each for each in found if each is not None]

    def facts(self) -> dict[str, Any]:
        """The study's user attributes, read anew."""
        return self.study.user_attrs

    @cached_property
    def shared(self) -> dict[str, Any]:
        """Settings that all trials of the sweep share, as first read."""
        return dict(self.facts().get(SHARED, {}))

    @cached_property
    def parameters(self) -> Parameters:
        """What of its explicit trials is a parameter, as first read."""
        return Parameters.of(self.facts())

    @cached_property
    def definition(self) -> dict[str, Any] | None:
        """What a search draws from and by, as first read; None of explicit trials."""
        found = self.facts().get(DEFINITION)
        return None if found is None else dict(found)

    def _describe(self, plan: Plan) -> None:
        known = self.study.user_attrs
        entries: dict[str, Any] = {
            FORMAT: RECORD_FORMAT,
            AUTOMATIC_FACT: known.get(AUTOMATIC_FACT, list(plan.automatic)),
        }
        if plan.search:
            entries[DEFINITION] = plan.search.definition()
        else:
            entries |= Parameters.of(known).with_those_of(plan.trials).facts()
        # the last: whoever finds it finds all, also one of several workers that begin at once
        entries[SHARED] = {**known.get(SHARED, {}), **plan.shared}
        for name, value in entries.items():
            if known.get(name) != value:
                self.study.set_user_attr(name, value)

    def note(self, plan: Plan, text: str) -> None:
        """What optuna-dashboard shows of the sweep, in Markdown."""
        describe_for_dashboard(plan, text, self.storage, self._id)

    def of_other_numbers(self, plan: Plan) -> int:
        """How many recorded attempts had other data or numerics than the plan has."""
        now = (NUMERICS_VERSION, plan.fingerprint)
        known = [attempt.user_attrs.get("identity") for attempt in self.attempts()]
        return sum((each.get("numerics"), each.get("fingerprint")) != now for each in known if each)

    # --- what is recorded -------------------------------------------------------------------

    @contextmanager
    def _read(self) -> Iterator[Attempts]:
        """What the store has now. The display asks from a thread of its own."""
        with self._reading:
            yield self._known.read()

    def attempts(self) -> list[FrozenTrial]:
        """Every attempt at every trial that counts, in the order in which they began."""
        with self._read() as known:
            return known.all()

    def count(self) -> int:
        """How many attempts count."""
        with self._read() as known:
            return len(known)

    def running(self) -> list[FrozenTrial]:
        """The attempts that have not ended, in the order in which they began."""
        with self._read() as known:
            return known.running()

    def attempts_at(self, key: str) -> list[FrozenTrial]:
        """Every attempt at the trial of this key that counts."""
        with self._read() as known:
            return known.by_key.of(key)

    def newest(self, keys: Iterable[str] | None = None) -> dict[str, FrozenTrial]:
        """The last attempt at each trial, by key; with `keys`, of those that have one."""
        with self._read() as known:
            if keys is None:
                return known.by_key.lasts()
            found = {key: known.by_key.last(key) for key in keys}
            return {key: attempt for key, attempt in found.items() if attempt is not None}

    def attempt(self, number: int) -> FrozenTrial:
        """The attempt with this number as it is in the store now."""
        return with_sound_attributes(self._trial(number))

    def is_running(self, number: int) -> bool:
        """Whether the attempt with this number has not ended."""
        return self._trial(number).state is TrialState.RUNNING

    def current(self) -> list[FrozenTrial]:
        """The attempt that counts of each name. What an edited row was before is excluded."""
        with self._read() as known:
            return known.counting(self.preferred())

    def preferred(self) -> dict[str, Preference]:
        """By name, the trial that counts where it is not the one that began last."""
        return {name: (key, last) for name, (key, last) in self.facts().get(PREFERRED, {}).items()}

    def prefer(self, preferred: Mapping[str, Preference]) -> None:
        """Keep which trials count where these are not the last ones."""
        self.study.set_user_attr(PREFERRED, dict(preferred))

    def follow(self, keys: Iterable[str], *, anew: bool = False) -> None:
        """Let `tally` be of these trials alone; `anew`: without attempts that have ended by now.

        A study may have rows of other plans too.
        """
        with self._read() as known:
            known.follow(keys, anew=anew)

    def tally(self) -> Tally:
        """The last attempt at each trial that is followed in brief; else at all, by name."""
        with self._read() as known:
            return known.tally()

    def numerics(self) -> set[int]:
        """Versions of the code's numerics by which attempts were made."""
        known = (attempt.user_attrs.get("identity", {}) for attempt in self.attempts())
        return {int(each["numerics"]) for each in known if "numerics" in each}

    def begin(
        self, trial: PlannedTrial, space: Mapping[str, BaseDistribution], before: FrozenTrial | None
    ) -> int:
        """Record that a trial runs; resumes `before` if its worker died.

        Returns the number of the attempt in the study. Only the owner of a trial's lease may call
        this.
        """
        if before is not None and before.state is TrialState.RUNNING:
            self.set(before.number, {"resumed": int(before.user_attrs.get("resumed", 0)) + 1})
            return before.number
        number = 1 + (int(before.user_attrs["identity"]["attempt"]) if before else 0)
        space = self._as_recorded(space, trial.values)
        known = {name: value for name, value in trial.values.items() if name in space}
        params = {
            name: float(value) if isinstance(space[name], FloatDistribution) else value
            for name, value in known.items()
        }
        attempt = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions={name: space[name] for name in params},
            user_attrs=identity_of(trial, self.shared, number),
        )
        # as `Study.add_trial`, which does not say what number it gave
        return self._number_of(self.storage.optuna.create_new_trial(self._id, attempt))

    def _number_of(self, trial_id: int) -> int:
        """The number of an entry just made: the next one, unless another worker made one too."""
        next_one = self._known.entries
        with suppress(KeyError):
            # Optuna remembers what it made, and reads all of an entry to tell its number
            if self._trial_id(next_one) == trial_id:
                return next_one
        return self.storage.optuna.get_trial_number_from_id(trial_id)

    def _as_recorded(
        self, space: Mapping[str, BaseDistribution], values: Mapping[str, Any]
    ) -> dict[str, BaseDistribution]:
        """The space with the categories that earlier trials have: Optuna lets no set change.

        A file added to a group since then is not among them, nor a value that later rows bring;
        its trial has it as an attribute only.
        """
        kept = dict(space)
        for name, given in space.items():
            if isinstance(given, CategoricalDistribution):
                known = kept[name] = self._categories(name) or given
                if values[name] not in getattr(known, "choices", ()):
                    del kept[name]
        return kept

    def _categories(self, name: str) -> BaseDistribution | None:
        """What the first attempt with a parameter has it drawn from; None where there is none."""
        if name not in self._recorded:
            drawn = (attempt.distributions.get(name) for attempt in self.attempts())
            if found := next((each for each in drawn if each), None):
                self._recorded[name] = found
        return self._recorded.get(name)

    def set(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Set attributes of the attempt with this number."""
        for name, value in attributes.items():
            self.storage.optuna.set_trial_user_attr(self._trial_id(number), name, value)

    def end(
        self,
        number: int,
        outcome: Outcome,
        value: float | None,
        evaluations: Mapping[int, float] | None = None,
    ) -> None:
        """Record an attempt's end, the study's objective, and evaluations not reported before."""
        facts, state = ended(outcome)
        trial = self._trial_id(number)
        self.storage.retry(write_at_once, self.storage.engine, trial, facts, evaluations)
        if state is TrialState.COMPLETE and self.definition is None and _is_feasible(value):
            # as `Study.tell`, which besides asks the sampler and reads the trial twice
            self.storage.optuna.set_trial_state_values(self._trial_id(number), state, [value])
        else:
            # Optuna itself gives a pruned trial the value of its last evaluation
            self.study.tell(number, value if state is TrialState.COMPLETE else None, state)

    def void(self, number: int, why: str) -> None:
        """Let an attempt that has ended count no longer: Optuna changes none of those."""
        facts = {VOIDS: [number], "error": why[:2000]}
        self.study.add_trial(create_trial(state=TrialState.FAIL, user_attrs=facts))

    def rewrite(
        self,
        number: int,
        outcome: Outcome,
        value: float | None,
        evaluations: Sequence[float],
        identity: Mapping[str, Any],
    ) -> None:
        """Add an attempt as another one is, but with this outcome; the other counts no longer.

        `evaluations`: the objective at each evaluation of a search's run. `identity`: what
        the trial is.
        """
        old = with_sound_attributes(self._trial(number))
        facts, state = ended(outcome)
        facts |= {"mlflow_run": outcome.run_id, "key": outcome.key, "name": outcome.name}
        params, distributions = self._as_planned(old, identity["values"])
        if "runs" in old.user_attrs:
            facts["runs"] = {outcome.key: outcome.run_id}
        # before the other one is void: a kill in between leaves two, and not none
        self.study.add_trial(
            create_trial(
                state=state,
                value=value if state is TrialState.COMPLETE else None,
                params=params,
                distributions=distributions,
                user_attrs={**old.user_attrs, **facts, "identity": identity},
                intermediate_values=dict(enumerate(evaluations, 1)),
            )
        )
        self.void(number, "its figures were not those of its run")

    def _as_planned(
        self, attempt: FrozenTrial, values: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """The parameters that an attempt was planned with; of a lost one others tell the range."""
        known = dict(attempt.distributions)
        if DEFINITION in self.facts():
            for other in self.attempts():
                known |= {n: each for n, each in other.distributions.items() if n not in known}
        params = {
            name: float(values[name]) if isinstance(each, FloatDistribution) else values[name]
            for name, each in known.items()
            if name in values and is_within(values[name], each)
        }
        return params, {name: known[name] for name in params}

    def report(self, number: int, step: int, value: float) -> bool:
        """Add an evaluation of a running trial; True where the pruner ends it."""
        return is_pruned(self.study, self.storage.optuna, self._trial(number), step, value)

    def _trial_id(self, number: int) -> int:
        return self.storage.optuna.get_trial_id_from_study_id_trial_number(self._id, number)

    def _trial(self, number: int) -> FrozenTrial:
        return self.storage.optuna.get_trial(self._trial_id(number))

    def parent(self, run_id: str | None = None) -> str | None:
        """The MLflow run of the sweep; kept where one is given."""
        if run_id:
            self.study.set_user_attr(PARENT, run_id)
            return run_id
        found = self.facts().get(PARENT)
        return str(found) if found else None

    def rename(self, name: str) -> None:
        """Give the study another name, unless there is one of that name. Optuna itself cannot."""
        if name not in optuna.get_all_study_names(self.storage.optuna):
            rename_study(self.storage.engine, self.name, name)
            self.name = name

    # --- searching --------------------------------------------------------------------------

    def search_with(self, search: Search, evaluations: int) -> None:
        """Draw and prune as the search says, after the entries that were last read.

        `evaluations` is what a whole run has.
        """
        self.study.sampler = sampler_of(search, self._known.entries)
        self.study.pruner = pruner_of(search, evaluations)

    def ask(self, search: Search) -> tuple[int, Values]:
        """Draw the next configuration: its number in the study, and its values."""
        drawn = draw(self.study, self._id, self.storage.optuna, distributions(search))
        number = self._number_of(drawn)
        return number, dict(self._trial(number).params)

    def describe(self, number: int, trial: PlannedTrial) -> None:
        """Record what a drawn configuration is."""
        self.set(number, identity_of(trial, self.shared, 1))


def _is_feasible(value: float | None) -> TypeGuard[float]:
    return value is not None and not math.isnan(value)
