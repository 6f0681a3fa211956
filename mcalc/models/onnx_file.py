"""Files of ONNX (`.onnx`): the graph's constants, checked before they are used.

The file is read whole, and at most as many bytes as the network may have. Numbers that lie in other
files ("external data") are refused: a name in a file must not lead to any other file, and a trial
is known by the content of the one file that its settings name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from mcalc.errors import UserError
from mcalc.models.bounded_zip import DamagedFileError
from mcalc.models.weight_entry import Entry
from mcalc.plain_file import read_plain

if TYPE_CHECKING:
    import onnx

MOST_PARTS = 10_000
"""Nodes of a graph, and constants."""
MOST_LINKS = 100_000
"""Inputs and outputs of all nodes."""
MOST_PIXELS = 512
"""Height and width of an input: our network runs once on an image of that size."""
_MOST_INTEGERS = 64
"""Whole numbers of a constant that says how something is done, as a shape."""
_NO_TEXT = "it has names that are no text"
_FLOATING = ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16")

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Constant:
    """Numbers of a file, whether they are weights or say how a step is done."""

    name: str
    dtype: str
    """ONNX's, in small letters: `float`, `int64`."""
    shape: tuple[int, ...]
    size: int
    """Bytes in the file."""
    read: Callable[[], Array]
    """Raises DamagedFileError."""

    @property
    def floating(self) -> bool:
        """Whether it may be weights."""
        return self.dtype.upper() in _FLOATING

    def turned(self, order: tuple[int, ...] | None = None) -> Constant:
        """With its axes in another order, by default the reverse. Raises DamagedFileError."""
        axes = tuple(reversed(range(len(self.shape)))) if order is None else order
        if sorted(axes) != list(range(len(self.shape))):
            raise DamagedFileError(
                f"its constant {self.name[:80]!r} has other axes than are turned"
            )
        shape = tuple(self.shape[axis] for axis in axes)
        return replace(self, shape=shape, read=lambda: self.read().transpose(axes))

    def reshaped(self, shape: tuple[int, ...]) -> Constant:
        """The same numbers in another shape of as many. Raises DamagedFileError."""
        if math.prod(shape) != math.prod(self.shape):
            raise DamagedFileError(
                f"its constant {self.name[:80]!r} is {self.shape}, which cannot be {shape}"
            )
        return replace(self, shape=shape, read=lambda: self.read().reshape(shape))

    def entry(self) -> Entry:
        """As weights."""
        return Entry(
            shape=self.shape,
            dtype={"float": "float32", "double": "float64"}.get(self.dtype, self.dtype),
            floating=self.floating,
            read=partial(_as_tensor, self.read),
            storage=self.name,
            size=self.size,
        )

    def integers(self) -> tuple[int, ...]:
        """The whole numbers of a small constant. Raises DamagedFileError for any other."""
        if math.prod(self.shape) > _MOST_INTEGERS or self.floating:
            raise DamagedFileError(f"its constant {self.name[:80]!r} is no few whole numbers")
        return tuple(int(number) for number in self.read().ravel())


def joined(entries: tuple[Entry, ...]) -> Entry:
    """Arrays one behind the other along their first axis, as one."""
    first = entries[0]
    return Entry(
        shape=(sum(entry.shape[0] for entry in entries), *first.shape[1:]),
        dtype=first.dtype,
        floating=all(entry.floating for entry in entries),
        read=lambda: torch.cat([entry.read() for entry in entries]),
        storage=" and ".join(entry.storage for entry in entries),
        size=sum(entry.size for entry in entries),
        parts=tuple(entry.storage for entry in entries),
    )


@dataclass(frozen=True)
class OnnxFile:
    """An opened file."""

    model: onnx.ModelProto
    constants: Mapping[str, Constant]
    """Initializers by their name."""
    image: str
    """The name of the graph's only input."""
    output: str
    """The name of the graph's only output."""
    image_size: tuple[int, int] | None
    """Height and width of the input, where the file fixes them."""


@contextmanager
def open_onnx(path: Path, where: str, most_bytes: int) -> Iterator[OnnxFile]:
    """Read a file and check what it declares.

    Raises DamagedFileError for any other file, and UserError for what is no file, may not be read,
    has more than `most_bytes`, keeps numbers elsewhere, and where `onnx` is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise UserError(
            f"{where}: reading .onnx needs the package onnx: pip install 'mcalc[onnx]', or pip "
            "install onnx"
        ) from error
    from google.protobuf.message import DecodeError

    content = read_plain(path, where, most_bytes)
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise DamagedFileError("it is no message of ONNX's, or cut off") from error
    except UnicodeDecodeError as error:  # protobuf without its compiled part
        raise DamagedFileError(_NO_TEXT) from error
    del content
    yield _checked(model, where)


def _checked(model: onnx.ModelProto, where: str) -> OnnxFile:
    graph = model.graph
    if not graph.node:
        raise DamagedFileError("it has no graph")
    parts = max(len(graph.node), len(graph.initializer))
    if parts > MOST_PARTS:
        raise DamagedFileError(f"its graph has {parts:,} parts")
    links = sum(len(node.input) + len(node.output) for node in graph.node)
    if links > MOST_LINKS:
        raise DamagedFileError(f"its graph has {links:,} connections")
    # compiled protobuf gives bytes where a text is none
    if not all(isinstance(text, str) for text in _texts(model)):
        raise DamagedFileError(_NO_TEXT)
    constants: dict[str, Constant] = {}
    for tensor in graph.initializer:
        if tensor.name in constants:
            raise DamagedFileError(f"two of its constants are named {tensor.name[:80]!r}")
        constants[tensor.name] = constant(tensor, tensor.name, where)
    # before 2019 the initializers stood among the inputs too
    inputs = [each for each in graph.input if each.name not in constants]
    for what, those in (("input", inputs), ("output", graph.output)):
        if len(those) != 1:
            names = ", ".join(each.name[:40] for each in those[:4])
            raise DamagedFileError(
                f"its graph has {len(those)} {what}s{f' ({names})' if names else ''}: expected one"
            )
    return OnnxFile(model, constants, inputs[0].name, graph.output[0].name, _size_of(inputs[0]))


def _texts(model: onnx.ModelProto) -> Iterator[object]:
    graph = model.graph
    yield from (model.producer_name, model.producer_version, graph.name)
    for each in (*graph.initializer, *graph.input, *graph.output):
        yield each.name
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _size_of(image: onnx.ValueInfoProto) -> tuple[int, int] | None:
    """Height and width of an input; None where the file leaves one open."""
    sizes = [each.dim_value for each in image.type.tensor_type.shape.dim]
    if len(sizes) != 4 or not all(sizes[2:]):
        return None
    if not all(0 < size <= MOST_PIXELS for size in sizes[2:]):
        raise DamagedFileError(f"its input has {sizes[2]} x {sizes[3]} pixels")
    return sizes[2], sizes[3]


def constant(tensor: onnx.TensorProto, name: str, where: str) -> Constant:
    """A tensor as it is declared. Raises DamagedFileError, and UserError for external data."""
    import onnx

    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise UserError(
            f"{where}: the numbers of {name[:80]!r} lie in another file, which is not read: put "
            "all into one file with onnx.save(onnx.load(PATH), ONE_FILE)"
        )
    shape = tuple(tensor.dims)
    if any(length < 0 for length in shape):
        raise DamagedFileError(f"its constant {name[:80]!r} has the shape {shape}")
    try:
        dtype = onnx.TensorProto.DataType.Name(tensor.data_type)
        width = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"its constant {name[:80]!r} is of no known type") from error
    count = math.prod(shape)
    if tensor.HasField("raw_data"):
        there: float = len(tensor.raw_data) / width
    elif dtype in ("FLOAT16", "BFLOAT16"):
        there = len(tensor.int32_data)
    else:
        there = max(
            len(tensor.float_data), len(tensor.double_data),
            len(tensor.int32_data), len(tensor.int64_data),
            len(tensor.uint64_data), len(tensor.string_data),
        )  # fmt: skip
    # types of less than a byte have two numbers in one; they are no weights and never read
    if there != count and dtype in (*_FLOATING, "INT64", "INT32"):
        raise DamagedFileError(
            f"its constant {name[:80]!r} declares {count:,} numbers and has {there:,.0f}"
        )
    return Constant(name, dtype.lower(), shape, count * width, partial(_numbers, tensor))


def _numbers(tensor: onnx.TensorProto) -> Array:
    from onnx import numpy_helper

    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise DamagedFileError(f"its constant {tensor.name[:80]!r} cannot be read") from error


def _as_tensor(read: Callable[[], Array]) -> torch.Tensor:
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.array(read(), dtype=np.float32, order="C"))
