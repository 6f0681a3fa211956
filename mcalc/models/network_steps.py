"""A network as steps, so that a file's network can be compared with ours whatever its names are.

A step is what changes numbers: a convolution, a pool, a normalisation. What passes them on as they
are (dropout at test time, an average over one position) is left out. Each step holds the steps that
it takes its input from, so that the last one is the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp, TensorMetadata

from mcalc.models.local_response_norm import BETA, LocalResponseNorm
from mcalc.models.tracing import REFUSALS, trace
from mcalc.models.weight_entry import Entry

Pair = tuple[int, int]
"""Of height and width."""


class Kind(StrEnum):
    """What a step does; the values are words for messages."""

    image = "the input"
    centre = "the subtraction of a mean"
    convolution = "a convolution"
    linear = "a fully connected layer"
    relu = "a ReLU"
    normalise = "a local response normalisation"
    max_pool = "a max-pool"
    average = "an average over all positions"
    average_pool = "an average pool"
    concatenation = "a concatenation of channels"
    flatten = "a flattening"
    transpose = "a change of axes"
    part = "a part of the channels"


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a network; which fields count depends on its kind."""

    kind: Kind
    inputs: tuple[Step, ...] = ()
    name: str = ""
    """Our layer's name, or a file's: for messages, and for ours also for its parameters."""
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, left, bottom, right."""
    ceil: bool = False
    """Whether a pool's size is rounded up."""
    groups: int = 1
    numbers: tuple[float, ...] = ()
    """Of a normalisation: size, alpha, beta, k. Of a centre: the mean of each channel. Of a
    transpose: the order of axes. Of a part: its place, and where it begins and ends, if said."""
    weight: Entry | None = None
    """A file's, (out, in / groups, height, width) or (out, in)."""
    bias: Entry | None = None
    """A file's, (out,)."""
    shape: tuple[int, ...] = ()
    """Ours: of the output for one image, (C, H, W) or (C,)."""


class UnreadableStepsError(Exception):
    """A network has a step that is none of these, or cannot take an image.

    The text is a relative clause about the network ("which ..."), and what to do instead.
    """


def steps_of(model: nn.Module, size: Pair) -> Step:
    """The last step of a network of ours, for images of (height, width) `size`.

    The network runs once in evaluation mode, on zeros. Raises UnreadableStepsError for a network
    with steps that no file of weights is compared by, and for images that it cannot take.
    """
    was_training = model.training
    try:
        model.eval()
        graph = trace(model)
        with torch.no_grad():
            ShapeProp(graph).propagate(torch.zeros(1, 3, *size))
    except REFUSALS as error:
        reason = " ".join(str(error).split())[:160]
        raise UnreadableStepsError(
            f"which does not take images of {size[0]} x {size[1]} ({reason}); give a file that is "
            "made for this network's own input"
        ) from error
    finally:
        model.train(was_training)
    modules = dict(model.named_modules())
    known: dict[fx.Node, Step] = {}
    for node in graph.graph.nodes:
        if node.op == "output":
            return known[node.args[0]]
        known[node] = _step(node, modules, known)
    raise AssertionError("a graph of torch.fx ends with its output")


def walk(last: Step) -> Iterator[Step]:
    """Every step once, each before those that it takes its input from."""
    seen: set[int] = set()
    waiting = [last]
    while waiting:
        step = waiting.pop()
        if id(step) not in seen:
            seen.add(id(step))
            yield step
            waiting += step.inputs


def _step(node: fx.Node, modules: dict[str, nn.Module], known: dict[fx.Node, Step]) -> Step:
    meta = node.meta.get("tensor_meta")
    if not isinstance(meta, TensorMetadata):  # a length, or several maps
        raise _unknown(_function(node))
    shape = tuple(meta.shape)[1:]
    before = tuple(known[each] for each in node.all_input_nodes)
    if node.op == "placeholder":
        return Step(Kind.image, name=str(node.target), shape=shape)
    if node.op == "call_module":
        name = str(node.target)
        return _of_module(modules[name], name, before, shape)
    if node.target in (F.relu, torch.relu, "relu"):
        return Step(Kind.relu, before, node.name, shape=shape)
    if node.target is torch.cat:
        return Step(Kind.concatenation, before, node.name, shape=shape)
    if node.target in ("flatten", torch.flatten):
        return Step(Kind.flatten, before, node.name, shape=shape)
    raise _unknown(_function(node))


def _of_module(
    module: nn.Module, name: str, before: tuple[Step, ...], shape: tuple[int, ...]
) -> Step:
    if len(before) != 1:
        raise _unknown(type(module).__name__)
    (source,) = before
    if isinstance(module, nn.Conv2d) and not isinstance(module.padding, str):
        return Step(
            Kind.convolution, before, name,
            kernel=_pair(module.kernel_size), stride=_pair(module.stride),
            padding=(*_pair(module.padding), *_pair(module.padding)),
            groups=module.groups, shape=shape,
        )  # fmt: skip
    if isinstance(module, nn.Linear):
        return Step(Kind.linear, before, name, shape=shape)
    if isinstance(module, nn.ReLU):
        return Step(Kind.relu, before, name, shape=shape)
    if isinstance(module, LocalResponseNorm):
        numbers = (module.size, module.alpha, BETA, module.k)
        return Step(Kind.normalise, before, name, numbers=numbers, shape=shape)
    if isinstance(module, nn.MaxPool2d):
        return Step(
            Kind.max_pool, before, name,
            kernel=_pair(module.kernel_size), stride=_pair(module.stride),
            padding=(*_pair(module.padding), *_pair(module.padding)),
            ceil=module.ceil_mode, shape=shape,
        )  # fmt: skip
    if isinstance(module, nn.AdaptiveAvgPool2d):
        # an average of one position each is that position
        return source if source.shape == shape else Step(Kind.average, before, name, shape=shape)
    if isinstance(module, nn.Dropout | nn.Identity):
        return source
    if isinstance(module, nn.Flatten):
        return Step(Kind.flatten, before, name, shape=shape)
    raise _unknown(type(module).__name__)


def _function(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))


def _unknown(step: str) -> UnreadableStepsError:
    return UnreadableStepsError(
        f"which has a step that mcalc does not follow ({step}); give its weights as a .pth or .npz "
        "file"
    )


def _pair(value: int | tuple[int, ...]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
