"""Files of ONNX as others write them, made with ONNX's own helper from Caffe's prototxt files.

`Graph` knows no network of mcalc: names, order and attributes are those of the definitions
(`models/bvlc_alexnet/deploy.prototxt`, `models/bvlc_googlenet/deploy.prototxt`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[np.float32]
ZOO, MATLAB = "onnx-caffe2", "MATLAB Deep Learning Toolbox Converter for ONNX Model Format"
INCEPTION = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")


class Graph:
    """A graph under construction; each method returns the name of what it computes."""

    def __init__(self, producer: str = ZOO, opset: int = 9) -> None:
        self.producer, self.opset = producer, opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: npt.NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        names = [f"{kind.lower()}_{len(self.nodes)}_{number}" for number in range(outputs)]
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, names, name=name, **attributes))
        return ",".join(names)

    def conv(
        self, x: str, name: str, weight: Array, bias: Array,
        stride: int = 1, pad: int = 0, group: int = 1,
    ) -> str:  # fmt: skip
        height, width = weight.shape[2:]
        return self.node(
            "Conv", x, self.constant(f"{name}_w_0", weight), self.constant(f"{name}_b_0", bias),
            kernel_shape=[height, width], strides=[stride] * 2, pads=[pad] * 4, group=group,
        )  # fmt: skip

    def split_conv(
        self, x: str, name: str, weight: Array, bias: Array, pad: int, slices: bool = False
    ) -> str:
        """Two halves by themselves, as exporters without grouped convolutions write them."""
        channels = weight.shape[1]
        if slices:
            halves = [
                self.node("Slice", x, axes=[1], starts=[0], ends=[channels]),
                self.node("Slice", x, axes=[1], starts=[channels], ends=[2**31 - 1]),
            ]
        else:
            halves = self.node("Split", x, outputs=2, axis=1, split=[channels] * 2).split(",")
        out = [
            self.conv(half, f"{name}_{number}", w, b, pad=pad)
            for number, (half, w, b) in enumerate(
                zip(halves, np.split(weight, 2), np.split(bias, 2), strict=True)
            )
        ]
        return self.node("Concat", *out, axis=1)

    def gemm(self, x: str, name: str, weight: Array, bias: Array, turned: bool = False) -> str:
        """Weights (out, in), or with `turned` (in, out)."""
        w = self.constant(f"{name}_w_0", weight.T if turned else weight)
        b = self.constant(f"{name}_b_0", bias)
        return self.node("Gemm", x, w, b, transB=int(not turned))

    def flat(self, x: str, length: int) -> str:
        shape = self.constant(f"shape{len(self.nodes)}", np.array([1, length], np.int64))
        return self.node("Reshape", x, shape)

    def relu(self, x: str) -> str:
        return self.node("Relu", x)

    def lrn(self, x: str) -> str:
        return self.node("LRN", x, size=5, alpha=1e-4, beta=0.75, bias=1.0)

    def pool(self, x: str, kernel: int = 3, stride: int = 2, before: int = 0) -> str:
        """Rounded up as in Caffe: one row and column more at the end."""
        end = before + (stride > 1)
        return self.node(
            "MaxPool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2,
            pads=[before, before, end, end],
        )  # fmt: skip

    def save(self, path: Path, last: str, size: int, out: int, *, old: bool = False) -> Path:
        """`old`: the constants stand among the inputs, as before 2019."""
        given = [helper.make_tensor_value_info("data_0", TensorProto.FLOAT, [1, 3, size, size])]
        if old:
            given += [
                helper.make_tensor_value_info(each.name, each.data_type, each.dims)
                for each in self.constants
            ]
        result = helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, out])
        graph = helper.make_graph(self.nodes, "network", given, [result], self.constants)
        model = helper.make_model(
            graph, producer_name=self.producer, opset_imports=[helper.make_opsetid("", self.opset)]
        )
        model.ir_version = 4
        path.write_bytes(model.SerializeToString())
        return path


def draw(seed: int, shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    """Weights of about He's size, so that values neither vanish nor grow; small biases."""
    generator = np.random.default_rng(seed)
    return {
        name: (
            generator.standard_normal(shape, dtype=np.float32)
            * (0.1 if len(shape) == 1 else (2 / np.prod(shape[1:])) ** 0.5)
        ).astype(np.float32)
        for name, shape in shapes.items()
    }


ALEXNET_SHAPES = {
    "conv1": (96, 3, 11, 11), "conv2": (256, 48, 5, 5), "conv3": (384, 256, 3, 3),
    "conv4": (384, 192, 3, 3), "conv5": (256, 192, 3, 3),
    "fc6": (4096, 256 * 6 * 6), "fc7": (4096, 4096), "fc8": (1000, 4096),
}  # fmt: skip
"""`models/bvlc_alexnet/deploy.prototxt`: outputs, inputs of a group, window."""


def alexnet_arrays(seed: int) -> dict[str, Array]:
    """BVLC AlexNet's weights, drawn, under Caffe's names."""
    shapes: dict[str, Sequence[int]] = {}
    for layer, shape in ALEXNET_SHAPES.items():
        shapes |= {f"{layer}.weight": shape, f"{layer}.bias": shape[:1]}
    return draw(seed, shapes)


def write_alexnet(
    path: Path,
    arrays: Mapping[str, Array],
    *,
    matlab: bool = False,
    caffenet: bool = False,
    softmax: bool = True,
    size: int = 227,
) -> Path:
    """BVLC AlexNet: as the model zoo has it, or as an export of MATLAB's may be.

    `matlab`: red, green, blue with a mean image in front, halves by themselves, and fully connected
    layers as convolutions over the whole map. `caffenet`: pools before it normalises.
    """
    graph = Graph(MATLAB if matlab else ZOO)
    layer = {name: (arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in ALEXNET_SHAPES}
    x = "data_0"
    first, bias = layer["conv1"]
    if matlab:
        levels = np.array([122.7, 116.7, 104.0], np.float32).reshape(1, 3, 1, 1)
        image = np.broadcast_to(levels, (1, 3, 227, 227)).astype(np.float32)
        x = graph.node("Sub", x, graph.constant("data_Mean", image))
        first = first[:, ::-1]
    x = graph.relu(graph.conv(x, "conv1", first, bias, stride=4))
    x = graph.lrn(graph.pool(x)) if caffenet else graph.pool(graph.lrn(x))
    if matlab:
        x = graph.relu(graph.split_conv(x, "conv2", *layer["conv2"], pad=2))
    else:
        x = graph.relu(graph.conv(x, "conv2", *layer["conv2"], pad=2, group=2))
    x = graph.lrn(graph.pool(x)) if caffenet else graph.pool(graph.lrn(x))
    x = graph.relu(graph.conv(x, "conv3", *layer["conv3"], pad=1))
    x = graph.relu(graph.conv(x, "conv4", *layer["conv4"], pad=1, group=2))
    x = graph.relu(graph.conv(x, "conv5", *layer["conv5"], pad=1, group=2))
    x = graph.pool(x)
    if matlab:
        for name, window in (("fc6", 6), ("fc7", 1), ("fc8", 1)):
            weight, bias = layer[name]
            x = graph.conv(x, name, weight.reshape(len(weight), -1, window, window), bias)
            x = graph.relu(x) if name != "fc8" else graph.node("Flatten", x)
    else:
        x = graph.flat(x, 9216)
        for name in ("fc6", "fc7"):
            x = graph.node("Dropout", graph.relu(graph.gemm(x, name, *layer[name])), ratio=0.5)
        x = graph.gemm(x, "fc8", *layer["fc8"])
    last = graph.node("Softmax", x, axis=1) if softmax else x
    if size == 224:  # the zoo's: 54, 26, 12, 6
        for node in [node for node in graph.nodes if node.op_type == "MaxPool"][:2]:
            next(each for each in node.attribute if each.name == "pads").ints[:] = [0, 0, 0, 0]
    return graph.save(path, last, size, 1000, old=not matlab)


def write_googlenet(path: Path, arrays: Mapping[str, Array]) -> Path:
    """BVLC GoogLeNet as `models/bvlc_googlenet/deploy.prototxt` has it, by arrays of its names."""
    graph = Graph()

    def conv(x: str, name: str, stride: int = 1, pad: int = 0) -> str:
        weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
        return graph.relu(graph.conv(x, name, weight, bias, stride=stride, pad=pad))

    x = graph.lrn(graph.pool(conv("data_0", "conv1/7x7_s2", stride=2, pad=3)))
    x = conv(conv(x, "conv2/3x3_reduce"), "conv2/3x3", pad=1)
    x = graph.pool(graph.lrn(x))
    for block in INCEPTION:
        name = f"inception_{block}"
        # computed in another order than they are joined in
        pooled = conv(graph.pool(x, stride=1, before=1), f"{name}/pool_proj")
        five = conv(conv(x, f"{name}/5x5_reduce"), f"{name}/5x5", pad=2)
        three = conv(conv(x, f"{name}/3x3_reduce"), f"{name}/3x3", pad=1)
        one = conv(x, f"{name}/1x1")
        x = graph.node("Concat", one, three, five, pooled, axis=1)
        if block in ("3b", "4e"):
            x = graph.pool(x)
    x = graph.node("AveragePool", x, kernel_shape=[7, 7], strides=[1, 1])
    x = graph.flat(graph.node("Dropout", x, ratio=0.4), 1024)
    name = "loss3/classifier"
    x = graph.gemm(x, name, arrays[f"{name}.weight"], arrays[f"{name}.bias"])
    return graph.save(path, x, 224, 1000)
