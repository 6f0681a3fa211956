"""Whether a backbone's entry, which may be a package's, gives what can be trained here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

from mcalc.errors import UserError
from mcalc.models.backbone import Backbone
from mcalc.models.tracing import same_draws, shadow_of


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
    _check_state(entry, model)
    return model


def _check_state(entry: Backbone, model: nn.Module) -> None:
    """Raise UserError for state that checkpoints and records cannot hold."""
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
    for name, buffer in model.named_buffers():
        if isinstance(buffer, UninitializedBuffer):
            continue  # of a layer whose weights are refused
        shared = any(
            stride == 0 and size > 1
            for stride, size in zip(buffer.stride(), buffer.shape, strict=True)
        )
        if shared or buffer.is_complex():
            what = "an expanded view" if shared else str(buffer.dtype).removeprefix("torch.")
            raise _wrong(
                entry,
                f"its buffer {name} is {what}, which checkpoints and records do not hold",
                "a tensor of its own (`.clone()`)" if shared else "real and imaginary parts apart",
            )


def checked_head(entry: Backbone, model: nn.Module, head: object, classes: int) -> nn.Module:
    """The head. Raises UserError for no layer of the network, or other than so many outputs."""
    if not isinstance(head, nn.Module) or all(part is not head for part in model.modules()):
        kind = "no layer" if head is None else f"a {type(head).__name__} that is not in the network"
        raise _wrong(entry, f"its `replace_head` gives {kind}", "the layer that it put there")
    _check_state(entry, head)
    outputs = _outputs(head)
    if outputs not in (None, classes):
        raise _wrong(entry, f"its `replace_head` gives a layer of {outputs} outputs", str(classes))
    return head


def check_logits(entry: Backbone, model: nn.Module, classes: int) -> None:
    """Raise UserError where a network does not give logits (B, classes) for images (B, 3, S, S)."""
    size = entry.contract.size
    shadow = shadow_of(model).eval()
    try:
        with same_draws(), torch.inference_mode():
            found = shadow(torch.zeros(2, 3, size, size))
    except MemoryError:
        raise
    except Exception as error:  # a package's code may fail in any way
        raise UserError(
            f"backbone.name={entry.name}: its network failed on images of {size} x {size} "
            f"({type(error).__name__}: {error}); correct its entry"
        ) from error
    given = f"a {type(found).__name__}"
    if isinstance(found, Tensor):
        given = f"a tensor {tuple(found.shape)}"
    if not isinstance(found, Tensor) or tuple(found.shape) != (2, classes):
        raise _wrong(entry, f"its network gives {given} for 2 images", f"logits (2, {classes})")


def _outputs(head: object) -> int | None:
    """How many outputs a layer, or the last one of several, has; None where that is not known."""
    if isinstance(head, nn.Sequential) and len(head):
        return _outputs(head[-1])
    if isinstance(head, nn.Linear):
        return head.out_features
    return head.out_channels if isinstance(head, nn.Conv2d) else None


def _wrong(entry: Backbone, what: str, expected: str) -> UserError:
    return UserError(f"backbone.name={entry.name}: {what}, expected {expected}; correct its entry")
