"""Whether a backbone's entry, which may be a package's, gives what can be trained here."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mcalc.errors import UserError
from mcalc.models.backbone import Backbone


def called(entry: Backbone, field: str, *arguments: object) -> Any:
    """What a function of an entry gives. Raises UserError in the place of its own errors."""
    try:
        return getattr(entry, field)(*arguments)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # a package's code may fail in any way
        raise UserError(
            f"backbone.name={entry.name}: its `{field}` failed ({type(error).__name__}: {error})"
        ) from error


def checked_network(entry: Backbone, model: object) -> nn.Module:
    """The network. Raises UserError for what is none, or has state that would be lost."""
    if not isinstance(model, nn.Module):
        raise _wrong(entry, f"its `build` gives {type(model).__name__}", "a torch.nn.Module")
    for part in model.modules():
        if type(part).get_extra_state is not nn.Module.get_extra_state:
            raise _wrong(
                entry,
                f"its {type(part).__name__} has extra state (`get_extra_state`), which checkpoints "
                "and records do not hold",
                "buffers",
            )
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and parameter.dtype is not torch.float32:
            raise _wrong(
                entry,
                f"its {name} is {str(parameter.dtype).removeprefix('torch.')}",
                "float32 (trainer.precision says in what it computes)",
            )
    return model


def checked_head(entry: Backbone, model: nn.Module, head: object, classes: int) -> nn.Module:
    """The head. Raises UserError for no layer of the network, or other than so many outputs."""
    if not isinstance(head, nn.Module) or all(part is not head for part in model.modules()):
        kind = "no layer" if head is None else f"a {type(head).__name__} that is not in the network"
        raise _wrong(entry, f"its `replace_head` gives {kind}", "the layer that it put there")
    outputs = _outputs(head)
    if outputs not in (None, classes):
        raise _wrong(entry, f"its `replace_head` gives a layer of {outputs} outputs", str(classes))
    return head


def _outputs(head: object) -> int | None:
    """How many outputs a layer, or the last one of several, has; None where that is not known."""
    if isinstance(head, nn.Sequential):
        known = [outputs for part in head if (outputs := _outputs(part)) is not None]
        return known[-1] if known else None
    if isinstance(head, nn.Linear):
        return head.out_features
    return head.out_channels if isinstance(head, nn.Conv2d) else None


def _wrong(entry: Backbone, what: str, expected: str) -> UserError:
    return UserError(f"backbone.name={entry.name}: {what}, expected {expected}; correct its entry")
