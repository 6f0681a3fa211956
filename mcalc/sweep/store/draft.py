"""A configuration that is drawn as a whole, or not at all.

Optuna's `ask` writes an entry and then each of its parameters: a worker that is killed in between
leaves an entry with some of them. Here samplers write to a draft, which becomes an entry at once.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping
from datetime import datetime
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

_DRAFT = -1
"""Id of an entry that is in no store."""
_STUDY = "mcalc:study"
"""System attribute of an entry: the study's own that its draw left, as where QMC's sequence is."""


class Draft:
    """Optuna's store as it is, but for one entry: what is written of that one stays here."""

    def __init__(self, storage: BaseStorage, entry: FrozenTrial | None = None) -> None:
        """`entry`: what is read of it in place of what is stored; None: the next one made."""
        self._storage = storage
        self.entry = entry
        self.study_attributes: dict[str, Any] = {}
        """The study's own that were set."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def _own(self, trial_id: int) -> FrozenTrial | None:
        return self.entry if self.entry and self.entry._trial_id == trial_id else None

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Begin the entry."""
        assert template_trial is None  # Optuna's `ask` has none
        number = len(self._storage.get_all_trials(study_id, deepcopy=False))
        self.entry = FrozenTrial(
            number, TrialState.RUNNING, None, datetime.now(), None, {}, {}, {}, {}, {}, _DRAFT
        )
        return _DRAFT

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """An entry, as those below ask for it."""
        own = self._own(trial_id)
        return copy.deepcopy(own) if own else self._storage.get_trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """What samplers and pruners keep of an entry."""
        return self.get_trial(trial_id).system_attrs

    def get_trial_number_from_id(self, trial_id: int) -> int:
        """An entry's number in its study."""
        return self.get_trial(trial_id).number

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All entries, by number."""
        found = self._storage.get_all_trials(study_id, deepcopy=deepcopy, states=states)
        if self.entry is None:
            return found
        found = [each for each in found if each._trial_id != self.entry._trial_id]
        if states is None or self.entry.state in states:
            found.append(copy.deepcopy(self.entry))
        return sorted(found, key=lambda each: each.number)

    def get_n_trials(self, study_id: int, state: Any = None) -> int:
        """How many entries there are, or of a state."""
        states = (state,) if isinstance(state, TrialState) else state
        return len(self.get_all_trials(study_id, deepcopy=False, states=states))

    def set_trial_param(
        self, trial_id: int, param_name: str, internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter."""
        if own := self._own(trial_id):
            own.distributions[param_name] = distribution
            own.params[param_name] = distribution.to_external_repr(internal)
        else:
            self._storage.set_trial_param(trial_id, param_name, internal, distribution)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set what a sampler or pruner keeps."""
        if own := self._own(trial_id):
            own.system_attrs[key] = value
        else:
            self._storage.set_trial_system_attr(trial_id, key, value)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """What samplers keep of the study."""
        return {**self._storage.get_study_system_attrs(study_id), **self.study_attributes}

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set what a sampler keeps of the study."""
        self.study_attributes[key] = value


def beside(study: optuna.Study, draft: Draft) -> optuna.Study:
    """The same study, of which a draft stands in for one entry."""
    # Optuna asks for no class, and a class of its own would need each of its operations again
    storage = cast(BaseStorage, draft)
    return optuna.Study(study.study_name, storage, study.sampler, study.pruner)


def draw(
    study: optuna.Study,
    study_id: int,
    storage: BaseStorage,
    space: Mapping[str, BaseDistribution],
) -> int:
    """Draw the next configuration; the id of its entry. One worker may at a time."""
    _end_last_draw(study_id, storage)
    draft = Draft(storage)
    asked = beside(study, draft).ask(dict(space))
    if draft.entry is None:  # somebody has queued one by hand
        return storage.get_trial_id_from_study_id_trial_number(study_id, asked.number)
    kept = draft.study_attributes
    drawn = create_trial(
        state=TrialState.RUNNING,
        params=draft.entry.params,
        distributions=draft.entry.distributions,
        user_attrs=draft.entry.user_attrs,
        system_attrs={**draft.entry.system_attrs, **({_STUDY: kept} if kept else {})},
    )
    made = storage.create_new_trial(study_id, drawn)
    _keep(study_id, storage, kept)
    return made


def _end_last_draw(study_id: int, storage: BaseStorage) -> None:
    """Keep of the study what the last draw left, if its worker was killed before it could."""
    for entry in reversed(storage.get_all_trials(study_id, deepcopy=False)):
        if _STUDY in entry.system_attrs:
            _keep(study_id, storage, entry.system_attrs[_STUDY])
            return


def _keep(study_id: int, storage: BaseStorage, attributes: Mapping[str, Any]) -> None:
    known = storage.get_study_system_attrs(study_id) if attributes else {}
    for name, value in attributes.items():
        if known.get(name) != value:
            storage.set_study_system_attr(study_id, name, value)
