"""The random generators that a training run draws from, taken and set.

mcalc draws from PyTorch's alone. A package's network may draw from those of NumPy and Python too.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_TWISTER = "MT19937"
"""NumPy's generator behind `np.random.rand` and its like."""


@dataclass(frozen=True)
class RandomState:
    """States of generators, as tensors and numbers that a checkpoint may hold."""

    torch: Sequence[Tensor]
    """The CPU's, then each CUDA device's."""
    numpy: Mapping[str, Any] | None
    """None in a checkpoint of an earlier version."""
    python: Mapping[str, Any] | None

    @classmethod
    def now(cls, device: str) -> RandomState:
        """The generators as they are; those of GPUs for a run on `cuda`."""
        kind, words, place, has_normal, normal = np.random.get_state()  # noqa: NPY002
        version, numbers, gauss = random.getstate()
        assert kind == _TWISTER  # of the global generator, which cannot be exchanged
        return cls(
            [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if device == "cuda" else ())],
            {
                "words": torch.from_numpy(np.asarray(words, np.int64)),
                "place": int(place),
                "has_normal": int(has_normal),
                "normal": float(normal),
            },
            {"version": version, "numbers": torch.tensor(numbers), "gauss": gauss},
        )

    def put(self) -> None:
        """Let the generators go on from here."""
        torch.set_rng_state(self.torch[0])
        for device, state in enumerate(self.torch[1 : 1 + torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, device)
        if self.numpy is not None:
            np.random.set_state(self._numpy())  # noqa: NPY002 - packages draw from it
        if self.python is not None:
            random.setstate(self._python())

    def check(self) -> None:
        """Raise an error where a generator could not go on from here."""
        for state in self.torch[:1]:
            torch.Generator().set_state(state)
        if self.numpy is not None:
            np.random.RandomState().set_state(self._numpy())
        if self.python is not None:
            random.Random().setstate(self._python())

    def _numpy(self) -> tuple[Any, ...]:
        assert self.numpy is not None
        words = self.numpy["words"].numpy().astype(np.uint32)
        return (_TWISTER, words, *(self.numpy[k] for k in ("place", "has_normal", "normal")))

    def _python(self) -> tuple[Any, ...]:
        assert self.python is not None
        numbers = tuple(self.python["numbers"].tolist())
        return self.python["version"], numbers, self.python["gauss"]
