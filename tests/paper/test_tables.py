from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from torch import nn
from torchvision.models import AlexNet_Weights, GoogLeNet_Weights

from mcalc.config import Config
from mcalc.config.paths import flatten
from mcalc.evaluation.metrics import wilson_interval
from mcalc.models.backbones import BACKBONES
from mcalc.models.local_response_norm import LocalResponseNorm
from mcalc.paper.assumptions import ASSUMPTIONS
from mcalc.paper.networks import DIFFERENCES, FAMILIES, MATLABS
from mcalc.paper.tables import (
    BENIGN,
    MALIGNANT,
    NETWORKS,
    PAPER_TRIALS,
    REPORTED,
    PaperTrial,
)

EVERY = [trial for network in NETWORKS for trial in PAPER_TRIALS[network]]
SWEEPS = Path(__file__).resolve().parents[2] / "sweeps"


def test_twenty_trials_with_both_names() -> None:
    names = [f"AL{i}" for i in range(1, 11)] + [f"GL{i}" for i in range(1, 11)]
    printed = [f"A1{i}" for i in range(1, 11)] + [f"G1{i}" for i in range(1, 11)]
    assert [trial.name for trial in EVERY] == names
    assert [trial.printed_name for trial in EVERY] == printed
    assert [trial.network for trial in EVERY] == ["alexnet"] * 10 + ["googlenet"] * 10


@pytest.mark.parametrize("network", NETWORKS)
def test_ten_rows_of_parameters(network: str) -> None:
    assert [tuple(trial.settings.values()) for trial in PAPER_TRIALS[network]] == [
        (15, 1, 2, 1),
        (15, 10, 20, 1),
        (15, 15, 20, 1),
        (15, 15, 30, 1),
        (10, 20, 30, 1),
        (5, 20, 30, 1),
        (30, 20, 30, 1),
        (30, 20, 30, 10),
        (30, 20, 30, 5),
        (40, 20, 30, 1),
    ]


@pytest.mark.parametrize("trial", EVERY, ids=lambda trial: trial.name)
def test_every_row_of_table_5_sums_to_901(trial: PaperTrial) -> None:
    counts = trial.confusion
    assert (counts.negatives, counts.positives, counts.total) == (504, 397, 901)
    assert (BENIGN, MALIGNANT, REPORTED) == (504, 397, 901)


@pytest.mark.parametrize("trial", EVERY, ids=lambda trial: trial.name)
def test_table_6_and_accuracies_follow_from_table_5(trial: PaperTrial) -> None:
    """Within one unit of the fourth digit: the paper cuts some values and rounds others."""
    c = trial.confusion
    recall, precision = c.tp / (c.tp + c.fn), c.tp / (c.tp + c.fp)
    recomputed = {
        "accuracy": (c.tn + c.tp) / 901,
        "table5_accuracy": (c.tn + c.tp) / 901,
        "recall": recall,
        "precision": precision,
        "specificity": c.tn / (c.tn + c.fp),
        "f_measure": 2 * precision * recall / (precision + recall),
    }
    for name, value in recomputed.items():
        assert abs(float(getattr(trial, name)) - value) < 1e-4, name


@pytest.mark.parametrize("trial", EVERY, ids=lambda trial: trial.name)
def test_our_rates_of_the_published_counts_are_the_published_rates(trial: PaperTrial) -> None:
    for name in ("accuracy", "recall", "precision", "specificity", "f_measure"):
        published = float(getattr(trial, name))
        assert getattr(trial.confusion, name) == pytest.approx(published, abs=1e-4), name


def test_printed_digits_are_kept() -> None:
    second = PAPER_TRIALS["alexnet"][1]
    assert (str(second.accuracy), str(second.table5_accuracy)) == ("0.889", "0.8890")
    assert str(PAPER_TRIALS["googlenet"][4].f_measure) == "0.8"
    assert all(isinstance(trial.recall, Decimal) for trial in EVERY)


def test_summary_numbers_of_the_published_rows() -> None:
    means = {n: sum(float(t.accuracy) for t in PAPER_TRIALS[n]) / 10 for n in NETWORKS}
    assert means == pytest.approx({"alexnet": 0.899, "googlenet": 0.837}, abs=6e-4)
    best = PAPER_TRIALS["alexnet"][2].confusion
    assert best.correct == 854
    assert wilson_interval(best.correct, best.total) == pytest.approx((0.931, 0.960), abs=6e-4)


@pytest.mark.shared
def test_every_row_stands_in_the_papers_text(shared_data: Path) -> None:
    lines = (shared_data.parent / "paper.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines]
    for trial in EVERY:
        c = trial.confusion
        settings = [str(value) for value in trial.settings.values()]
        rates = (trial.recall, trial.precision, trial.specificity, trial.f_measure)
        counts = [str(count) for count in (c.tn, c.fn, c.tp, c.fp)]
        assert [trial.printed_name, *settings, str(trial.accuracy)] in rows
        assert [trial.name, *counts, str(trial.table5_accuracy)] in rows
        assert [trial.name, *map(str, rates)] in rows


@pytest.mark.parametrize("network", NETWORKS)
def test_sweep_file_is_the_papers_rows(network: str) -> None:
    sweep = yaml.safe_load((SWEEPS / f"{network}.yaml").read_text(encoding="utf-8"))
    assert sweep["name"] == network
    assert sweep["overrides"] == [f"backbone={network}"]
    assert sweep["description"]
    assert sweep["rows"] == {trial.name: trial.settings for trial in PAPER_TRIALS[network]}
    assert list(sweep["rows"]) == [trial.name for trial in PAPER_TRIALS[network]]


def test_the_sweep_of_matlabs_networks_is_both_tables_rows() -> None:
    sweep = yaml.safe_load((SWEEPS / "paper_matlab.yaml").read_text(encoding="utf-8"))
    assert sweep["name"] == "paper_matlab"
    backbones = {"alexnet": "alexnet_bvlc", "googlenet": "googlenet_bvlc"}
    assert sweep["rows"] == {
        trial.name: {"backbone": backbones[trial.network], **trial.settings} for trial in EVERY
    }
    assert list(sweep["rows"]) == [trial.name for trial in EVERY]
    assert tuple(backbones.values()) == MATLABS
    assert {name: FAMILIES[name][1] for name in NETWORKS} == backbones


def test_differences_between_the_networks_are_what_they_compute() -> None:
    """Numbers of the list, taken from the networks themselves."""
    listed = {each.topic: each for each in DIFFERENCES}
    assert len(listed) == len(DIFFERENCES)
    assert all(each.matlab and each.torchvision and each.bvlc for each in DIFFERENCES)
    models = {name: BACKBONES[name].build() for pair in FAMILIES.values() for name in pair}
    kinds = {name: [type(m) for m in model.modules()] for name, model in models.items()}

    def convolutions(name: str) -> list[nn.Conv2d]:
        return [m for m in models[name].modules() if isinstance(m, nn.Conv2d)]

    def said(topic: str, *columns: str) -> str:
        return " ".join(getattr(listed[topic], column) for column in columns)

    for name, column in (("alexnet_bvlc", "matlab"), ("alexnet", "torchvision")):
        widths = ", ".join(str(layer.out_channels) for layer in convolutions(name))
        total = sum(value.numel() for value in models[name].parameters())
        assert f"{widths} filters" in said("AlexNet's widths and groups", column)
        assert f"{total:,} parameters" in said("AlexNet's widths and groups", column)
    for name, column in (("googlenet_bvlc", "matlab"), ("googlenet", "torchvision")):
        total = sum(value.numel() for value in models[name].parameters())
        assert f"{total:,} parameters" in said("GoogLeNet's branches and pools", column)
    for name, weights in (("AlexNet", AlexNet_Weights), ("GoogLeNet", GoogLeNet_Weights)):
        right = weights.IMAGENET1K_V1.meta["_metrics"]["ImageNet-1K"]["acc@1"]
        assert f"{name}: {right:.1f} %" in said("Training on ImageNet", "torchvision")
    assert "ResetInputNormalization" in said("Mean of the input", "matlab")
    assert [c.groups for c in convolutions("alexnet_bvlc")] == [1, 2, 1, 2, 2]
    assert {c.groups for c in convolutions("alexnet")} == {1}
    assert [convolutions(name)[0].padding[0] for name in ("alexnet_bvlc", "alexnet")] == [0, 2]
    for name, kind in kinds.items():
        assert (LocalResponseNorm in kind) == (name in MATLABS)
        assert (nn.BatchNorm2d in kind) == (name == "googlenet")
    windows = {name: {c.kernel_size[0] for c in convolutions(name)} for name in models}
    assert 5 in windows["googlenet_bvlc"]
    assert 5 not in windows["googlenet"]
    drops = {
        name: [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
        for name, model in models.items()
    }
    assert drops == {
        "alexnet": [0.5, 0.5], "alexnet_bvlc": [0.5, 0.5],
        "googlenet": [0.2], "googlenet_bvlc": [0.4],
    }  # fmt: skip
    for amount in ("0.5", "0.4", "0.2"):
        assert amount in said("Dropout", "matlab", "torchvision")
    std = [BACKBONES["alexnet"].contract.std, BACKBONES["googlenet"].contract.std]
    assert 57 < min(std[0]) < max(std[0]) < 59
    assert set(std[1]) == {127.5}
    assert "about 57 or 128 times" in said("Scale of the input", "torchvision")


def test_assumptions_are_what_the_settings_default_to() -> None:
    defaults = flatten(Config())
    for assumption in ASSUMPTIONS:
        for key, value in assumption.taken.items():
            assert key in defaults, f"{assumption.topic}: {key} is no setting"
            assert defaults[key] == value, f"{assumption.topic}: {key}"


def test_assumptions_say_what_why_and_each_topic_once() -> None:
    topics = [assumption.topic for assumption in ASSUMPTIONS]
    assert len(set(topics)) == len(topics)
    assert all(a.paper and a.choice and a.reason for a in ASSUMPTIONS)
    governed = {key for assumption in ASSUMPTIONS for key in assumption.taken}
    # what the paper leaves out and a number depends on most
    assert {
        "trainer.lr",
        "trainer.batch_size",
        "trainer.max_epochs",
        "trainer.val_every",
    } <= governed
