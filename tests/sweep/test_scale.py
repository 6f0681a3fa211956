"""What a trial costs the engine does not grow with those before it: counted, not timed."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from engine import Instant, sweep
from stores import begin_with_tables
from work import Lines, Statements, lines, statements

from mcalc.config.compose import compose_config
from mcalc.sweep.checking.compare import check
from mcalc.sweep.store.leases import Leases
from mcalc.sweep.store.storage import Storage, storage_url
from mcalc.sweep.store.study import SweepStudy
from mcalc.tracking.tracker import Tracker

MANY = 40
SEARCH = """\
space: {head.weight_lr: {low: 1, high: 30}}
sampler: random
pruner: none
objective: val_auc
budget: {trials: %d}
"""


@dataclass
class Counting(Instant):
    """Trials that train nothing, with the work that was done from one to the next."""

    statements: Statements = field(default_factory=Statements)
    lines: Lines = field(default_factory=Lines)
    seen: list[tuple[int, int, int]] = field(default_factory=list)

    def _begun(self, name: str) -> int:
        self.seen.append((len(self.statements.all), self.statements.commits, self.lines.count))
        return 1

    def between(self, what: int) -> list[int]:
        """Statements (0), commits (1) or lines (2) from each trial to the next."""
        counts = [each[what] for each in self.seen]
        return [after - before for before, after in pairwise(counts)]


def is_steady(counts: list[int]) -> bool:
    """Whether the last take no more than the first; a lease's beat may come to any of them."""
    return min(counts[:10]) == min(counts[-10:])


def counted(folder: Path, *arguments: str) -> Counting:
    begin_with_tables(folder / "mlruns")
    with statements() as sql, lines() as code:
        counting = Counting(folder / "log", statements=sql, lines=code)
        sweep(folder, *arguments, instant=counting)
    return counting


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text(SEARCH % MANY)
    monkeypatch.chdir(tmp_path)
    return "sweep=mine"


@pytest.mark.whole
def test_the_last_trial_of_a_sweep_is_as_much_work_as_the_first(tmp_path: Path) -> None:
    rates = ",".join(str(1 + i / 100) for i in range(MANY))
    found = counted(tmp_path, f"head.weight_lr={rates}")
    assert len(found.seen) == MANY
    # but the first, which opens what later ones use
    for what in (0, 1):
        assert is_steady(found.between(what)[1:])
    # five to MLflow: run, parameters, metrics, tags, end; six to Optuna: lease, entry, run, facts,
    # end, lease
    assert min(found.between(1)) == 11
    code = found.between(2)
    # not the largest: every ten seconds one of them writes the sweep's table as well
    assert np.median(code[-10:]) < 1.1 * np.median(code[1:11])


@pytest.mark.whole
def test_the_last_configuration_of_a_search_is_as_much_work_as_the_first(
    tmp_path: Path, searched: str
) -> None:
    found = counted(tmp_path, searched)
    assert len(found.seen) == MANY
    assert is_steady(found.between(1)[1:])
    for what in (0, 2):
        work = found.between(what)
        # as above
        assert np.median(work[-10:]) < 1.1 * np.median(work[1:11])


@pytest.mark.whole
def test_a_check_asks_as_much_of_each_trial(tmp_path: Path) -> None:
    asked: list[int] = []
    code: list[int] = []
    for number in (5, 15, 25):
        rates = ",".join(str(1 + i / 100) for i in range(number))
        sweep(tmp_path, f"head.weight_lr={rates}", "name=mine")
        config = compose_config([f"tracking.dir={tmp_path / 'mlruns'}"])
        storage = Storage(storage_url(config), 5)
        study = SweepStudy.find(storage, "mine")
        tracker = Tracker(tmp_path / "mlruns", config.tracking.experiment)
        assert study is not None
        with statements() as sql, lines() as executed:
            report = check(study, tracker, Leases(storage, "mine"))
        assert report.counts == {"complete": number}
        assert not report.findings
        asked.append(len(sql.all))
        code.append(executed.count)
    assert asked[2] - asked[1] == asked[1] - asked[0]
    assert code[2] - code[1] < 1.1 * (code[1] - code[0])
