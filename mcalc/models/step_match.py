"""Which weights of a file belong to which layer of ours: both networks compared step by step.

The comparison goes from the output to the input and takes no name into account. Every step must be
the same, so that a file of another network with the same shapes (CaffeNet for AlexNet, which pools
before it normalises) is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from mcalc.models.network_steps import Kind, Step
from mcalc.models.weight_entry import Entry

_CLOSE = 1e-5
"""Relative: numbers of a normalisation that are float32 in the file."""


class OtherNetworkError(Exception):
    """A file's network is not ours; the text says where they part."""


@dataclass(frozen=True)
class Matched:
    """What a file's network is, beside ours."""

    entries: Mapping[str, Entry]
    """By our parameter's name, in our shape."""
    mean: tuple[float, ...]
    """What the file's network subtracts from each channel of its input; empty for nothing."""
    rounded: tuple[str, ...] = ()
    """Pools of the file that leave a map of another size than ours, by rounding alone. The weights
    do not depend on it: the model zoo's AlexNet, which takes 224 pixels, rounds down twice."""


def match(ours: Step, theirs: Step) -> Matched:
    """Compare two networks by their last steps. Raises OtherNetworkError where they differ."""
    entries: dict[str, Entry] = {}
    mean: tuple[float, ...] = ()
    rounded: list[str] = []
    met: dict[int, int] = {}
    waiting = [(ours, theirs)]
    while waiting:
        own, other = waiting.pop()
        if id(own) in met:
            if met[id(own)] != id(other):
                raise _differ(own, other, "is computed twice")
            continue
        met[id(own)] = id(other)
        if own.kind is Kind.image:
            if other.kind is Kind.centre:
                mean, other = other.numbers, other.inputs[0]
            if other.kind is not Kind.image:
                raise _differ(own, other)
            continue
        own_inputs, other_inputs = own.inputs, other.inputs
        if own.kind is Kind.linear:
            weight, other = _linear(own, other)
            entries |= _parameters(own, other, weight)
            own_inputs, other_inputs = (_flattened(own.inputs[0]),), other.inputs
        elif own.kind is Kind.convolution:
            _compare_convolutions(own, other)
            entries |= _parameters(own, other, other.weight)
        else:
            _compare(own, other)
            if own.kind is Kind.max_pool and _pooled(other, own) != own.shape[1:]:
                rounded.append(other.name)
        if len(own_inputs) != len(other_inputs):
            raise _differ(own, other, f"joins {len(other_inputs)}, not {len(own_inputs)}")
        waiting += zip(own_inputs, other_inputs, strict=True)
    return Matched(entries, mean, tuple(rounded))


def _compare(own: Step, other: Step) -> None:
    if own.kind is Kind.average and other.kind is Kind.average_pool:
        # over the whole map, once
        height, width = own.inputs[0].shape[1:]
        whole = other.kernel == (height, width) and not any(other.padding)
        if not whole:
            raise _differ(own, other)
        return
    if own.kind is not other.kind:
        raise _differ(own, other)
    if own.kind is Kind.normalise and not _alike(own.numbers, other.numbers):
        raise _differ(own, other, f"has size, alpha, beta, k {_shown(other.numbers)}, not "
                                  f"{_shown(own.numbers)}")  # fmt: skip
    if own.kind is Kind.max_pool:
        same = (own.kernel, own.stride, own.padding[:2]) == (
            other.kernel, other.stride, other.padding[:2],
        )  # fmt: skip
        # one row and column more at the end is how exporters round sizes up
        behind = {other.padding[2] - other.padding[0], other.padding[3] - other.padding[1]}
        if not same or not behind <= {0, 1}:
            raise _differ(own, other, "has another window, stride or padding")


def _compare_convolutions(own: Step, other: Step) -> None:
    if other.kind is not Kind.convolution:
        raise _differ(own, other)
    for what in ("kernel", "stride", "padding", "groups"):
        there, here = getattr(other, what), getattr(own, what)
        if there != here:
            raise _differ(own, other, f"has {what} {there}, not {here}")


def _linear(own: Step, other: Step) -> tuple[Entry, Step]:
    """Weights (out, in) of a fully connected layer, and the step whose inputs are the layer's."""
    weight = other.weight
    before = _flattened(own.inputs[0])
    if other.kind is Kind.convolution and weight is not None:
        # over the whole map: each output is one sum over channels and positions
        if other.groups != 1 or any(other.padding):
            raise _differ(own, other, "has groups or padding")
        if other.kernel != (1, 1) and other.kernel != before.shape[1:]:
            raise _differ(own, other, f"has kernel {other.kernel}, not {before.shape[1:]}")
        weight = _reshaped(weight, (weight.shape[0], math.prod(weight.shape[1:])))
    elif other.kind is not Kind.linear or weight is None:
        raise _differ(own, other)
    source = _flattened(other.inputs[0])
    if source.kind is Kind.transpose and len(before.shape) == 3:
        weight = _untransposed(own, source, weight, before.shape)
        source = source.inputs[0]
    return weight, replace(other, inputs=(source,))


def _untransposed(own: Step, turned: Step, weight: Entry, shape: tuple[int, ...]) -> Entry:
    """Weights for a map (C, H, W), of those for the map with its axes in another order."""
    order = tuple(int(axis) for axis in turned.numbers)
    if sorted(order) != [0, 1, 2, 3] or order[0] != 0:
        raise _differ(own, turned)
    if math.prod(shape) != weight.shape[1]:
        raise _differ(own, turned, f"feeds {weight.shape[1]} inputs, not {math.prod(shape)}")
    sizes = (weight.shape[0], *(shape[axis - 1] for axis in order[1:]))
    back = tuple(order.index(axis) for axis in range(4))

    def read() -> Tensor:
        return weight.read().reshape(sizes).permute(back).reshape(weight.shape).contiguous()

    return replace(weight, read=read)


def _reshaped(entry: Entry, shape: tuple[int, ...]) -> Entry:
    return replace(entry, shape=shape, read=lambda: entry.read().reshape(shape))


def _parameters(own: Step, other: Step, weight: Entry | None) -> dict[str, Entry]:
    if weight is None or other.bias is None:
        raise _differ(own, other, "has no bias")
    return {f"{own.name}.weight": weight, f"{own.name}.bias": other.bias}


def _flattened(step: Step) -> Step:
    """The step before any flattening: a fully connected layer takes the numbers in their order."""
    while step.kind is Kind.flatten:
        (step,) = step.inputs
    return step


def _pooled(pool: Step, own: Step) -> tuple[int, ...]:
    """Height and width that a pool of a file leaves of what ours is given."""
    size = own.inputs[0].shape[1:]
    top, left, bottom, right = pool.padding
    round_ = math.ceil if pool.ceil else math.floor
    ends = ((size[0], top, bottom), (size[1], left, right))
    return tuple(
        round_((length + before + behind - kernel) / stride) + 1
        for (length, before, behind), kernel, stride in zip(
            ends, pool.kernel, pool.stride, strict=True
        )
    )


def _alike(own: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return len(own) == len(other) and all(
        math.isclose(one, two, rel_tol=_CLOSE) for one, two in zip(own, other, strict=True)
    )


def _shown(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _differ(own: Step, other: Step, how: str = "") -> OtherNetworkError:
    name = f" ({other.name})" if other.name else ""
    where = f" ({own.name})" if own.name else ""
    part = f", which {how}" if how else ""
    return OtherNetworkError(f"where ours has {own.kind}{where} it has {other.kind}{name}{part}")
