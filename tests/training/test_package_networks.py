"""Networks of packages that were cut off go on with the same numbers, whatever state they have."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parameters import most_are_whole
from tiny_training import Keeper, PowerCut, PowerCutError, Small, train
from torch import Tensor, nn

from mcalc.config import Network
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
