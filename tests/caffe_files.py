"""Files of Caffe, encoded by hand after protobuf's wire format and Caffe's numbers of fields.

`src/caffe/proto/caffe.proto`: NetParameter.name 1, .layers 2 (V1), .layer 100; LayerParameter.name
1, .type 2, .bottom 3, .top 4, .blobs 7; V1LayerParameter.bottom 2, .top 3, .name 4, .type 5, .blobs
6, .layer 1 (V0); V0LayerParameter.name 1, .type 2, .blobs 50; BlobProto.num, .channels, .height,
.width 1 to 4, .data 5, .diff 6, .shape 7, .double_data 8; BlobShape.dim 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def piece(field: int, content: bytes | str) -> bytes:
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def blob(values: Array, *, legacy: bool = False, double: bool = False, diff: bool = False) -> bytes:
    """An array; `legacy`: four lengths as Caffe wrote them before 2015."""
    if legacy:
        lengths = (1,) * (4 - values.ndim) + values.shape
        shape = b"".join(number(field, length) for field, length in enumerate(lengths, 1))
    else:
        shape = piece(7, piece(1, b"".join(map(varint, values.shape))))
    data = piece(8, values.astype("<f8").tobytes()) if double else b""
    data = data or piece(5, values.astype("<f4").tobytes())
    return shape + data + (piece(6, bytes(4 * values.size)) if diff else b"")


def layer(
    name: str, kind: str = "", blobs: Sequence[bytes] = (), bottom: str = "", top: str = ""
) -> bytes:
    """A layer of Caffe since 2014, as a field of the network."""
    content = piece(1, name) + (piece(2, kind) if kind else b"")
    content += (piece(3, bottom) if bottom else b"") + (piece(4, top) if top else b"")
    return piece(100, content + b"".join(piece(7, each) for each in blobs))


V1_TYPES = {"Convolution": 4, "InnerProduct": 14, "LRN": 15, "Pooling": 17, "ReLU": 18}


def v1_layer(
    name: str, kind: str = "", blobs: Sequence[bytes] = (), bottom: str = "", top: str = ""
) -> bytes:
    """A layer as Caffe wrote it in 2014, as a field of the network."""
    content = (piece(2, bottom) if bottom else b"") + (piece(3, top) if top else b"")
    content += piece(4, name) + (number(5, V1_TYPES[kind]) if kind else b"")
    return piece(2, content + b"".join(piece(6, each) for each in blobs))


def v0_layer(name: str, kind: str, blobs: Sequence[bytes] = ()) -> bytes:
    """A layer as Caffe wrote it in 2013, as a field of the network."""
    content = piece(1, name) + piece(2, kind) + b"".join(piece(50, each) for each in blobs)
    return piece(2, piece(1, content))


def network(layers: Iterable[bytes], name: str = "AlexNet") -> bytes:
    return piece(1, name) + b"".join(layers)


CONNECTIONS = (
    ("data", "Data", "", "data"),
    ("conv1", "Convolution", "data", "conv1"), ("relu1", "ReLU", "conv1", "conv1"),
    ("norm1", "LRN", "conv1", "norm1"), ("pool1", "Pooling", "norm1", "pool1"),
    ("conv2", "Convolution", "pool1", "conv2"), ("relu2", "ReLU", "conv2", "conv2"),
    ("norm2", "LRN", "conv2", "norm2"), ("pool2", "Pooling", "norm2", "pool2"),
    ("conv3", "Convolution", "pool2", "conv3"), ("conv4", "Convolution", "conv3", "conv4"),
    ("conv5", "Convolution", "conv4", "conv5"), ("pool5", "Pooling", "conv5", "pool5"),
    ("fc6", "InnerProduct", "pool5", "fc6"), ("fc7", "InnerProduct", "fc6", "fc7"),
    ("fc8", "InnerProduct", "fc7", "fc8"),
)  # fmt: skip
"""BVLC AlexNet's layers: name, type, bottom, top (`models/bvlc_alexnet/train_val.prototxt`)."""
CAFFENET = {
    "pool1": ("conv1", "pool1"), "norm1": ("pool1", "norm1"), "conv2": ("norm1", "conv2"),
    "pool2": ("conv2", "pool2"), "norm2": ("pool2", "norm2"), "conv3": ("norm2", "conv3"),
}  # fmt: skip
"""Where CaffeNet's layers are connected otherwise."""
CAFFENETS_ORDER = ("norm1", "pool1"), ("norm2", "pool2")


def alexnet(
    arrays: Mapping[str, Array], *, v1: bool = False, legacy: bool = False, caffenet: bool = False
) -> bytes:
    """BVLC AlexNet's file, whole, by arrays under Caffe's names."""
    rows = {row[0]: row for row in CONNECTIONS}
    order = [row[0] for row in CONNECTIONS]
    if caffenet:
        for before, after in CAFFENETS_ORDER:
            one, two = order.index(before), order.index(after)
            order[one], order[two] = after, before
        for name, ends in CAFFENET.items():
            rows[name] = (*rows[name][:2], *ends)
    write = v1_layer if v1 else layer
    layers = []
    for name in order:
        _, kind, bottom, top = rows[name]
        blobs = [
            blob(arrays[f"{name}.{part}"], legacy=legacy)
            for part in ("weight", "bias")
            if f"{name}.{part}" in arrays
        ]
        layers.append(write(name, "" if kind == "Data" and v1 else kind, blobs, bottom, top))
    return network(layers, "CaffeNet" if caffenet else "AlexNet")
