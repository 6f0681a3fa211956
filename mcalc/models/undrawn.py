"""Networks built without the random weights that their constructors draw.

They are for callers who replace every weight, by a file's or by one of the trial's own seed. To
draw AlexNet's takes a quarter of a second, in each training run. Buffers are another matter: files
may not hold them, and no seed of a trial draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from mcalc.models.backbone import Backbone
from mcalc.models.dropout import put_dropout
from mcalc.models.fire import put_fire

_DRAWS = (
    nn.init.uniform_,
    nn.init.normal_,
    nn.init.trunc_normal_,
    nn.init.kaiming_uniform_,
    nn.init.kaiming_normal_,
)
"""Those of `torch.nn.init` that PyTorch lets a mode answer for."""


class Undrawn(TorchFunctionMode):
    """While inside, `torch.nn.init` leaves random parameters as memory holds them.

    Buffers are drawn. Constants are written, as batch normalisation's ones. For a parameter the
    generator is not advanced.
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
            tensor = named["tensor"] if "tensor" in named else arguments[0]
            if isinstance(tensor, nn.Parameter):
                return tensor
        return function(*arguments, **named)


def blank(entry: Backbone) -> nn.Module:
    """The network of an entry, with mcalc's own layers; its weights are to be replaced before use.

    What its constructor draws beside them, as random features, is the same each time: a network
    that is loaded, resumed or copied later has to have it too. PyTorch's own generator stays.
    """
    with torch.random.fork_rng(devices=[]), Undrawn():
        torch.default_generator.manual_seed(0)
        model = entry.build()
    put_dropout(model)
    put_fire(model)
    return model


def put_head(model: nn.Module, entry: Backbone, classes: int) -> nn.Module:
    """A layer of so many outputs in the place of a network's classifier.

    Its weights are to be replaced; PyTorch's own generator stays.
    """
    with torch.random.fork_rng(devices=[]):
        return entry.replace_head(model, classes)
