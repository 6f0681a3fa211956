"""Files of Caffe (`.caffemodel`): the layers that they hold, with their arrays of numbers.

Such a file is a message of protobuf, defined in BVLC/caffe, `src/caffe/proto/caffe.proto` (BSD-2).
Of that definition the messages and fields are taken that lead to names, types, connections and
numbers; protobuf passes over all others. Three generations of layers are read: `layer` (since
2014), `layers` with a type by number (V1), and `layers` around an inner `layer` (V0). Nothing of
Caffe is needed; the package `caffe` of PyPI is an empty name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from torch import Tensor

from mcalc.models.bounded_zip import DamagedFileError
from mcalc.models.weight_entry import Entry, plain
from mcalc.plain_file import read_plain

MOST_LAYERS = 10_000
_NO_TEXT = "it has names that are no text"
_KINDS = ("weight", "bias")
"""A layer's arrays, in Caffe's order."""
_V1_TYPES = {
    4: "Convolution", 5: "Data", 6: "Dropout", 14: "InnerProduct", 15: "LRN", 17: "Pooling",
    18: "ReLU", 20: "Softmax", 22: "Split",
}  # fmt: skip
_V0_TYPES = {
    "conv": "Convolution", "innerproduct": "InnerProduct", "lrn": "LRN", "pool": "Pooling",
    "relu": "ReLU", "dropout": "Dropout",
}  # fmt: skip
_PASSED = ("ReLU", "Dropout", "Split")
"""Types of layers that do not count when it is asked what a normalisation follows."""

_DEFINITION = {
    "BlobShape": "repeated int64 dim 1",
    "BlobProto": """
        optional int64 num 1
        optional int64 channels 2
        optional int64 height 3
        optional int64 width 4
        repeated float data 5
        optional BlobShape shape 7
        repeated double double_data 8
    """,
    "InnerProductParameter": "optional bool transpose 6",
    "LayerParameter": """
        optional string name 1
        optional string type 2
        repeated string bottom 3
        repeated string top 4
        repeated BlobProto blobs 7
        optional InnerProductParameter inner_product_param 117
    """,
    "V0LayerParameter": """
        optional string name 1
        optional string type 2
        repeated BlobProto blobs 50
    """,
    "V1LayerParameter": """
        optional V0LayerParameter layer 1
        repeated string bottom 2
        repeated string top 3
        optional string name 4
        optional int32 type 5
        repeated BlobProto blobs 6
    """,
    "NetParameter": """
        optional string name 1
        repeated V1LayerParameter layers 2
        repeated LayerParameter layer 100
    """,
}
"""Caffe's messages, a field a line: how often, type, name, number."""


@dataclass(frozen=True)
class Blob:
    """An array as a layer holds it."""

    message: Any
    shape: tuple[int, ...]
    """As declared; of a file before 2015 four lengths, of which the first may be 1 for nothing."""
    transposed: bool
    """Whether a fully connected layer's weights are stored (in, out)."""

    def array(self) -> Tensor:
        """The numbers, float32, in the declared shape. Those beyond float32 are infinite."""
        wide = self.message.double_data
        with np.errstate(over="ignore"):
            numbers = np.array(wide or self.message.data, dtype=np.float32)
        return torch.from_numpy(numbers.reshape(self.shape))


@dataclass(frozen=True)
class Layer:
    """A layer as the file lists it."""

    name: str
    kind: str
    """Caffe's type since 2014; empty where the file says none."""
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: tuple[Blob, ...]


@dataclass(frozen=True)
class CaffeFile:
    """What a file holds, in its order."""

    name: str
    """The network's name: `AlexNet`."""
    layers: tuple[Layer, ...]

    def entries(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Entry]:
        """The arrays by layer and kind: `conv1.weight`.

        `shapes`: those that are expected, by the same names. Caffe before 2015 gave every array
        four lengths; as Caffe itself does, one is taken for the expected shape where it only has 1s
        more in front. Raises DamagedFileError where an array has other numbers than it declares, or
        two layers of one name have arrays.
        """
        found: dict[str, Entry] = {}
        for layer in self.layers:
            for number, blob in enumerate(layer.blobs):
                kind = _KINDS[number] if number < len(_KINDS) else f"array {number}"
                name = f"{layer.name}.{kind}"
                if name in found:
                    raise DamagedFileError(f"two of its layers are named {layer.name[:80]!r}")
                found[name] = _entry(name, blob, shapes.get(name))
        return found

    def before_normalisation(self) -> list[str]:
        """What each local response normalisation takes its input from: `Convolution`, `Pooling`.

        Empty where the file does not say how its layers follow on another.
        """
        found: list[str] = []
        maker: dict[str, str] = {}
        for layer in self.layers:
            if layer.kind == "LRN" and layer.bottoms:
                found.append(maker.get(layer.bottoms[0], ""))
            if layer.kind in _PASSED and layer.bottoms:
                kind = maker.get(layer.bottoms[0], "")
            else:
                kind = layer.kind
            maker |= dict.fromkeys(layer.tops, kind)
        return found if all(found) else []


def open_caffe(path: Path, where: str, most_bytes: int) -> CaffeFile:
    """Read a file whole and take it apart.

    Raises DamagedFileError for any other file, UserError for what is no file, may not be read, or
    has more than `most_bytes`.
    """
    content = read_plain(path, where, most_bytes)
    net = _messages()["NetParameter"]()
    try:
        net.ParseFromString(content)
    except DecodeError as error:
        raise DamagedFileError("it is no message of Caffe's, or cut off") from error
    except UnicodeDecodeError as error:  # protobuf without its compiled part
        raise DamagedFileError(_NO_TEXT) from error
    del content
    if len(net.layer) + len(net.layers) > MOST_LAYERS:
        raise DamagedFileError(f"it has {len(net.layer) + len(net.layers):,} layers")
    layers = (*_v1_layers(net.layers), *_layers(net.layer))
    # compiled protobuf gives bytes where a text is none
    if not all(isinstance(text, str) for text in (net.name, *_texts(layers))):
        raise DamagedFileError(_NO_TEXT)
    if not any(layer.blobs for layer in layers):
        raise DamagedFileError("it has no layer with numbers")
    return CaffeFile(net.name[:80], layers)


def _texts(layers: Iterable[Layer]) -> Iterator[object]:
    for layer in layers:
        yield from (layer.name, layer.kind, *layer.bottoms, *layer.tops)


def _layers(messages: Any) -> Iterator[Layer]:
    for each in messages:
        turned = each.type == "InnerProduct" and each.inner_product_param.transpose
        blobs = _blobs(each, turned)
        yield Layer(each.name, each.type, tuple(each.bottom), tuple(each.top), blobs)


def _v1_layers(messages: Any) -> Iterator[Layer]:
    for each in messages:
        bottoms, tops = tuple(each.bottom), tuple(each.top)
        if each.HasField("layer"):
            inner = each.layer
            kind = _V0_TYPES.get(inner.type, inner.type)
            yield Layer(inner.name, kind, bottoms, tops, _blobs(inner, False))
        else:
            kind = _V1_TYPES.get(each.type, str(each.type) if each.HasField("type") else "")
            yield Layer(each.name, kind, bottoms, tops, _blobs(each, False))


def _blobs(layer: Any, turned: bool) -> tuple[Blob, ...]:
    return tuple(
        Blob(blob, _declared(blob), turned and number == 0)
        for number, blob in enumerate(layer.blobs)
    )


def _declared(blob: Any) -> tuple[int, ...]:
    if blob.HasField("shape"):
        return tuple(blob.shape.dim)
    return (blob.num, blob.channels, blob.height, blob.width)


def _entry(name: str, blob: Blob, expected: tuple[int, ...] | None) -> Entry:
    shape, message = blob.shape, blob.message
    numbers = max(len(message.data), len(message.double_data))
    if min(shape, default=1) < 0 or math.prod(shape) != numbers:
        raise DamagedFileError(
            f"its {plain(name)} declares {math.prod(shape):,} numbers and has {numbers:,}"
        )
    if len(message.data) and len(message.double_data):
        raise DamagedFileError(f"its {plain(name)} has its numbers twice")
    wide = bool(message.double_data)
    shape = _without_ones(shape)
    if blob.transposed:
        shape = shape[::-1]
    if expected is not None and _without_ones(expected) == shape:
        shape = expected
    return Entry(
        shape=shape,
        dtype="float64" if wide else "float32",
        floating=True,
        read=partial(_read, blob, shape),
        storage=name,
        size=numbers * (8 if wide else 4),
    )


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without the 1s in front, all but the last length."""
    first = next((at for at, length in enumerate(shape) if length != 1), len(shape) - 1)
    return shape[max(first, 0) :]


def _read(blob: Blob, shape: tuple[int, ...]) -> Tensor:
    numbers = blob.array()
    if blob.transposed:
        numbers = numbers.reshape(_without_ones(blob.shape)).T.contiguous()
    return numbers.reshape(shape)


@cache
def _messages() -> dict[str, type[Message]]:
    """Protobuf's classes for the messages of `_DEFINITION`."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for message, lines in _DEFINITION.items():
        kind = file.message_type.add(name=message)
        for line in filter(None, map(str.strip, lines.splitlines())):
            label, of, name, number = line.split()
            added = kind.field.add(name=name, number=int(number))
            added.label = field.Label.Value(f"LABEL_{label.upper()}")
            if of in _DEFINITION:
                added.type, added.type_name = field.TYPE_MESSAGE, f".caffe.{of}"
            else:
                added.type = field.Type.Value(f"TYPE_{of.upper()}")
    # a pool of its own: another package may define Caffe's messages in the common one
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{message}"))
        for message in _DEFINITION
    }
