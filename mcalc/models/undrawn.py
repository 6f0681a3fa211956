"""Networks built without the random weights that their constructors draw.

All of them are replaced anyway, by a file's or by those of the trial's own seed. To draw AlexNet's
takes a quarter of a second, in each training run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

_DRAWS = (
    nn.init.uniform_,
    nn.init.normal_,
    nn.init.trunc_normal_,
    nn.init.kaiming_uniform_,
    nn.init.kaiming_normal_,
)
"""Those of `torch.nn.init` that PyTorch lets a mode answer for."""


class Undrawn(TorchFunctionMode):
    """While inside, `torch.nn.init` leaves random weights as memory holds them.

    Constants are written, as batch normalisation's ones. The generator is not advanced.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        arguments: tuple[Any, ...] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        """Answer for a function of PyTorch."""
        named = named or {}
        if function in _DRAWS:
            return named["tensor"] if "tensor" in named else arguments[0]
        return function(*arguments, **named)
