"""A search is rehearsed before anything is recorded: what does not fit is refused in words."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from engine import sweep

from mcalc.errors import UserError
from mcalc.sweep.planning.search_space import Choices, Interval, Search
from mcalc.sweep.store.samplers import distributions, pruner_of, rehearse, sampler_of

SPACE = {"head.weight_lr": Interval(1, 30, log=True), "trainer.lr": Interval(0.001, 0.1)}


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes", "gp"])
@pytest.mark.parametrize("pruner", ["hyperband", "median", "patient", "none"])
def test_every_short_name_passes(sampler: str, pruner: str) -> None:
    rehearse("mine", Search(SPACE, sampler, pruner, seed=4_294_967_295))


@pytest.mark.whole
@pytest.mark.parametrize(
    ("sampler", "pruner", "said"),
    [
        ("{_target_: optuna.samplers.PartialFixedSampler, fixed_params: {trainer.rl: 3}, "
         "base_sampler: {_target_: optuna.samplers.RandomSampler}}", "none",
         "fixed_params names 'trainer.rl', which is not in `space`; did you mean 'trainer.lr'"),
        ("{_target_: optuna.samplers.TPESampler, n_startup_trials: 0, n_ei_candidates: 0}", "none",
         "do not work with this `space` (ValueError"),
        ("{_target_: optuna.samplers.CmaEsSampler, source_trials: [1]}", "none",
         "do not work with this `space`"),
        ("{_target_: optuna.samplers.PartialFixedSampler, fixed_params: [3], "
         "base_sampler: {_target_: optuna.samplers.RandomSampler}}", "none",
         "do not work with this `space`"),
        ("random", "{_target_: optuna.pruners.HyperbandPruner, min_resource: 0}",
         "do not work with this `space` (ZeroDivisionError"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused_and_nothing_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str, pruner: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    file = tmp_path / "sweeps" / "mine.yaml"
    space = "space: {head.weight_lr: {low: 1, high: 30}, trainer.lr: {low: 0.001, high: 0.1}}\n"
    file.write_text(f"{space}sampler: {sampler}\npruner: {pruner}\nbudget: {{trials: 1}}\n")
    for more in ([], ["dry_run=true"]):
        with pytest.raises(UserError, match=r"^mine: ") as caught:
            sweep(tmp_path, "sweep=mine", *more)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    # a corrected file may have the same name
    file.write_text(f"{space}sampler: random\nbudget: {{trials: 1}}\n")
    assert [outcome.state for outcome in sweep(tmp_path, "sweep=mine")] == ["finished"]


def test_whole_numbers_keep_their_scale_step_and_both_ends() -> None:
    found = distributions(
        Search(
            {
                "stopping.patience": Interval(2, 20, step=3),
                "trainer.batch_size": Interval(4, 64, log=True),
                "trainer.lr": Interval(0.1, 0.5, step=0.2),
                "head.bias_lr": Interval(1, 9, log=True),
                "backbone": Choices(("alexnet", "googlenet")),
            }
        )
    )
    assert found == {
        "stopping.patience": optuna.distributions.IntDistribution(2, 20, step=3),
        "trainer.batch_size": optuna.distributions.IntDistribution(4, 64, log=True),
        "trainer.lr": optuna.distributions.FloatDistribution(0.1, 0.5, step=0.2),
        "head.bias_lr": optuna.distributions.FloatDistribution(1, 9, log=True),
        "backbone": optuna.distributions.CategoricalDistribution(("alexnet", "googlenet")),
    }


def first_prunable(pruner: str, evaluations: int) -> int:
    """The evaluation at which a run is first ended, of twenty that are far below those before."""
    study = optuna.create_study(
        direction="maximize",
        sampler=sampler_of(Search(SPACE), 0),
        pruner=pruner_of(Search(SPACE, pruner=pruner), evaluations),
    )
    for _ in range(10 if pruner != "hyperband" else 40):
        trial = study.ask()
        for step in range(1, evaluations + 1):
            trial.report(1.0, step)
            trial.should_prune()  # where hyperband notes who reached a rung
        study.tell(trial, 1.0)
    ended = []
    for _ in range(20):  # hyperband gives each run one of its brackets
        trial = study.ask()
        for step in range(1, evaluations + 1):
            trial.report(-step, step)
            if trial.should_prune():
                ended.append(step)
                break
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    return min(ended, default=evaluations + 1)


def test_no_pruner_ends_a_run_in_its_first_tenth() -> None:
    # of 100 evaluations: the median after ten, hyperband's lowest rung is a 27th
    assert 10 <= first_prunable("median", 100) <= 12
    assert first_prunable("hyperband", 270) == 10
    assert first_prunable("patient", 100) == 12  # its patience of ten, on steps from 0
    assert first_prunable("none", 100) == 101
