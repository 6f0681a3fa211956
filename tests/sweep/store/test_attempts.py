"""Entries taken in one by one are what they are when all are looked at: on a real store."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from work import lines

from mcalc.sweep.store.attempts import VOIDS, Attempts, best_of
from mcalc.sweep.store.storage import Storage

TRIALS = [f"trial {i}" for i in range(8)]
VALUES = (0.25, 0.5, 0.75)
"""Few, so that several trials have the best one."""


def by_looking_at_all(study: optuna.Study) -> list[FrozenTrial]:
    every = study.get_trials(deepcopy=False)
    void = {number for each in every for number in each.user_attrs.get(VOIDS, ())}
    return [each for each in every if each.number not in void and VOIDS not in each.user_attrs]


def lasts(attempts: Sequence[FrozenTrial], attribute: str) -> dict[str, FrozenTrial]:
    marked = [each for each in attempts if each.user_attrs.get(attribute)]
    return {each.user_attrs[attribute]: each for each in marked}


def change(study: optuna.Study, chance: random.Random) -> None:
    """What workers and repairs do to a study, in any order."""
    trials = study.get_trials(deepcopy=False)
    running = [each for each in trials if each.state is TrialState.RUNNING]
    storage, trial = study._storage, chance.choice(TRIALS)
    match chance.randrange(10):
        case 0 | 1 | 2:
            named = {"key": f"key of {trial}", "name": trial}
            storage.create_new_trial(
                study._study_id, create_trial(state=TrialState.RUNNING, user_attrs=named)
            )
        case 3:
            study.ask()  # and not yet said what it is
        case 4 if running:
            drawn = chance.choice(running)
            storage.set_trial_user_attr(drawn._trial_id, "key", f"key of {trial}")
            storage.set_trial_user_attr(drawn._trial_id, "name", trial)
        case 5 if trials:
            gone = [chance.choice(trials).number]
            study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={VOIDS: gone}))
        case _ if running:
            ended = chance.choice(running).number
            state = chance.choice([TrialState.COMPLETE] * 3 + [TrialState.FAIL, TrialState.PRUNED])
            value = chance.choice(VALUES) if state is TrialState.COMPLETE else None
            study.tell(ended, value, state)


@pytest.mark.whole
@pytest.mark.parametrize("seed", range(6))
def test_what_counts_is_the_same_however_it_was_read(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    direction = chance.choice([StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE])
    # one store as two processes have it: entries of the other appear as this one reads
    ours, theirs = (Storage(f"sqlite:///{tmp_path}/optuna.db", 5).optuna for _ in range(2))
    study = optuna.create_study(storage=theirs, study_name="s", directions=[direction])
    seen = optuna.load_study(storage=ours, study_name="s")
    attempts = Attempts(lambda: seen.get_trials(deepcopy=False), direction)
    for _ in range(80):
        for _ in range(chance.randrange(4)):
            change(study, chance)
        expected = by_looking_at_all(study)
        attempts.read()
        assert attempts.all() == expected
        assert len(attempts) == len(expected)
        assert attempts.running() == [a for a in expected if a.state is TrialState.RUNNING]
        for attribute, trials in (("key", attempts.by_key), ("name", attempts.by_name)):
            # in this order too: of equal values the first counts
            assert list(trials.lasts().items()) == list(lasts(expected, attribute).items())
            tally, last = trials.tally(), list(lasts(expected, attribute).values())
            assert +Counter(tally.states) == Counter(each.state for each in last)
            assert tally.best == best_of(last, direction)
        for trial in TRIALS:
            of_trial = [a for a in expected if a.user_attrs.get("name") == trial]
            assert attempts.by_name.of(trial) == of_trial
    assert attempts.entries == len(study.get_trials(deepcopy=False))


def test_a_trial_that_is_preferred_counts_until_the_next_of_its_name(tmp_path: Path) -> None:
    storage = Storage(f"sqlite:///{tmp_path}/optuna.db", 5).optuna
    study = optuna.create_study(storage=storage, direction="maximize")
    attempts = Attempts(lambda: study.get_trials(deepcopy=False), study.direction)

    def begun(key: str, name: str) -> None:
        study.add_trial(create_trial(value=0.5, user_attrs={"key": key, "name": name}))

    def counting() -> list[int]:
        return [each.number for each in attempts.read().counting({"B": ("was", 2)})]

    begun("other", "A")
    begun("was", "B")
    assert counting() == [0, 1]
    begun("edited", "B")
    assert counting() == [0, 1]
    begun("was", "B")
    assert counting() == [0, 3]
    begun("edited again", "B")
    assert counting() == [0, 4]
    assert [each.number for each in attempts.counting({"B": ("not recorded", 4)})] == [0, 4]


def test_what_has_ended_is_not_looked_at_again(tmp_path: Path) -> None:
    storage = Storage(f"sqlite:///{tmp_path}/optuna.db", 5).optuna
    study = optuna.create_study(storage=storage, direction="maximize")
    attempts = Attempts(lambda: study.get_trials(deepcopy=False), study.direction)
    work = []
    for i in range(40):
        study.add_trial(create_trial(value=i / 40, user_attrs={"key": f"k{i}", "name": f"n{i}"}))
        with lines() as executed:
            attempts.read()
            best = attempts.by_name.tally().best
        work.append(executed.count)
        assert best is not None
        assert best.number == i
    assert len(set(work[2:])) == 1
