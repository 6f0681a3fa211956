"""Networks of packages that were cut off go on with the same numbers, whatever state they have."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parameters import most_are_whole
from tiny_training import (
    SETTINGS,
    Keeper,
    PowerCut,
    PowerCutError,
    Small,
    built,
    images,
    train,
)
from torch import Tensor, nn

from mcalc.config import BackboneConfig, HeadConfig, Network
from mcalc.models import Classifier
from mcalc.results import TrialResult
from mcalc.training.checkpoint import CheckpointFile
from mcalc.training.validation import Checkpointing


class ByNumpy(Small):
    """Draws by NumPy, in evaluation too."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + float(np.random.rand() + np.random.normal()))  # noqa: NPY002


class ByPython(Small):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + random.gauss(0, 1) + random.random())


class Running(Small):
    """Has a running mean that it does not want to be saved."""

    mean: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.register_buffer("mean", torch.zeros(24), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        found = self.features(x).flatten(1)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * found.detach().mean(0)
        out: Tensor = self.fc(self.drop(found - self.mean))
        return out


class Renaming(Small):
    """Saves its weights under other names."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)

        def put_module(_: nn.Module, state: dict[str, Tensor], *__: Any) -> None:
            for name in list(state):
                state[f"module.{name}"] = state.pop(name)

        def take_module(state: dict[str, Tensor], *_: Any) -> None:
            for name in list(state):
                state[name.removeprefix("module.")] = state.pop(name)

        self._register_state_dict_hook(put_module)
        self._register_load_state_dict_pre_hook(take_module)


class Doubling(Small):
    """Saves other numbers than it has."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self._register_state_dict_hook(
            lambda _, state, *__: {name: value * 2 for name, value in state.items()}
        )


@pytest.mark.parametrize("network", [Network.last, Network.best])
@pytest.mark.parametrize(
    "kind", most_are_whole([Running, ByNumpy, ByPython, Renaming, Doubling], 2)
)
def test_a_run_that_was_cut_off_goes_on_with_the_same_numbers(
    tmp_path: Path, kind: type[Small], network: Network
) -> None:
    (whole,), weights = train([None], network=network, kind=kind)
    checkpointing = Checkpointing(CheckpointFile(tmp_path / "c.pth"), 1e-9)
    with pytest.raises(PowerCutError):
        train([None], network=network, kind=kind, checkpointing=checkpointing, listener=PowerCut(9))
    # another process draws other numbers meanwhile
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)
    torch.manual_seed(99)
    keeper = Keeper()
    (resumed,), kept = train(
        [None], network=network, kind=kind, checkpointing=checkpointing, listener=keeper
    )
    assert keeper.resumed_at == [8]
    assert resumed.curve == whole.curve
    np.testing.assert_array_equal(resumed.predictions.logits, whole.predictions.logits)
    for name, tensor in weights["None"].items():
        assert torch.equal(kept["None"][name], tensor), name


@pytest.mark.parametrize("network", [Network.last, Network.best])
@pytest.mark.parametrize("kind", [Running, Renaming])
def test_what_is_recorded_of_a_network_is_what_it_wants_to_be_saved(
    kind: type[Small], network: Network
) -> None:
    _, weights = train([None], network=network, kind=kind)
    assert weights["None"].keys() == kind(2).state_dict().keys()


class Moving(Small):
    """Keeps something of what it saw, in evaluation too, and one thing from its first step on."""

    seen: Tensor
    late: Tensor | None

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.register_buffer("seen", torch.zeros(2))
        self.register_buffer("late", None)

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x) + self.seen
        self.seen = 0.9 * self.seen + 0.1 * out.detach().mean(0)
        if not self.training:
            self.late = self.seen.clone()
        return out


@pytest.mark.parametrize("network", [Network.last, Network.best])
@pytest.mark.parametrize("kind", most_are_whole([ByNumpy, Moving, ByPython], 2))
def test_trials_that_share_a_run_do_not_disturb_each_other(
    kind: type[Small], network: Network
) -> None:
    """Where one ends, the run is evaluated once more than without it."""

    def trained(patience: list[int | None]) -> TrialResult:
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)
        results, _ = train(patience, network=network, kind=kind, apart=True)
        return next(each for each in results if each.name == "None")

    alone, shared = trained([None]), trained([1, 2, 3, None])
    assert shared.curve == alone.curve
    np.testing.assert_array_equal(shared.predictions.logits, alone.predictions.logits)


def test_what_is_recorded_gives_what_was_reported() -> None:
    (result,), weights = train([None], kind=Moving)
    model = Moving(2).eval()
    model.load_state_dict(weights["None"])
    pixels, _ = images()
    module = Classifier(
        replace(built(), model=model, head=model.fc), BackboneConfig(), HeadConfig(), SETTINGS
    ).eval()
    with torch.no_grad():
        logits = module(torch.from_numpy(pixels[28:40])[:, None])
    np.testing.assert_allclose(logits.numpy(), result.predictions.logits, rtol=1e-5, atol=1e-6)


def test_the_best_network_is_recorded_as_it_saves_itself() -> None:
    _, raw = train([None], network=Network.best)
    _, doubled = train([None], network=Network.best, kind=Doubling)
    assert raw["None"].keys() == doubled["None"].keys()
    for name, tensor in raw["None"].items():
        assert torch.equal(doubled["None"][name], tensor * 2), name
