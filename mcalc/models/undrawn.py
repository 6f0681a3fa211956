"""Networks built without the random weights that their constructors draw.

They are for callers who replace every weight, by a file's or by one of the trial's own seed. To
draw AlexNet's takes a quarter of a second, in each training run. A network that may have numbers
beside its weights, or make some of them, is drawn: files may not hold those, and no seed of a trial
draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from mcalc.models.backbone import Backbone
from mcalc.models.checks import called, checked_head, checked_network
from mcalc.models.dropout import put_dropout
from mcalc.models.fire import put_fire
from mcalc.models.tracing import same_draws

_DRAWS = (
    nn.init.uniform_,
    nn.init.normal_,
    nn.init.trunc_normal_,
    nn.init.kaiming_uniform_,
    nn.init.kaiming_normal_,
)
"""Those of `torch.nn.init` that PyTorch lets a mode answer for."""


class Undrawn(TorchFunctionMode):
    """While inside, `torch.nn.init` leaves random numbers as memory holds them.

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
    """The network of an entry, with mcalc's own layers; its weights are to be replaced before use.

    What its constructor draws beside them, as random features, is the same each time: a network
    that is loaded, resumed or copied later has to have it too. Generators stay as they are.

    Raises UserError where that fails, or gives what cannot be trained here.
    """
    with same_draws(), Undrawn() if entry.only_weights else nullcontext():
        model = checked_network(entry, called(entry, "build"))
    put_dropout(model)
    put_fire(model)
    return model


def put_head(model: nn.Module, entry: Backbone, classes: int) -> nn.Module:
    """A layer of so many outputs in the place of a network's classifier.

    Its weights are to be replaced; what else it draws is the same each time, as in `blank`.

    Raises UserError where that fails, or gives no layer of the network with so many outputs.
    """
    with same_draws():
        head = called(entry, "replace_head", model, classes)
    return checked_head(entry, model, head, classes)
