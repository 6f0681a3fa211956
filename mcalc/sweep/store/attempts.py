"""The entries of a study, sorted by trial as they come: what has ended is not looked at again.

Optuna reads from its store what is new and what runs, but gives all entries each time. A sweep asks
before and after each trial, so that going through all of them would take longer with each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from operator import is_not

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mcalc.results import VALIDATION_AUC
from mcalc.sweep.store.entry import result
from mcalc.sweep.store.readable import with_sound_attributes

VOIDS = "voids"
"""Attribute of an entry that marks attempts: their numbers count no longer."""
Preference = tuple[str, int]
"""Key of the trial that counts of a name, and the number of the entry that it counts in place of.

A later entry of that name counts again.
"""


class Attempts:
    """What counts of a study's entries, as at the last `read`.

    Of several attempts at a trial the last one counts.
    """

    def __init__(self, entries: Callable[[], list[FrozenTrial]], direction: StudyDirection) -> None:
        """`entries` gives all of a study, by number; one that has ended stays the same object."""
        self._entries = entries
        self._direction = direction
        self._seen: list[FrozenTrial] = []
        self._planned: frozenset[str] | None = None
        self._earlier: frozenset[int] = frozenset()
        self._clear()

    def follow(self, keys: Iterable[str], *, anew: bool = False) -> None:
        """Let `tally` be of these trials alone, whatever else the study has.

        `anew`: without the attempts that have ended by now.
        """
        self._planned = frozenset(keys)
        ended = (each.number for each in self.all() if each.number not in self._running)
        self._earlier = frozenset(ended if anew else ())
        self._followed = Trials("key", self._direction)
        for attempt in self.all():
            if self._is_followed(attempt):
                self._followed.add(attempt)

    def _is_followed(self, attempt: FrozenTrial) -> bool:
        if self._planned is None or attempt.number in self._earlier:
            return False
        return attempt.user_attrs.get("key") in self._planned

    def _clear(self) -> None:
        self._sound: dict[int, FrozenTrial] = {}
        self._void: set[int] = set()
        self._running: set[int] = set()
        self.by_key = Trials("key", self._direction)
        self.by_name = Trials("name", self._direction)
        self._followed = Trials("key", self._direction)

    def read(self) -> Attempts:
        """Take in what is new in the store, or has changed."""
        entries = self._entries()
        # all of it in C: the one thing that is done with each entry each time
        changed = list(compress(entries, map(is_not, entries, chain(self._seen, repeat(None)))))
        self._seen = entries
        if not self._add(changed):
            self._clear()
            self._void = {number for each in entries for number in _voided(each)}
            self._add(entries)
        return self

    def _add(self, changed: Iterable[FrozenTrial]) -> bool:
        """Take entries in; False where all have to be taken in anew, as one counts no longer."""
        for entry in changed:
            attempt = with_sound_attributes(entry)
            if VOIDS in attempt.user_attrs:
                if not self._void.issuperset(attempt.user_attrs[VOIDS]):
                    return False
                continue
            if attempt.number in self._void:
                continue
            if not (self.by_key.add(attempt) and self.by_name.add(attempt)):
                return False
            if self._is_followed(attempt) and not self._followed.add(attempt):
                return False
            self._sound[attempt.number] = attempt
            if attempt.state is TrialState.RUNNING:
                self._running.add(attempt.number)
            else:
                self._running.discard(attempt.number)
        return True

    def all(self) -> list[FrozenTrial]:
        """Every attempt that counts, in the order in which they began."""
        return [self._sound[number] for number in sorted(self._sound)]

    def counting(self, preferred: Mapping[str, Preference]) -> list[FrozenTrial]:
        """Of each name the last attempt at the trial that is preferred, or else at any."""
        found = self.by_name.lasts()
        for name, (key, last) in preferred.items():
            attempt = self.by_key.last(key)
            if attempt is not None and name in found and found[name].number == last:
                found[name] = attempt
        return list(found.values())

    def running(self) -> list[FrozenTrial]:
        """Those that have not ended, in the order in which they began."""
        return [self._sound[number] for number in sorted(self._running)]

    def tally(self) -> Tally:
        """The trials that are followed in brief; where none are, all of them, by name."""
        return (self.by_name if self._planned is None else self._followed).tally()

    def __len__(self) -> int:
        return len(self._sound)

    @property
    def entries(self) -> int:
        """How many entries the study had, those that count no longer among them."""
        return len(self._seen)


def _voided(entry: FrozenTrial) -> list[int]:
    return list(with_sound_attributes(entry).user_attrs.get(VOIDS, ()))


@dataclass(frozen=True)
class Tally:
    """A sweep in brief: of each trial the last attempt."""

    states: Mapping[TrialState, int]
    """How many are in each state."""
    best: FrozenTrial | None
    """The complete one of the best value, of several the first."""


class Trials:
    """Attempts by trial, the trials in the order of their first attempt."""

    def __init__(self, attribute: str, direction: StudyDirection) -> None:
        """`attribute`: by which a trial is known. `direction`: of the best value."""
        self._attribute = attribute
        self._direction = direction
        self._attempts: dict[str, dict[int, FrozenTrial]] = {}
        self._trial_of: dict[int, str] = {}
        self._latest = -1
        self._places: dict[str, int] = {}
        self._states: Counter[TrialState] = Counter()
        self._best: tuple[str, FrozenTrial] | None = None
        self._is_best_known = True

    def add(self, attempt: FrozenTrial) -> bool:
        """Take in an attempt that is new or changed; False where that would not keep the order."""
        trial, number = str(attempt.user_attrs.get(self._attribute) or ""), attempt.number
        known = self._trial_of.get(number)
        if not trial and known is None:
            return True  # drawn, and not yet said what it is
        if trial != known and (known is not None or number < self._latest):
            return False
        before = self.last(trial)
        self._places.setdefault(trial, len(self._places))
        self._attempts.setdefault(trial, {})[number] = attempt
        self._trial_of[number] = trial
        self._latest = max(self._latest, number)
        if before is None or before.number <= number:
            self._count(trial, before, attempt)
        return True

    def _count(self, trial: str, before: FrozenTrial | None, now: FrozenTrial) -> None:
        if before is not None:
            self._states[before.state] -= 1
        self._states[now.state] += 1
        if self._best and self._best[0] == trial:
            self._is_best_known = False  # the second best is not known
        elif self._is_best_known and _value(now) is not None:
            rivals = {trial: now} | ({self._best[0]: self._best[1]} if self._best else {})
            self._best = self._best_among(rivals)

    def _best_among(self, lasts: Mapping[str, FrozenTrial]) -> tuple[str, FrozenTrial] | None:
        in_order = sorted(lasts, key=self._places.__getitem__)
        best = best_of([lasts[trial] for trial in in_order], self._direction)
        return (self._trial_of[best.number], best) if best else None

    def tally(self) -> Tally:
        """The last attempts in brief."""
        if not self._is_best_known:
            self._best = self._best_among(self.lasts())
            self._is_best_known = True
        return Tally(dict(self._states), self._best[1] if self._best else None)

    def of(self, trial: str) -> list[FrozenTrial]:
        """Every attempt at a trial."""
        return list(self._attempts.get(trial, {}).values())

    def last(self, trial: str) -> FrozenTrial | None:
        """The last attempt at a trial; None where there is none."""
        attempts = self._attempts.get(trial)
        return _last(attempts) if attempts else None

    def lasts(self) -> dict[str, FrozenTrial]:
        """The last attempt at each trial."""
        return {trial: _last(attempts) for trial, attempts in self._attempts.items()}


def best_of(attempts: Sequence[FrozenTrial], direction: StudyDirection) -> FrozenTrial | None:
    """The complete trial of the best value, of several the first.

    Of explicit trials the value is the reported accuracy, by which none should be chosen. Where
    all were validated on lesions that are not reported, the best is that of the highest AUC there.
    """
    complete = [attempt for attempt in attempts if _value(attempt) is not None]
    if not complete:
        return None
    areas = [result(attempt).get(VALIDATION_AUC) for attempt in complete]
    if direction is StudyDirection.MAXIMIZE and None not in areas:
        return max(complete, key=lambda attempt: result(attempt)[VALIDATION_AUC])
    sign = 1 if direction is StudyDirection.MAXIMIZE else -1
    return max(complete, key=lambda attempt: sign * (attempt.value or 0.0))


def _value(attempt: FrozenTrial) -> float | None:
    return attempt.value if attempt.state is TrialState.COMPLETE else None


def _last(attempts: Mapping[int, FrozenTrial]) -> FrozenTrial:
    return attempts[max(attempts)]
