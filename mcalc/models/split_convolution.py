"""A grouped convolution that a file of ONNX has in parts: Split, a Conv for each, and Concat."""

from __future__ import annotations

from dataclasses import replace

from mcalc.models.network_steps import Kind, Step
from mcalc.models.onnx_file import joined

_END = 2**31
"""A Slice to the end of an axis ends about there or behind."""


def merged_convolution(convolutions: tuple[Step, ...], name: str) -> Step | None:
    """One grouped convolution, where each of these takes the next part of one step's channels."""
    first = convolutions[0]
    for number, each in enumerate(convolutions):
        if each.kind is not Kind.convolution or each.groups != 1 or each.weight is None:
            return None
        (part,) = each.inputs
        if part.kind is not Kind.part or part.inputs != first.inputs[0].inputs:
            return None
        if not _is_part(part, number, len(convolutions), each.weight.shape[1]):
            return None
        alike = (each.weight.shape, each.stride, each.padding, each.bias is None)
        if first.weight is None or alike != (
            first.weight.shape, first.stride, first.padding, first.bias is None,
        ):  # fmt: skip
            return None
    biases = tuple(each.bias for each in convolutions if each.bias is not None)
    return replace(
        first,
        inputs=first.inputs[0].inputs,
        name=name,
        groups=len(convolutions),
        weight=joined(tuple(each.weight for each in convolutions if each.weight is not None)),
        bias=joined(biases) if biases else None,
    )


def _is_part(part: Step, number: int, parts: int, channels: int) -> bool:
    """Whether it is the part of that number, of so many channels each."""
    place = part.numbers
    if len(place) == 1:
        return place[0] == number
    begin, end = number * channels, (number + 1) * channels
    to_the_end = number == parts - 1 and place[2] >= _END - 1
    return place[1] == begin and (place[2] == end or to_the_end)
