"""Whether a pruner ends a configuration, also where a worker that died has asked it before.

A pruner is asked once an evaluation, and looks at all that is recorded. A worker that resumes a
configuration from its checkpoint meets evaluations again that are recorded already, with later ones
and with what the pruner kept of them: it is asked as it was then.
"""

from __future__ import annotations

import copy

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from mcalc.sweep.store.draft import Draft, beside

_ASKED = "mcalc:asked"
"""System attribute of an entry: names of the others there were as the pruner was last asked anew.

Successive halving, and so Hyperband, keeps there which rungs an entry has climbed.
"""


def is_pruned(
    study: optuna.Study, storage: BaseStorage, entry: FrozenTrial, step: int, value: float
) -> bool:
    """Record an evaluation, unless it is; True where the study's pruner ends the entry at it.

    The figure that was recorded first is kept. Of other entries the pruner sees what there is now.
    """
    known = entry.intermediate_values
    if any(later > step for later in known):
        return False  # who recorded those was told so
    trial_id, kept = entry._trial_id, dict(entry.system_attrs)
    before = kept.pop(_ASKED, None)
    if step not in known:
        if before != sorted(kept):
            storage.set_trial_system_attr(trial_id, _ASKED, sorted(kept))
        storage.set_trial_intermediate_value(trial_id, step, value)
        return study.pruner.prune(study, storage.get_trial(trial_id))
    then = copy.copy(entry)
    # earlier versions did not write it
    then.system_attrs = kept if before is None else {name: kept[name] for name in before}
    draft = Draft(storage, then)
    answer = study.pruner.prune(beside(study, draft), copy.deepcopy(then))
    for name, each in then.system_attrs.items():
        if kept.get(name) != each:
            storage.set_trial_system_attr(trial_id, name, each)
    return answer
