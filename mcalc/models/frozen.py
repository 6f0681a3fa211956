"""A network cut in two: what `backbone.freeze` keeps as it is, and what learns.

What is frozen runs in evaluation mode and gives equal output for equal images, whatever the layers
above have learnt. So its output can be computed once, and training is that of the rest alone.

The cut is made by `torch.fx`, PyTorch's own way to read a network's steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from mcalc.models.stages import Stages
from mcalc.models.tracing import (
    REFUSALS,
    UnsteadyError,
    generators,
    same_draws,
    shadow_of,
    steady_graph,
)

_CHANGING = ("dropout", "rand", "bernoulli", "normal_")
"""Parts of the names of functions that do not give equal output for equal input."""

_SAVING = ("state_dict", "_save_to_state_dict", "load_state_dict", "_load_from_state_dict")


class UncuttableError(Exception):
    """A network cannot be cut; the message says why."""


@dataclass(frozen=True)
class CutNetwork:
    """Two networks that are the whole one, the second after the first."""

    frozen: fx.GraphModule
    """(B, 3, H, W) normalised -> features (B, ...), in evaluation mode."""
    learning: fx.GraphModule
    """Features -> logits (B, classes). Its parameters have the names of the whole network."""


def cut_network(model: nn.Module, stages: Stages, head: nn.Module) -> CutNetwork:
    """A network cut where its frozen stages end; both parts share its modules.

    Args:
        model: the network in training mode, its frozen stages in evaluation mode.
        stages: its stages.
        head: its new last layer.

    Raises UncuttableError where what is frozen does not end in one map, for a network whose steps
    torch.fx cannot read, or that depend on more than its input, and for one that saves itself
    otherwise than PyTorch's layers do.
    """
    if changed := next((part for part in model.modules() if _saves_otherwise(part)), None):
        raise UncuttableError(f"its {type(changed).__name__} changes what its state_dict holds")
    try:
        steps = steady_graph(model, head)
    except UnsteadyError as error:
        raise UncuttableError(str(error)) from error
    except REFUSALS as error:
        reason = " ".join(str(error).split())[:160]
        raise UncuttableError(f"torch.fx cannot read it: {reason}") from error
    frozen = _frozen_steps(steps, dict(model.named_modules()), stages)
    ends = [
        step
        for step in steps.nodes
        if step in frozen and any(user not in frozen for user in step.users)
    ]
    if len(ends) != 1 or ends[0].op == "placeholder":
        raise UncuttableError("what is frozen does not end in one map")
    below, above = fx.Graph(), fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for step in steps.nodes:
        if step in frozen:
            copies[step] = below.node_copy(step, copies.__getitem__)
    below.output(copies[ends[0]])
    copies = {ends[0]: above.placeholder("features")}
    for step in steps.nodes:
        if step not in frozen:
            copies[step] = above.node_copy(step, copies.__getitem__)
    whole, learning = fx.GraphModule(model, below).eval(), fx.GraphModule(model, above)
    if all(part is not head for part in learning.modules()):
        raise UncuttableError("its head is not called as a layer")
    return CutNetwork(whole, learning)


def _saves_otherwise(part: nn.Module) -> bool:
    """Whether a module's state_dict is other than its own parameters and buffers."""
    hooks = (
        part._state_dict_hooks,
        part._state_dict_pre_hooks,
        part._load_state_dict_pre_hooks,
        part._load_state_dict_post_hooks,
    )
    # PyTorch's own layers may read files of its earlier versions in a way of their own
    theirs = not type(part).__module__.startswith("torch.")
    changed = (getattr(type(part), name) is not getattr(nn.Module, name) for name in _SAVING)
    return any(hooks) or (theirs and any(changed))


def _frozen_steps(
    steps: fx.Graph, modules: dict[str, nn.Module], stages: Stages
) -> dict[fx.Node, None]:
    """The steps that give equal output for equal images."""
    frozen: dict[fx.Node, None] = {}
    for step in steps.nodes:
        if step.op == "output" or any(each not in frozen for each in step.all_input_nodes):
            continue
        if step.op == "call_module" and not stages.keeps(
            str(step.target), modules[str(step.target)]
        ):
            continue
        if step.op == "get_attr" and not stages.keeps_parameter(str(step.target)):
            continue
        name = str(getattr(step.target, "__name__", step.target))
        if step.op in ("call_function", "call_method") and any(each in name for each in _CHANGING):
            continue
        frozen[step] = None
    return frozen


def matches(cut: CutNetwork, model: nn.Module, channels: Tensor) -> bool:
    """Whether both parts do what the whole network does, to the last bit, in either mode.

    That is: the same output, and the same buffers afterwards, with the same draws.

    Args:
        cut: the two parts.
        model: the network in training mode, its frozen stages in evaluation mode.
        channels: two images or more, as the network takes them.
    """
    for evaluates in (False, True):
        whole, upper = shadow_of(model), shadow_of(cut.learning)
        upper.train(not evaluates)
        if evaluates:
            whole.eval()
        with torch.inference_mode():
            with same_draws():
                expected = whole(channels)
            with same_draws():
                before = generators()
                features = cut.frozen(channels)
                if generators() != before:
                    return False
                found = upper(features)
        if not isinstance(expected, Tensor) or not torch.equal(expected, found):
            return False
        buffers = dict(whole.named_buffers())
        if any(
            name in buffers and not torch.equal(value, buffers[name])
            for name, value in upper.named_buffers()
        ):
            return False
    return True
