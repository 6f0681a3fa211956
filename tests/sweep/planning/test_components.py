"""Samplers and pruners by name, and by Optuna's classes with their options."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
import yaml

from mcalc.errors import UserError
from mcalc.sweep.planning.components import SAMPLERS, build, label, parse_component

TPE = "optuna.samplers.TPESampler"


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) | {"hyperband", "median", "patient", "none"}))
def test_short_names_stay_what_they_are(name: str) -> None:
    kind = "sampler" if name in SAMPLERS else "pruner"
    assert parse_component("sweeps/mine.yaml", kind, name) == name


def test_options_reach_optunas_class() -> None:
    given = yaml.safe_load(
        "{_target_: optuna.pruners.PatientPruner, patience: 4, min_delta: 0.5, wrapped_pruner: "
        "{_target_: optuna.pruners.ThresholdPruner, upper: 0.25, n_warmup_steps: 2}}"
    )
    parsed = parse_component("sweeps/mine.yaml", "pruner", given)
    assert parsed == given
    pruner = build(given, seed=0, sequence_seed=0)
    study = optuna.create_study(pruner=pruner)
    trial = study.ask()
    for step, value in enumerate((0.1, 0.2, 0.2, 0.9, 0.9, 0.9, 0.9)):
        trial.report(value, step)
        assert not trial.should_prune(), "the patience of 4 holds the threshold of 0.25 back"
    trial.report(0.9, 7)
    assert trial.should_prune()


@pytest.mark.parametrize("name", ["RandomSampler", "TPESampler", "NSGAIISampler", "QMCSampler"])
def test_a_class_draws_by_the_searchs_seed(name: str) -> None:
    def draws(seed: int) -> list[float]:
        given: dict[str, Any] = {"_target_": f"optuna.samplers.{name}"}
        if name == "QMCSampler":
            given["scramble"] = True
        study = optuna.create_study(sampler=build(given, seed=seed, sequence_seed=seed))
        space = {"x": optuna.distributions.FloatDistribution(0, 1)}
        drawn = []
        for _ in range(3):
            trial = study.ask(space)
            drawn.append(trial.params["x"])
            study.tell(trial, 0.0)
        return drawn

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


def test_workers_share_the_sequence_of_qmc_and_not_the_draws_of_others() -> None:
    space = {"x": optuna.distributions.FloatDistribution(0, 1)}

    def first(given: dict[str, Any], seed: int) -> float:
        study = optuna.create_study(sampler=build(given, seed=seed, sequence_seed=5))
        study.tell(study.ask(space), 0.0)
        return float(study.ask(space).params["x"])

    qmc = {"_target_": "optuna.samplers.QMCSampler", "scramble": True}
    assert first(qmc, 1) == first(qmc, 2)
    random = {"_target_": "optuna.samplers.RandomSampler"}
    assert first(random, 1) != first(random, 2)


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("sampler", "tpa", "sampler 'tpa' is unknown; did you mean 'tpe'"),
        ("pruner", "hyperbank", "did you mean 'hyperband'"),
        ("sampler", None, "sampler null is unknown"),
        ("sampler", ["tpe"], "must be one name or one mapping, not a list"),
        ("sampler", {}, "needs the name of a class, as _target_"),
        ("sampler", {"_target_": "os.system", "command": "true"}, "_target_ os.system is not"),
        ("sampler", {"_target_": "hydra.utils.get_method", "path": "os.system"}, "is not a class"),
        ("sampler", {"_target_": "optuna.samplers.TPESamplr"}, f"did you mean '{TPE}'"),
        ("sampler", {"_target_": "optuna.samplers.BaseSampler"}, "is not a class"),
        ("sampler", {"_target_": "optuna.samplers.GridSampler"}, "write `grid:`"),
        ("sampler", {"_target_": "optuna.pruners.NopPruner"}, "NopPruner is not a sampler"),
        ("pruner", {"_target_": TPE}, "TPESampler is not a pruner"),
        ("sampler", {"_target_": TPE, "multvariate": 1}, "no option 'multvariate'; did you mean"),
        ("sampler", {"_target_": TPE, "seed": 3}, "give it as sampler_seed"),
        (
            "sampler",
            {"_target_": TPE, "gamma": 3},
            "gamma=3: expected null, as a file",
        ),
        ("sampler", {"_target_": TPE, "n_startup_trials": "ten"}, "'ten': expected int"),
        ("sampler", {"_target_": TPE, "n_startup_trials": True}, "true: expected int"),
        ("sampler", {"_target_": "optuna.samplers.QMCSampler", "qmc_type": "x"}, "halton"),
        ("pruner", {"_target_": "optuna.pruners.PercentilePruner", "percentile": 101.0}, "between"),
        ("pruner", {"_target_": "optuna.pruners.PatientPruner"}, "wrapped_pruner"),
        (
            "pruner",
            {"_target_": "optuna.pruners.PatientPruner", "patience": 1, "wrapped_pruner": "median"},
            "wrapped_pruner='median': expected a mapping with `_target_`",
        ),
        (
            "sampler",
            {
                "_target_": "optuna.samplers.PartialFixedSampler",
                "fixed_params": {"trainer.lr": 0.1},
                "base_sampler": ["tpe"],
            },
            "base_sampler=['tpe']: expected a mapping with `_target_`",
        ),
        (
            "pruner",
            yaml.safe_load(
                "{_target_: optuna.pruners.PatientPruner, patience: 1, wrapped_pruner: "
                "{_target_: builtins.print}}"
            ),
            "_target_ builtins.print is not a class",
        ),
        (
            "sampler",
            yaml.safe_load("{_target_: optuna.samplers.CmaEsSampler, x0: {a: 2020-01-01}}"),
            "not JSON serializable",
        ),
    ],
)
def test_what_does_not_hold_is_refused_in_one_sentence(kind: str, given: Any, said: str) -> None:
    with pytest.raises(UserError, match=r"^sweeps/mine.yaml: ") as caught:
        parse_component("sweeps/mine.yaml", kind, given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_component_is_shown_as_a_line() -> None:
    given = {"_target_": "optuna.pruners.PatientPruner", "patience": 4}
    inner = {"_target_": "optuna.pruners.NopPruner"}
    assert label("tpe") == "tpe"
    assert label({**given, "wrapped_pruner": inner}) == (
        "PatientPruner(patience=4, wrapped_pruner=NopPruner())"
    )
