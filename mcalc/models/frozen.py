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
from mcalc.models.tracing import REFUSALS, Tracer

_CHANGING = ("dropout", "rand", "bernoulli", "normal_")
"""Parts of the names of functions that do not give equal output for equal input."""


class UncuttableError(Exception):
    """A network cannot be cut; the message says why."""


@dataclass(frozen=True)
class CutNetwork:
    """Two networks that are the whole one, the second after the first."""

    frozen: fx.GraphModule
    """(B, 3, H, W) normalised -> features (B, ...), in evaluation mode."""
    learning: fx.GraphModule
    """Features -> logits (B, classes). Its parameters have the names of the whole network."""


def cut_network(model: nn.Module, stages: Stages) -> CutNetwork:
    """A network cut where its frozen stages end; both parts share its modules.

    Raises UncuttableError where what is frozen does not end in one map, and for a network whose
    steps depend on its input, which torch.fx cannot read.
    """
    try:
        steps = Tracer().trace(model)
    except REFUSALS as error:
        raise UncuttableError(f"torch.fx cannot read it: {error}") from error
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
    whole = fx.GraphModule(model, below).eval()
    return CutNetwork(whole, fx.GraphModule(model, above))


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
    """Whether both parts give what the whole network gives in evaluation mode, to the last bit."""
    was_training = model.training
    model.eval()
    cut.learning.eval()
    with torch.inference_mode():
        same = torch.equal(model(channels), cut.learning(cut.frozen(channels)))
    model.train(was_training)
    cut.learning.train(was_training)
    cut.frozen.eval()
    return same
