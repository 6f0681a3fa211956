"""Weights from files of ONNX, with ONNX Runtime as the reference of what a file computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bounded
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from onnx_files import (
    MATLAB,
    Array,
    Graph,
    alexnet_arrays,
    draw,
    write_alexnet,
    write_googlenet,
)
from torch import Tensor, nn

from mcalc.errors import UserError
from mcalc.models.backbones import BACKBONES
from mcalc.models.local_response_norm import LocalResponseNorm
from mcalc.models.weights import Loaded, load_file


def computed(path: Path, x: Array) -> Array:
    """What ONNX Runtime gives for a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found: Array = session.run(None, {"data_0": x})[0]
    return found


def filled(name: str, path: Path) -> tuple[nn.Module, Loaded]:
    entry = BACKBONES[name]
    model = entry.build().eval()
    return model, load_file(model, path, npz_key=entry.npz_key, optional=entry.optional)


def logits(model: nn.Module, x: Array) -> Array:
    with torch.no_grad():
        found: Array = model(torch.from_numpy(x)).numpy()
    return found


def levels(size: int, seed: int = 0) -> Array:
    """One image, 0..255."""
    return np.random.default_rng(seed).uniform(0, 255, (1, 3, size, size)).astype(np.float32)


# --- whole networks -------------------------------------------------------------------------------


@pytest.mark.shared
def test_bvlcs_googlenet_goes_from_npz_through_onnx_to_equal_logits(
    shared_data: Path, tmp_path: Path
) -> None:
    arrays = dict(np.load(shared_data / "weights" / "bvlc_googlenet_oihw.npz"))
    path = write_googlenet(tmp_path / "googlenet.onnx", arrays)
    model, loaded = filled("googlenet_bvlc", path)
    key = BACKBONES["googlenet_bvlc"].npz_key
    assert key is not None
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), arrays[key(name)]), name
    assert loaded.changed == ()
    x = levels(224) - 115
    expected = computed(path, x)
    np.testing.assert_allclose(logits(model, x), expected, atol=1e-5 * abs(expected).max())
    assert expected.std() > 0.5


@pytest.mark.whole
@pytest.mark.parametrize("matlab", [False, True], ids=["zoo", "matlab"])
def test_alexnet_as_the_zoo_and_as_matlab_write_it(tmp_path: Path, matlab: bool) -> None:
    arrays = alexnet_arrays(1)
    arrays["fc8.weight"] *= 0.01  # so that no probability is 1
    path = write_alexnet(tmp_path / "alexnet.onnx", arrays, matlab=matlab)
    model, loaded = filled("alexnet_bvlc", path)
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), arrays[name]), name
    x, mean = levels(227), np.array([104.0, 116.7, 122.7], np.float32).reshape(1, 3, 1, 1)
    # MATLAB's takes red, green, blue and subtracts the mean itself
    expected = computed(path, x[:, ::-1].copy() if matlab else x - mean)
    path.unlink()
    found = torch.from_numpy(logits(model, x - mean)).softmax(1).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)
    assert 1e-3 < expected.max() < 0.99
    assert loaded.changed == (("first layer turned from RGB to BGR",) if matlab else ())


@pytest.mark.whole
def test_the_zoos_alexnet_takes_224_pixels_and_rounds_sizes_down(tmp_path: Path) -> None:
    arrays = alexnet_arrays(2)
    path = write_alexnet(tmp_path / "bvlcalexnet.onnx", arrays, size=224)
    assert computed(path, levels(224)).shape == (1, 1000)  # it is a whole graph
    model, loaded = filled("alexnet_bvlc", path)
    path.unlink()
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), arrays[name]), name
    (said,) = loaded.unchecked
    assert "1 of its pools round otherwise" in said  # 27 becomes 13 either way


@pytest.mark.whole
def test_caffenet_has_the_same_shapes_and_is_refused(tmp_path: Path) -> None:
    path = write_alexnet(tmp_path / "caffenet.onnx", alexnet_arrays(1), caffenet=True)
    with pytest.raises(UserError, match="not a file of BvlcAlexNet: where ours has a max-pool"):
        filled("alexnet_bvlc", path)
    path.unlink()


# --- a small network, written in every way --------------------------------------------------------

SIZE = 19
SHAPES = {
    "conv1.weight": (4, 3, 3, 3), "conv1.bias": (4,),
    "conv2.weight": (6, 2, 3, 3), "conv2.bias": (6,),
    "fc3.weight": (5, 96), "fc3.bias": (5,),
    "fc4.weight": (5, 5), "fc4.bias": (5,),
}  # fmt: skip


class Small(nn.Module):
    """A convolution, a normalisation, a pool, a grouped convolution and two full layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1, groups=2)
        self.fc3 = nn.Linear(96, 5)
        self.fc4 = nn.Linear(5, 5)
        self.lrn = LocalResponseNorm(5, 1e-4, 1.0)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.lrn(F.relu(self.conv1(x))))  # (B, 4, 4, 4)
        x = F.relu(self.conv2(x))  # (B, 6, 4, 4)
        x = F.relu(self.fc3(x.flatten(1)))  # (B, 5)
        return self.fc4(x)  # (B, 5)


Write = Callable[[Graph, dict[str, Array]], str]


def start(graph: Graph, w: dict[str, Array], x: str = "data_0") -> str:
    x = graph.relu(graph.conv(x, "conv1", w["conv1.weight"], w["conv1.bias"], stride=2))
    return graph.pool(graph.lrn(x))


def middle(graph: Graph, w: dict[str, Array], x: str) -> str:
    return graph.relu(graph.conv(x, "conv2", w["conv2.weight"], w["conv2.bias"], pad=1, group=2))


def end(graph: Graph, w: dict[str, Array], x: str) -> str:
    x = graph.relu(graph.gemm(graph.flat(x, 96), "fc3", w["fc3.weight"], w["fc3.bias"]))
    return graph.gemm(x, "fc4", w["fc4.weight"], w["fc4.bias"])


def plain(graph: Graph, w: dict[str, Array]) -> str:
    return end(graph, w, middle(graph, w, start(graph, w)))


def turned_gemm(graph: Graph, w: dict[str, Array]) -> str:
    x = graph.flat(middle(graph, w, start(graph, w)), 96)
    x = graph.relu(graph.gemm(x, "fc3", w["fc3.weight"], w["fc3.bias"], turned=True))
    return graph.gemm(x, "fc4", w["fc4.weight"], w["fc4.bias"], turned=True)


def matmul_and_add(graph: Graph, w: dict[str, Array]) -> str:
    x = graph.node("Flatten", middle(graph, w, start(graph, w)), axis=1)
    for name in ("fc3", "fc4"):
        weight = graph.node("Transpose", graph.constant(name, w[f"{name}.weight"]), perm=[1, 0])
        x = graph.node("MatMul", x, weight)
        bias = graph.constant(f"{name}_B", w[f"{name}.bias"][None])
        x = graph.node("Add", bias, x) if name == "fc3" else graph.node("Add", x, bias)
        x = graph.relu(x) if name == "fc3" else x
    return x


def halves(slices: bool, bias_behind: bool) -> Write:
    def write(graph: Graph, w: dict[str, Array]) -> str:
        x, bias = start(graph, w), w["conv2.bias"]
        if bias_behind:
            bias = np.zeros_like(bias)
        x = graph.split_conv(x, "conv2", w["conv2.weight"], bias, pad=1, slices=slices)
        if bias_behind:
            for node in graph.nodes:
                if node.op_type == "Conv" and "conv2" in node.input[1]:
                    graph.constants = [c for c in graph.constants if c.name != node.input[2]]
                    del node.input[2]
            wide = w["conv2.bias"].reshape(1, -1, 1, 1)
            x = graph.node("Add", x, graph.constant("conv2_B", wide))
        return end(graph, w, graph.relu(x))

    return write


def equal_parts(graph: Graph, w: dict[str, Array]) -> str:
    """A Split that says no lengths cuts into as many equal parts as it has outputs."""
    last = halves(slices=False, bias_behind=False)(graph, w)
    split = next(node for node in graph.nodes if node.op_type == "Split")
    del split.attribute[:]
    split.attribute.append(helper.make_attribute("axis", 1))
    return last


def rectified_halves(graph: Graph, w: dict[str, Array]) -> str:
    """Each half has a ReLU of its own, before they are joined."""
    graph.split_conv(start(graph, w), "conv2", w["conv2.weight"], w["conv2.bias"], pad=1)
    parts = [graph.relu(half) for half in graph.nodes.pop().input]
    return end(graph, w, graph.node("Concat", *parts, axis=1))


def channels_last(graph: Graph, w: dict[str, Array]) -> str:
    """The map is turned to (H, W, C) before it is flattened, and the weights with it."""
    x = graph.node("Transpose", middle(graph, w, start(graph, w)), perm=[0, 2, 3, 1])
    weight = w["fc3.weight"].reshape(5, 6, 4, 4).transpose(0, 2, 3, 1).reshape(5, 96)
    x = graph.relu(graph.gemm(graph.flat(x, 96), "fc3", weight, w["fc3.bias"]))
    return graph.gemm(x, "fc4", w["fc4.weight"], w["fc4.bias"])


def convolutions_as_full_layers(graph: Graph, w: dict[str, Array]) -> str:
    x = middle(graph, w, start(graph, w))
    x = graph.relu(graph.conv(x, "fc3", w["fc3.weight"].reshape(5, 6, 4, 4), w["fc3.bias"]))
    x = graph.conv(x, "fc4", w["fc4.weight"].reshape(5, 5, 1, 1), w["fc4.bias"])
    return graph.node("Flatten", x)


def constants_as_nodes(graph: Graph, w: dict[str, Array]) -> str:
    last = plain(graph, w)
    made = [helper.make_node("Constant", [], [each.name], value=each) for each in graph.constants]
    graph.constants, graph.nodes[:0] = [], made
    return last


def weights_of_other_shapes(graph: Graph, w: dict[str, Array]) -> str:
    """Shapes leave a size open (-1), or take over the one that is there (0)."""
    x = graph.flat(middle(graph, w, start(graph, w)), 96)
    for name, shape, wanted in (("fc3", (5, 6, 4, 4), (0, -1)), ("fc4", (25,), (5, -1))):
        weight = graph.constant(name, w[f"{name}.weight"].reshape(shape))
        weight = graph.node("Reshape", weight, graph.constant(f"{name}_shape", np.array(wanted)))
        bias = graph.constant(f"{name}_B", w[f"{name}.bias"])
        x = graph.node("Gemm", x, weight, bias, transB=1)
        x = graph.relu(x) if name == "fc3" else x
    return x


def weights_passed_on(graph: Graph, w: dict[str, Array]) -> str:
    last = plain(graph, w)
    graph.nodes.insert(0, helper.make_node("Identity", ["fc4_w_0"], ["passed on"]))
    graph.nodes[-1].input[1] = "passed on"
    return last


WAYS = {
    "plain": plain,
    "weights passed on": weights_passed_on,
    "constants as nodes": constants_as_nodes,
    "weights of other shapes": weights_of_other_shapes,
    "Gemm turned": turned_gemm,
    "MatMul and Add": matmul_and_add,
    "Split": halves(slices=False, bias_behind=False),
    "Slice": halves(slices=True, bias_behind=False),
    "Split without lengths": equal_parts,
    "Split, a ReLU each": rectified_halves,
    "Split, the bias behind": halves(slices=False, bias_behind=True),
    "channels last": channels_last,
    "Conv over the map": convolutions_as_full_layers,
}


def write(path: Path, way: Write, arrays: dict[str, Array], graph: Graph | None = None) -> Path:
    graph = graph or Graph()
    return graph.save(path, way(graph, arrays), SIZE, 5)


def load_small(path: Path) -> tuple[Small, Loaded]:
    model = Small().eval()
    return model, load_file(model, path, npz_key=str)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_of_writing_a_layer_gives_what_onnx_runtime_computes(
    tmp_path: Path, way: Write
) -> None:
    arrays = draw(3, SHAPES)
    path = write(tmp_path / "small.onnx", way, arrays)
    model, loaded = load_small(path)
    x = levels(SIZE) / 64 - 2
    expected = computed(path, x)
    np.testing.assert_allclose(logits(model, x), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.05
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), arrays[name]), name
    assert loaded.changed == ()


@pytest.mark.parametrize(
    ("producer", "mean", "is_rgb"),
    [
        ("anyone", (104.0, 117.0, 123.0), False),
        ("anyone", (123.7, 116.3, 103.5), True),
        (MATLAB, (103.94, 116.78, 123.68), False),
        (MATLAB, None, True),
        ("onnx-caffe2", None, False),
    ],
)
@pytest.mark.parametrize("whole_image", [False, True])
def test_the_order_of_channels_follows_the_mean_and_without_one_the_producer(
    tmp_path: Path,
    producer: str,
    mean: tuple[float, ...] | None,
    is_rgb: bool,
    whole_image: bool,
) -> None:
    arrays = draw(4, SHAPES)
    graph, x = Graph(producer), "data_0"
    if mean:
        values = np.array(mean, np.float32).reshape(1, 3, 1, 1)
        if whole_image:  # one whose channels have these means
            values = values + np.linspace(-9, 9, SIZE, dtype=np.float32)
            values = np.broadcast_to(values, (1, 3, SIZE, SIZE))
        x = graph.node("Sub", x, graph.constant("mean", values))
    last = end(graph, arrays, middle(graph, arrays, start(graph, arrays, x)))
    model, loaded = load_small(graph.save(tmp_path / "small.onnx", last, SIZE, 5))
    first = arrays["conv1.weight"]
    assert np.array_equal(model.conv1.weight.detach().numpy(), first[:, ::-1] if is_rgb else first)
    assert bool(loaded.changed) == is_rgb


@pytest.mark.parametrize(("dtype", "same"), [(np.float16, False), (np.float64, True)])
def test_half_and_double_precision_are_read(
    tmp_path: Path, dtype: type[np.floating], same: bool
) -> None:
    arrays = draw(5, SHAPES)
    path = write(tmp_path / "small.onnx", plain, {k: v.astype(dtype) for k, v in arrays.items()})
    model, _ = load_small(path)
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), arrays[name].astype(dtype).astype(np.float32))
        assert np.array_equal(value.numpy(), arrays[name]) == same


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_numbers_that_are_not_raw_bytes_are_read(tmp_path: Path, kind: int) -> None:
    arrays = draw(6, SHAPES)
    path = write(tmp_path / "small.onnx", plain, arrays)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(helper.make_tensor(tensor.name, kind, values.shape, values.ravel()))
            assert not tensor.raw_data
    path.write_bytes(model.SerializeToString())
    loaded, _ = load_small(path)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    expected = arrays["fc3.weight"].astype(dtype).astype(np.float32)
    assert np.array_equal(loaded.fc3.weight.detach().numpy(), expected)


# --- a network that branches ----------------------------------------------------------------------


class Branching(nn.Module):
    """Two convolutions of one map, joined; their average over all positions is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2)
        self.conv2 = nn.Conv2d(4, 2, 1)
        self.conv3 = nn.Conv2d(4, 2, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))  # (B, 4, 9, 9)
        x = torch.cat([F.relu(self.conv2(x)), F.relu(self.conv3(x))], 1)
        return self.fc(self.pool(x).flatten(1))  # (B, 5)


BRANCHING = {
    "conv1.weight": (4, 3, 3, 3), "conv1.bias": (4,),
    "conv2.weight": (2, 4, 1, 1), "conv2.bias": (2,),
    "conv3.weight": (2, 4, 3, 3), "conv3.bias": (2,),
    "fc.weight": (5, 4), "fc.bias": (5,),
}  # fmt: skip


def branching(
    path: Path, *, twice: bool = False, more: bool = False, window: int = 0
) -> dict[str, Array]:
    """Write it and return its arrays.

    Args:
        path: the file.
        twice: each branch computes the first layer anew.
        more: one branch is joined once more.
        window: of the average; 0 for one over the whole map.
    """
    arrays, graph = draw(12, BRANCHING), Graph()
    first = []
    for number in range(1 + twice):
        of = arrays["conv1.weight"], arrays["conv1.bias"]
        first.append(graph.relu(graph.conv("data_0", f"conv1_{number}", *of, stride=2)))
    joined = [
        graph.relu(graph.conv(x, name, arrays[f"{name}.weight"], arrays[f"{name}.bias"], pad=pad))
        for name, x, pad in (("conv2", first[0], 0), ("conv3", first[-1], 1))
    ]
    x = graph.node("Concat", *joined, *joined[: int(more)], axis=1)
    if window:
        x = graph.node("AveragePool", x, kernel_shape=[window] * 2, strides=[1, 1])
    else:
        x = graph.node("GlobalAveragePool", x)
    x = graph.gemm(graph.flat(x, 4), "fc", arrays["fc.weight"], arrays["fc.bias"])
    graph.save(path, x, SIZE, 5)
    return arrays


@pytest.mark.parametrize("window", [0, 9])
def test_branches_are_followed_to_where_they_part(tmp_path: Path, window: int) -> None:
    path = tmp_path / "branching.onnx"
    arrays = branching(path, window=window)
    model = Branching().eval()
    load_file(model, path, npz_key=str)
    x = levels(SIZE) / 64 - 2
    np.testing.assert_allclose(logits(model, x), computed(path, x), rtol=1e-4, atol=1e-5)
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), arrays[name]), name


@pytest.mark.parametrize(
    ("twice", "more", "window", "said"),
    [
        (True, False, 0, r"has a ReLU \(relu\) it has a ReLU .*, which is computed twice"),
        (False, True, 0, "which joins 3, not 2"),
        (False, False, 8, "ours has an average over all positions .* it has an average pool"),
    ],
)
def test_branches_that_part_otherwise_are_refused(
    tmp_path: Path, twice: bool, more: bool, window: int, said: str
) -> None:
    path = tmp_path / "branching.onnx"
    branching(path, twice=twice, more=more, window=window)
    with pytest.raises(UserError, match=said):
        load_file(Branching(), path, npz_key=str)


def of_any_size(path: Path) -> Path:
    """The same file, which does not say how large its images are."""
    file = onnx.load(path)
    for length in file.graph.input[0].type.tensor_type.shape.dim[2:]:
        length.dim_param = "pixels"
    path.write_bytes(file.SerializeToString())
    return path


def test_a_file_may_leave_the_size_of_its_images_open(tmp_path: Path) -> None:
    arrays = branching(tmp_path / "branching.onnx")
    model = Branching()
    load_file(model, of_any_size(tmp_path / "branching.onnx"), npz_key=str)
    assert np.array_equal(model.fc.weight.detach().numpy(), arrays["fc.weight"])
    path = of_any_size(write(tmp_path / "small.onnx", plain, draw(6, SHAPES)))
    with pytest.raises(UserError, match="Small, which does not take images of 224 x 224"):
        load_file(Small(), path, npz_key=str)


# --- other networks and damaged files -------------------------------------------------------------


def other(change: Callable[[Graph, dict[str, Array]], str]) -> Callable[[Path], Path]:
    return lambda path: write(path, change, draw(7, SHAPES))


def not_normalised(graph: Graph, w: dict[str, Array]) -> str:
    x = graph.relu(graph.conv("data_0", "conv1", w["conv1.weight"], w["conv1.bias"], stride=2))
    return end(graph, w, middle(graph, w, graph.pool(x)))


def normalised_otherwise(graph: Graph, w: dict[str, Array]) -> str:
    x = graph.relu(graph.conv("data_0", "conv1", w["conv1.weight"], w["conv1.bias"], stride=2))
    x = graph.node("LRN", x, size=5, alpha=1e-3, beta=0.75, bias=1.0)
    return end(graph, w, middle(graph, w, graph.pool(x)))


def rounded_down(graph: Graph, w: dict[str, Array]) -> str:
    x = graph.relu(graph.conv("data_0", "conv1", w["conv1.weight"], w["conv1.bias"], stride=2))
    x = graph.node("MaxPool", graph.lrn(x), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return end(graph, w, middle(graph, w, x))


def without_groups(graph: Graph, w: dict[str, Array]) -> str:
    wide = np.concatenate([w["conv2.weight"]] * 2, 1)
    x = graph.relu(graph.conv(start(graph, w), "conv2", wide, w["conv2.bias"], pad=1))
    return end(graph, w, x)


def of_swapped_halves(graph: Graph, w: dict[str, Array]) -> str:
    x = graph.split_conv(start(graph, w), "conv2", w["conv2.weight"], w["conv2.bias"], pad=1)
    concat = graph.nodes[-1]
    concat.input[0], concat.input[1] = concat.input[1], concat.input[0]
    return end(graph, w, graph.relu(x))


def of_halves_that_differ(graph: Graph, w: dict[str, Array]) -> str:
    """One half has a bias, the other none."""
    x = graph.split_conv(start(graph, w), "conv2", w["conv2.weight"], w["conv2.bias"], pad=1)
    del graph.nodes[-2].input[2]
    return end(graph, w, graph.relu(x))


def scaled(graph: Graph, w: dict[str, Array]) -> str:
    x = graph.node("Mul", "data_0", graph.constant("scale", np.full(1, 255, np.float32)))
    return end(graph, w, middle(graph, w, start(graph, w, x)))


def mean_of_0_to_1(graph: Graph, w: dict[str, Array]) -> str:
    mean = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
    x = graph.node("Sub", "data_0", graph.constant("mean", mean))
    return end(graph, w, middle(graph, w, start(graph, w, x)))


def without_bias(graph: Graph, w: dict[str, Array]) -> str:
    last = plain(graph, w)
    del graph.nodes[0].input[2]
    return last


def with_more(graph: Graph, w: dict[str, Array]) -> str:
    graph.constant("left_over", np.zeros((2, 2), np.float32))
    return plain(graph, w)


def other_shape(graph: Graph, w: dict[str, Array]) -> str:
    return plain(graph, w | {"fc4.weight": np.zeros((7, 5), np.float32),
                             "fc4.bias": np.zeros(7, np.float32)})  # fmt: skip


def not_finite(graph: Graph, w: dict[str, Array]) -> str:
    return plain(graph, w | {"fc4.bias": np.full(5, np.nan, np.float32)})


def another_domain(graph: Graph, w: dict[str, Array]) -> str:
    last = plain(graph, w)
    graph.nodes[2].domain = "com.example"
    return last


def rectified_input(graph: Graph, w: dict[str, Array]) -> str:
    return end(graph, w, middle(graph, w, start(graph, w, graph.relu("data_0"))))


def no_last_layer(graph: Graph, w: dict[str, Array]) -> str:
    x = middle(graph, w, start(graph, w))
    return graph.relu(graph.gemm(graph.flat(x, 96), "fc3", w["fc3.weight"], w["fc3.bias"]))


def full_layer_as(weight: tuple[int, ...], **attributes: object) -> Write:
    """The first full layer as a convolution."""

    def change(graph: Graph, w: dict[str, Array]) -> str:
        values = np.zeros(weight, np.float32)
        x = graph.conv(middle(graph, w, start(graph, w)), "fc3", values, w["fc3.bias"])
        said_as(**attributes)(graph.nodes[-1])
        x = graph.conv(graph.relu(x), "fc4", w["fc4.weight"].reshape(5, 5, 1, 1), w["fc4.bias"])
        return graph.node("Flatten", x)

    return change


def turned_map(*order: int, inputs: int = 96) -> Write:
    """The map with its axes in another order before the first full layer."""

    def change(graph: Graph, w: dict[str, Array]) -> str:
        x = graph.node("Transpose", middle(graph, w, start(graph, w)), perm=list(order))
        values = np.zeros((5, inputs), np.float32)
        x = graph.relu(graph.gemm(graph.flat(x, inputs), "fc3", values, w["fc3.bias"]))
        return graph.gemm(x, "fc4", w["fc4.weight"], w["fc4.bias"])

    return change


def last_weights(kind: str, *inputs: Array, **attributes: object) -> Write:
    """The last layer's weights by a node on constants."""

    def change(graph: Graph, w: dict[str, Array]) -> str:
        last = plain(graph, w)
        more = [graph.constant(f"how_{n}", each) for n, each in enumerate(inputs)]
        made = graph.node(kind, "fc4_w_0", *more, **attributes)
        graph.nodes[-2].input[1] = made
        graph.nodes[-2:] = graph.nodes[:-3:-1]
        return last

    return change


OTHERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a ReLU in front": (other(rectified_input), "where ours has the input .* it has a ReLU"),
    "no last layer": (other(no_last_layer), r"has a fully connected layer \(fc4\) it has a ReLU"),
    "a full layer in groups": (other(full_layer_as((5, 3, 4, 4), group=2)), "groups or padding"),
    "a full layer of a part": (
        other(full_layer_as((5, 6, 2, 2))),
        r"has kernel \(2, 2\), not \(4, 4\)",
    ),
    "images turned": (other(turned_map(1, 0, 2, 3)), "it has a change of axes"),
    "axes left out": (other(turned_map(0, 2, 3)), "it has a change of axes"),
    "another map turned": (other(turned_map(0, 2, 3, 1, inputs=100)), "feeds 100 inputs, not 96"),
    "weights of other axes": (
        other(last_weights("Transpose", perm=[0, 0])),
        "has other axes than are turned",
    ),
    "weights of another size": (
        other(last_weights("Reshape", np.array([7, 5]))),
        r"is \(5, 5\), which cannot be \(7, 5\)",
    ),
    "a shape of fractions": (
        other(last_weights("Reshape", np.ones(2, np.float32))),
        "is no few whole numbers",
    ),
    "a shape of many": (
        other(last_weights("Reshape", np.ones(65, np.int64))),
        "is no few whole numbers",
    ),
    "no normalisation": (other(not_normalised), "ours has a local response norm"),
    "another alpha": (other(normalised_otherwise), "has size, alpha, beta, k 5, 0.001, 0.75, 1"),
    "another padding": (other(rounded_down), "has another window, stride or padding"),
    "no groups": (other(without_groups), "which has groups 1, not 2"),
    "swapped halves": (other(of_swapped_halves), "it has a concatenation of channels"),
    "halves that differ": (other(of_halves_that_differ), "it has a concatenation of channels"),
    "scaled input": (
        other(scaled),
        r"it has a Mul .*no network of ours has: it is of another network",
    ),
    "mean of 0 to 1": (other(mean_of_0_to_1), "subtracts 0.485, 0.456, 0.406"),
    "no bias": (other(without_bias), "has no bias"),
    "more numbers": (other(with_more), r"1 unexpected \(first: left_over\)"),
    "another shape": (other(other_shape), r"fc4\.weight is \(7, 5\), expected \(5, 5\)"),
    "not finite": (other(not_finite), r"1 of 8 parameters.*\(first: fc4\.bias\)"),
    "another domain": (other(another_domain), r"it has a LRN"),
}


Edit = Callable[[onnx.NodeProto], None]


def edited(kind: str, *edits: Edit) -> Callable[[Path], Path]:
    """The plain network, its first node of a kind changed."""

    def change(graph: Graph, w: dict[str, Array]) -> str:
        last = plain(graph, w)
        node = next(node for node in graph.nodes if node.op_type == kind)
        for edit in edits:
            edit(node)
        return last

    return other(change)


def said_as(**attributes: object) -> Edit:
    def edit(node: onnx.NodeProto) -> None:
        kept = [each for each in node.attribute if each.name not in attributes]
        given = [helper.make_attribute(name, value) for name, value in attributes.items()]
        del node.attribute[:]
        node.attribute.extend([*kept, *given])

    return edit


def taking(place: int, name: str) -> Edit:
    def edit(node: onnx.NodeProto) -> None:
        node.input[place] = name

    return edit


def behind(kind: str, *constants: Array, **attributes: object) -> Callable[[Path], Path]:
    """One more node between the first layers and the rest."""

    def change(graph: Graph, w: dict[str, Array]) -> str:
        inputs = [graph.constant(f"given_{n}", each) for n, each in enumerate(constants)]
        x = graph.node(kind, start(graph, w), *inputs, **attributes)
        return end(graph, w, middle(graph, w, x))

    return other(change)


def integers(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def constant_in_words(graph: Graph, w: dict[str, Array]) -> str:
    graph.node("Constant", value_string="five")
    return plain(graph, w)


def output_of_nothing(graph: Graph, w: dict[str, Array]) -> str:
    plain(graph, w)
    return "nowhere"


def map_behind_a_convolution(graph: Graph, w: dict[str, Array]) -> str:
    """A number for each position, where a bias has one for each channel."""
    x = graph.conv(start(graph, w), "conv2", w["conv2.weight"], w["conv2.bias"], pad=1, group=2)
    del graph.nodes[-1].input[2]
    added = graph.constant("map", np.ones((1, 6, 4, 4), np.float32))
    return end(graph, w, graph.relu(graph.node("Add", x, added)))


def one_number_less(graph: Graph, w: dict[str, Array]) -> str:
    x = graph.node("Sub", "data_0", graph.constant("mean", np.full(1, 100, np.float32)))
    return end(graph, w, middle(graph, w, start(graph, w, x)))


NODES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a value twice": (edited("Relu", lambda n: n.output.__setitem__(0, "data_0")), "two of its"),
    "unknown source": (edited("Relu", taking(0, "nowhere")), "takes nowhere, which is not"),
    "unknown weights": (edited("Conv", taking(1, "nowhere")), "has no constant 'nowhere'"),
    "full weights in a Conv": (edited("Conv", taking(1, "fc3_w_0")), r"of the Conv .* are \(5, 96"),
    "map weights in a Gemm": (edited("Gemm", taking(1, "conv2_w_0")), r"of the Gemm .* are \(6, 2"),
    "a scaled Gemm": (edited("Gemm", said_as(alpha=2.0)), "scales or turns what it multiplies"),
    "one stride": (edited("Conv", said_as(strides=[2])), "it has a Conv"),
    "two pads": (edited("Conv", said_as(pads=[1, 1])), "it has a Conv"),
    "spread": (edited("Conv", said_as(dilations=[2, 2])), "it has a Conv"),
    "padded by itself": (edited("Conv", said_as(auto_pad="SAME_UPPER")), "it has a Conv"),
    "a size in words": (edited("LRN", said_as(size="five")), "other attributes than its kind"),
    "a softmax inside": (behind("Softmax"), "it has a Softmax before its end"),
    "a full layer of one axis": (behind("MatMul", np.ones(4, np.float32)), "of the MatMul .* are"),
    "added in the middle": (behind("Add", np.ones((1, 4, 1, 1), np.float32)), "it has a Add"),
    "a map added": (other(map_behind_a_convolution), "it has a Add"),
    "two added at once": (behind("Add", *[np.ones(1, np.float32)] * 2), "it has a Add"),
    "added twice": (behind("Sum", np.ones(4, np.float32)), "it has a Sum"),
    "three added": (behind("Sum", *[np.ones(4, np.float32)] * 2), "it has a Sum"),
    "a constant in words": (other(constant_in_words), "it has a Constant"),
    "an output of nothing": (other(output_of_nothing), "output"),
    "one number subtracted": (other(one_number_less), r"subtracts from its input is \(1,\)"),
    "a mean of the map": (behind("ReduceMean", axes=[2, 3]), "it has an average"),
    "a mean of channels": (behind("ReduceMean", axes=[1]), "it has a ReduceMean"),
    "split by rows": (behind("Split", integers(2, 2), axis=2), "it has a Split"),
    "every other": (
        behind("Slice", integers(0), integers(4), integers(1), integers(2)), "it has a Slice"
    ),
    "joined by rows": (behind("Concat", axis=2), "it has a Concat"),
}  # fmt: skip
"""Nodes that no network of ours has, or that are damaged."""


@pytest.mark.parametrize(
    ("make", "said"), [*OTHERS.values(), *NODES.values()], ids=[*OTHERS, *NODES]
)
def test_another_network_is_refused_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    model = Small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=said) as raised:
        load_file(model, make(tmp_path / "small.onnx"), npz_key=str)
    assert "\n" not in str(raised.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def refused(path: str) -> None:
    load_file(Small(), Path(path), npz_key=str)


def test_damaged_and_hostile_files_are_refused_soon_and_in_little_memory(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.onnx", plain, draw(8, SHAPES)).read_bytes()
    last = onnx.ModelProto.FromString(whole).graph.output[0].name
    refused(str(tmp_path / "whole.onnx"))
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(4 * 96 * 5))
    folder = tmp_path / "folder"
    folder.mkdir()

    def changed(name: str, change: Callable[[onnx.ModelProto], None]) -> None:
        model = onnx.ModelProto.FromString(whole)
        change(model)
        (folder / name).write_bytes(model.SerializeToString())

    def constant(model: onnx.ModelProto, name: str) -> TensorProto:
        return next(each for each in model.graph.initializer if each.name == name)

    def elsewhere(location: str) -> Callable[[onnx.ModelProto], None]:
        def change(model: onnx.ModelProto) -> None:
            tensor = constant(model, "fc3_w_0")
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=location)

        return change

    def in_another_field(model: onnx.ModelProto) -> None:
        tensor = constant(model, "fc3_w_0")
        tensor.ClearField("raw_data")
        tensor.double_data.extend([0.0] * 480)

    changed("outside.onnx", elsewhere("../secret.bin"))
    changed("absolute.onnx", elsewhere(str(secret)))
    changed("beside.onnx", elsewhere("beside.bin"))
    (folder / "beside.bin").write_bytes(bytes(4 * 96 * 5))
    changed("no_numbers.onnx", lambda m: constant(m, "fc3_w_0").ClearField("raw_data"))
    changed("huge.onnx", lambda m: constant(m, "fc3_w_0").dims.__setitem__(0, 2**40))
    changed("negative.onnx", lambda m: constant(m, "fc3_w_0").dims.__setitem__(0, -5))
    changed("int8.onnx", lambda m: constant(m, "fc4_b_0").CopyFrom(
        numpy_helper.from_array(np.zeros(5, np.int8), "fc4_b_0")))  # fmt: skip
    changed("no_type.onnx", lambda m: setattr(constant(m, "fc3_w_0"), "data_type", 777))
    changed("twice.onnx", lambda m: m.graph.initializer.append(constant(m, "fc3_w_0")))
    changed("two_outputs.onnx", lambda m: m.graph.output.append(m.graph.output[0]))
    changed("no_input.onnx", lambda m: m.graph.ClearField("input"))
    changed("circle.onnx", lambda m: m.graph.node.append(
        helper.make_node("Identity", [last], [last])))  # fmt: skip
    changed("many.onnx", lambda m: m.graph.node.extend([m.graph.node[1]] * 10_001))
    changed("newline.onnx", lambda m: m.graph.initializer.append(
        numpy_helper.from_array(np.zeros(3, np.float32), "a\nb")))  # fmt: skip
    changed("large_image.onnx", lambda m: setattr(
        m.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 10_000))  # fmt: skip
    changed("linked.onnx", lambda m: m.graph.node.append(
        helper.make_node("Concat", ["data_0"] * 100_001, ["joined"])))  # fmt: skip
    changed("other_field.onnx", in_another_field)
    for what, name in {"kind": b"MaxPool", "maker": b"onnx-caffe2"}.items():
        (folder / f"{what}_no_text.onnx").write_bytes(whole.replace(name, b"\xff" * len(name)))
    for keep in (0.0, 0.1, 0.5, 0.99):
        (folder / f"cut{keep}.onnx").write_bytes(whole[: int(keep * len(whole))])
    for seed in range(5):
        noise = np.random.default_rng(seed).bytes(5000)
        (folder / f"noise{seed}.onnx").write_bytes(noise)
    (folder / "empty_file.onnx").write_bytes(b"")
    (folder / "large.onnx").write_bytes(whole + bytes(2 * 2**20))
    (folder / "numpy.onnx").write_bytes(b"\x93NUMPY" + bytes(100))
    calls = {file.stem: (str(file),) for file in folder.glob("*.onnx")}
    said = bounded.refusals(refused, calls, tmp_path)
    for name in ("outside", "absolute", "beside"):
        assert "lie in another file, which is not read" in said[name]
        assert "onnx.save" in said[name]
    assert "declares 480 numbers and has 0" in said["no_numbers"]
    assert "fc4.bias is int8" in said["int8"]
    assert "no known type" in said["no_type"]
    assert "two of its constants" in said["twice"]
    assert "2 outputs" in said["two_outputs"]
    assert "two of its values" in said["circle"]
    assert "10,011 parts" in said["many"]
    assert "expected at most" in said["large"]
    assert "no graph" in said["empty_file"]
    assert "10000 x 19 pixels" in said["large_image"]
    assert "connections" in said["linked"]
    assert "'fc3_w_0' cannot be read" in said["other_field"]
    for what in ("kind", "maker"):
        assert "names that are no text" in said[f"{what}_no_text"]


class Modular(Small):
    """The same network, of modules alone."""

    def __init__(self, last: type[nn.Module] = nn.Identity) -> None:
        super().__init__()
        self.relu, self.flat = nn.ReLU(), nn.Flatten()
        self.drop, self.end = nn.Dropout(), last()

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.lrn(self.relu(self.conv1(x))))  # (B, 4, 4, 4)
        x = self.relu(self.conv2(x))  # (B, 6, 4, 4)
        x = self.drop(self.relu(self.fc3(self.flat(x))))  # (B, 5)
        found: Tensor = self.end(self.fc4(x))  # (B, 5)
        return found


class DroppedInTraining(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x) if self.training else x


class Squashed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


class OfItsLength(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), -1)


class InParts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, 1)
        return torch.cat((first, second), 1)


class OfTwo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Bilinear(5, 5, 5)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.both(x, F.relu(x))
        return found


@pytest.mark.parametrize("last", [nn.Identity, DroppedInTraining])
def test_a_network_of_modules_is_followed_as_one_of_functions(
    tmp_path: Path, last: type[nn.Module]
) -> None:
    path = write(tmp_path / "small.onnx", plain, draw(9, SHAPES))
    model = Modular(last)
    load_file(model, path, npz_key=str)
    assert model.training
    x = levels(SIZE) / 64 - 2
    np.testing.assert_allclose(logits(model.eval(), x), computed(path, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("last", "step"),
    [
        (nn.Tanh, "Tanh"),
        (Squashed, "tanh"),
        (OfItsLength, "size"),
        (InParts, "chunk"),
        (OfTwo, "Bilinear"),
    ],
)
def test_a_network_with_a_step_that_is_not_known_takes_no_onnx(
    tmp_path: Path, last: type[nn.Module], step: str
) -> None:
    path = write(tmp_path / "small.onnx", plain, draw(9, SHAPES))
    with pytest.raises(
        UserError, match=rf"with Modular, which has a step .* \({step}\); give .*\.pth"
    ):
        load_file(Modular(last), path, npz_key=str)


def test_a_network_that_reads_no_caffe_names_reads_no_onnx(tmp_path: Path) -> None:
    path = write(tmp_path / "small.onnx", plain, draw(9, SHAPES))
    with pytest.raises(UserError, match=r"AlexNet reads \.pth, \.pt files, not \.onnx"):
        load_file(BACKBONES["alexnet"].build(), path)


def test_without_the_package_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "small.onnx", plain, draw(9, SHAPES))
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(UserError, match=r"pip install 'mcalc\[onnx\]'"):
        load_small(path)
