"""The graph of an ONNX file as steps (`mcalc.models.network_steps`).

Exporters write one layer in several ways; each is read as what it computes:

| layer | written as |
|---|---|
| fully connected | Gemm, or MatMul and Add, weights (out, in) or (in, out); Conv over the map |
| grouped convolution | Conv with groups, or Split (or Slice), a Conv for each part, and Concat |
| a bias | an input of Conv or Gemm, or an Add behind it |
| mean of the input | Sub or Add with a number a channel, or a whole image |

Names mean nothing, so that the model zoo's `conv1_w_0` and MATLAB's `conv1_W` are read alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mcalc.models.bounded_zip import DamagedFileError, OtherLayersError
from mcalc.models.network_steps import Kind, Step
from mcalc.models.onnx_file import Constant, OnnxFile, constant
from mcalc.models.split_convolution import merged_convolution
from mcalc.models.weight_entry import plain

if TYPE_CHECKING:
    import onnx

_PASSED = ("Dropout", "Identity")
"""Nodes that change nothing at test time."""
_FLATTENING = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
"""Nodes that leave the numbers in their order."""
_LAST = ("Softmax", "LogSoftmax")
"""Nodes that a file of a classifier may end with, and our networks do without."""

Attributes = Mapping[str, Any]


def graph_steps(file: OnnxFile, where: str) -> Step:
    """The last step of a file's network, its logits.

    Raises DamagedFileError for a graph with a node or a use of one that is none of these, and
    UserError as `mcalc.models.onnx_file.constant`.
    """
    try:
        return _Reader(file, where).last()
    except DamagedFileError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # an attribute may be of any type
        raise DamagedFileError("a node of its graph has other attributes than its kind") from error


class _Reader:
    """Turns nodes into steps, in the file's order, which ONNX asks to be that of computing."""

    def __init__(self, file: OnnxFile, where: str) -> None:
        self._file, self._where = file, where
        self._constants = dict(file.constants)
        self._steps: dict[str, Step] = {file.image: Step(Kind.image, name=file.image)}

    def last(self) -> Step:
        """The step that the graph's output is, without a softmax behind it."""
        nodes = list(self._file.model.graph.node)
        for node in nodes:
            self._read(node)
        makers = {name: node for node in nodes for name in node.output}
        name = self._file.output
        while name in makers and makers[name].op_type in (*_PASSED, *_FLATTENING, *_LAST):
            name = makers[name].input[0]
        if name not in self._steps:
            raise DamagedFileError("its output is not computed from its input")
        return self._steps[name]

    def _read(self, node: onnx.NodeProto) -> None:
        from onnx import helper

        if node.domain not in ("", "ai.onnx") or not node.output:
            raise self._unknown(node)
        for name in node.output:
            if name in self._steps or name in self._constants:
                raise DamagedFileError(f"two of its values are named {name[:80]!r}")
        given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "Constant":
            self._keep_constant(node, given)
            return
        if node.input and self._constant_or_none(node.input[0]) and node.op_type in _OF_CONSTANTS:
            self._fold(node, given)
            return
        if node.op_type == "Split":
            self._split(node, given)
            return
        read = _NODES.get(node.op_type)
        if read is None:
            raise self._unknown(node)
        if node.op_type in _LAST and node.output[0] != self._file.output:
            raise DamagedFileError(f"it has a {node.op_type} before its end")
        self._steps[node.output[0]] = read(self, node, given)

    # --- constants --------------------------------------------------------------------------------

    def _keep_constant(self, node: onnx.NodeProto, given: Attributes) -> None:
        if "value" not in given:
            raise self._unknown(node)
        self._constants[node.output[0]] = constant(given["value"], node.output[0], self._where)

    def _fold(self, node: onnx.NodeProto, given: Attributes) -> None:
        """A step on constants: they are other constants."""
        of = self._constants[node.input[0]]
        if node.op_type == "Transpose":
            order = given.get("perm")
            of = of.turned(tuple(order) if order is not None else None)
        elif node.op_type == "Reshape":
            shape = list(self._integers(node, 1, given, "shape"))
            shape = [
                of.shape[k] if n == 0 and k < len(of.shape) else n for k, n in enumerate(shape)
            ]
            if shape.count(-1) == 1:
                rest = -int(np.prod(shape))
                shape[shape.index(-1)] = int(np.prod(of.shape)) // rest if rest > 0 else 0
            of = of.reshaped(tuple(shape))
        self._constants[node.output[0]] = of

    def _constant_or_none(self, name: str) -> Constant | None:
        return self._constants.get(name)

    def _constant(self, node: onnx.NodeProto, place: int) -> Constant:
        name = node.input[place] if place < len(node.input) else ""
        found = self._constants.get(name)
        if found is None:
            raise DamagedFileError(f"the {node.op_type} {_name(node)} has no constant {name!r:.80}")
        return found

    def _integers(
        self, node: onnx.NodeProto, place: int, given: Attributes, attribute: str
    ) -> tuple[int, ...]:
        """Of an attribute (older versions of ONNX) or a constant input; none where neither is."""
        if attribute in given:
            return tuple(int(each) for each in given[attribute])
        if place < len(node.input) and node.input[place]:
            return self._constant(node, place).integers()
        return ()

    # --- steps ------------------------------------------------------------------------------------

    def _source(self, node: onnx.NodeProto, place: int = 0) -> Step:
        name = node.input[place] if place < len(node.input) else ""
        if name not in self._steps:
            raise DamagedFileError(
                f"the {node.op_type} {_name(node)} takes {plain(name)}, which is not computed "
                "before"
            )
        return self._steps[name]

    def _unknown(self, node: onnx.NodeProto) -> OtherLayersError:
        return OtherLayersError(
            f"it has a {plain(node.op_type, 40)} ({_name(node)}), which no network of ours has"
        )

    def _pass(self, node: onnx.NodeProto, _: Attributes) -> Step:
        return self._source(node)

    def _relu(self, node: onnx.NodeProto, _: Attributes) -> Step:
        return Step(Kind.relu, (self._source(node),), _name(node))

    def _flatten(self, node: onnx.NodeProto, _: Attributes) -> Step:
        return Step(Kind.flatten, (self._source(node),), _name(node))

    def _transpose(self, node: onnx.NodeProto, given: Attributes) -> Step:
        return Step(
            Kind.transpose, (self._source(node),), _name(node),
            numbers=tuple(float(axis) for axis in given.get("perm", ())),
        )  # fmt: skip

    def _conv(self, node: onnx.NodeProto, given: Attributes) -> Step:
        weight = self._constant(node, 1)
        if len(weight.shape) != 4:
            raise DamagedFileError(f"the weights of the Conv {_name(node)} are {weight.shape}")
        has_bias = len(node.input) > 2 and node.input[2]
        return Step(
            Kind.convolution, (self._source(node),), _name(node),
            kernel=(weight.shape[2], weight.shape[3]),
            stride=self._pair(node, given, "strides"),
            padding=self._padding(node, given),
            groups=int(given.get("group", 1)),
            weight=weight.entry(),
            bias=_flat(self._constant(node, 2)).entry() if has_bias else None,
        )  # fmt: skip

    def _gemm(self, node: onnx.NodeProto, given: Attributes) -> Step:
        scales = (given.get("alpha", 1.0), given.get("beta", 1.0))
        if scales != (1.0, 1.0) or given.get("transA", 0):
            raise DamagedFileError(f"the Gemm {_name(node)} scales or turns what it multiplies")
        weight = self._constant(node, 1)
        if len(weight.shape) != 2:
            raise DamagedFileError(f"the weights of the Gemm {_name(node)} are {weight.shape}")
        if not given.get("transB", 0):
            weight = weight.turned()
        has_bias = len(node.input) > 2 and node.input[2]
        return Step(
            Kind.linear, (self._source(node),), _name(node),
            weight=weight.entry(),
            bias=_flat(self._constant(node, 2)).entry() if has_bias else None,
        )  # fmt: skip

    def _matmul(self, node: onnx.NodeProto, _: Attributes) -> Step:
        weight = self._constant(node, 1)
        if len(weight.shape) != 2:
            raise DamagedFileError(f"the weights of the MatMul {_name(node)} are {weight.shape}")
        weight = weight.turned()
        return Step(
            Kind.linear, (self._source(node),), _name(node), weight=weight.entry()
        )  # fmt: skip

    def _add(self, node: onnx.NodeProto, given: Attributes) -> Step:
        if len(node.input) != 2:
            raise self._unknown(node)
        first = self._constant_or_none(node.input[0])
        if first is not None and node.op_type == "Add":
            node.input[0], node.input[1] = node.input[1], node.input[0]
        source, numbers = self._source(node), self._constant(node, 1)
        if source.kind is Kind.image:
            sign = 1.0 if node.op_type == "Sub" else -1.0
            return Step(
                Kind.centre, (source,), _name(node), numbers=_mean_of_channels(numbers, sign)
            )  # fmt: skip
        if node.op_type == "Add" and source.weight is not None and source.bias is None:
            behind = (1, 1) if source.kind is Kind.convolution else ()
            out = (source.weight.shape[0], *behind)
            if numbers.shape in (out, (1, *out)):
                return replace(source, bias=_flat(numbers).entry())
        raise self._unknown(node)

    def _lrn(self, node: onnx.NodeProto, given: Attributes) -> Step:
        numbers = (
            given.get("size", 0), given.get("alpha", 1e-4), given.get("beta", 0.75),
            given.get("bias", 1.0),
        )  # fmt: skip
        return Step(
            Kind.normalise, (self._source(node),), _name(node),
            numbers=tuple(float(number) for number in numbers),
        )  # fmt: skip

    def _max_pool(self, node: onnx.NodeProto, given: Attributes) -> Step:
        return self._pool(Kind.max_pool, node, given)

    def _average_pool(self, node: onnx.NodeProto, given: Attributes) -> Step:
        return self._pool(Kind.average_pool, node, given)

    def _pool(self, kind: Kind, node: onnx.NodeProto, given: Attributes) -> Step:
        return Step(
            kind, (self._source(node),), _name(node),
            kernel=self._pair(node, given, "kernel_shape"),
            stride=self._pair(node, given, "strides"),
            padding=self._padding(node, given),
            ceil=bool(given.get("ceil_mode", 0)),
        )  # fmt: skip

    def _global_average(self, node: onnx.NodeProto, _: Attributes) -> Step:
        return Step(Kind.average, (self._source(node),), _name(node))

    def _reduce_mean(self, node: onnx.NodeProto, given: Attributes) -> Step:
        axes = self._integers(node, 1, given, "axes")
        if sorted(axes) not in ([2, 3], [-2, -1]):
            raise self._unknown(node)
        return Step(Kind.average, (self._source(node),), _name(node))

    def _split(self, node: onnx.NodeProto, given: Attributes) -> None:
        lengths = self._integers(node, 1, given, "split")
        if given.get("axis", 0) != 1 or (lengths and len(lengths) != len(node.output)):
            raise self._unknown(node)
        source, begin = self._source(node), 0
        for number, name in enumerate(node.output):
            place: tuple[float, ...] = (number,)
            if lengths:
                place = (number, begin, begin + lengths[number])
                begin += lengths[number]
            self._steps[name] = Step(Kind.part, (source,), _name(node), numbers=place)

    def _slice(self, node: onnx.NodeProto, given: Attributes) -> Step:
        begins = self._integers(node, 1, given, "starts")
        ends = self._integers(node, 2, given, "ends")
        axes = self._integers(node, 3, given, "axes")
        steps = self._integers(node, 4, given, "steps")
        if (len(begins), len(ends), axes) != (1, 1, (1,)) or steps not in ((), (1,)):
            raise self._unknown(node)
        place = (-1.0, float(begins[0]), float(ends[0]))
        return Step(Kind.part, (self._source(node),), _name(node), numbers=place)

    def _concat(self, node: onnx.NodeProto, given: Attributes) -> Step:
        if given.get("axis", 1) != 1 or not node.input:
            raise self._unknown(node)
        sources = tuple(self._source(node, place) for place in range(len(node.input)))
        if all(each.kind is Kind.relu for each in sources):
            merged = merged_convolution(tuple(each.inputs[0] for each in sources), _name(node))
            if merged is not None:
                return Step(Kind.relu, (merged,), _name(node))
        merged = merged_convolution(sources, _name(node))
        return merged or Step(Kind.concatenation, sources, _name(node))

    def _pair(self, node: onnx.NodeProto, given: Attributes, name: str) -> tuple[int, int]:
        values = tuple(int(each) for each in given.get(name, (1, 1)))
        if len(values) != 2:
            raise self._unknown(node)
        return values[0], values[1]

    def _padding(self, node: onnx.NodeProto, given: Attributes) -> tuple[int, int, int, int]:
        automatic = given.get("auto_pad", b"NOTSET")
        spread = tuple(given.get("dilations", (1, 1)))
        if automatic not in (b"NOTSET", b"VALID", b"") or spread != (1, 1):
            raise self._unknown(node)
        pads = tuple(int(each) for each in given.get("pads", (0, 0, 0, 0)))
        if len(pads) != 4:
            raise self._unknown(node)
        return pads[0], pads[1], pads[2], pads[3]


_NODES: Mapping[str, Callable[[_Reader, onnx.NodeProto, Attributes], Step]] = {
    **dict.fromkeys((*_PASSED, *_LAST), _Reader._pass),
    **dict.fromkeys(_FLATTENING, _Reader._flatten),
    "Add": _Reader._add,
    "AveragePool": _Reader._average_pool,
    "Concat": _Reader._concat,
    "Conv": _Reader._conv,
    "Gemm": _Reader._gemm,
    "GlobalAveragePool": _Reader._global_average,
    "LRN": _Reader._lrn,
    "MatMul": _Reader._matmul,
    "MaxPool": _Reader._max_pool,
    "ReduceMean": _Reader._reduce_mean,
    "Relu": _Reader._relu,
    "Slice": _Reader._slice,
    "Sub": _Reader._add,
    "Transpose": _Reader._transpose,
}
"""How a node of each type is read."""
_OF_CONSTANTS = ("Identity", "Transpose", "Reshape")
"""Nodes that are read on constants too."""


def _name(node: onnx.NodeProto) -> str:
    return plain(node.name or (node.output[0] if node.output else ""))


def _flat(numbers: Constant) -> Constant:
    return numbers.reshaped((int(np.prod(numbers.shape)),))


def _mean_of_channels(numbers: Constant, sign: float) -> tuple[float, ...]:
    """Of (3, 1, 1), (1, 3, 1, 1) or a mean image (1, 3, H, W)."""
    shape = (
        numbers.shape[1:] if len(numbers.shape) == 4 and numbers.shape[0] == 1 else numbers.shape
    )
    if len(shape) != 3 or shape[0] != 3 or not numbers.floating:
        raise DamagedFileError(f"what it subtracts from its input is {numbers.shape}")
    values = numbers.read().reshape(3, -1).astype(np.float64).mean(axis=1)
    return tuple(float(sign * value) for value in values)
