"""Networks built without the random weights that their constructors draw.

They are for callers who replace every weight, by a file's or by one of the trial's own seed. To
draw AlexNet's takes a quarter of a second, in each training run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from mcalc.models.backbone import Backbone

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


def blank(entry: Backbone) -> nn.Module:
    """The network of an entry; its weights are to be replaced before they are used."""
    with Undrawn():
        return entry.build()
