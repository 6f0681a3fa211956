"""BVLC AlexNet against Caffe's definition, written anew from other parts, and ONNX Runtime."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx_files import ALEXNET_SHAPES, write_alexnet
from scipy.signal import correlate
from torch import Tensor, nn

from mcalc.models.alexnet_bvlc import BvlcAlexNet, caffe_key
from mcalc.models.backbones import BACKBONES
from mcalc.models.weights import initialise


@pytest.fixture(scope="module")
def network() -> BvlcAlexNet:
    torch.manual_seed(3)
    model = BvlcAlexNet().eval()
    initialise(model, torch.Generator().manual_seed(3))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("bias"):
                value.uniform_(-0.1, 0.1)
    return model


def reference(parameters: dict[str, Tensor], x: Tensor, drop: float = 0.0) -> Tensor:
    """deploy.prototxt line by line: halves cut by hand, PyTorch's own normalisation."""

    def halves(x: Tensor, name: str, pad: int) -> Tensor:
        weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        middle, out = x.shape[1] // 2, len(weight) // 2
        first = F.conv2d(x[:, :middle], weight[:out], bias[:out], padding=pad)
        second = F.conv2d(x[:, middle:], weight[out:], bias[out:], padding=pad)
        return F.relu(torch.cat((first, second), 1))

    def pool(x: Tensor) -> Tensor:
        # 55, 27 and 13 are odd: rounding up and down are the same
        return F.max_pool2d(x, 3, 2)

    def full(x: Tensor, name: str) -> Tensor:
        return x @ parameters[f"{name}.weight"].T + parameters[f"{name}.bias"]

    lrn = nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
    x = F.relu(F.conv2d(x, parameters["conv1.weight"], parameters["conv1.bias"], stride=4))
    x = halves(pool(lrn(x)), "conv2", 2)
    x = pool(lrn(x))
    x = F.relu(F.conv2d(x, parameters["conv3.weight"], parameters["conv3.bias"], padding=1))
    x = pool(halves(halves(x, "conv4", 1), "conv5", 1))
    x = x.reshape(len(x), 256 * 6 * 6)
    return full(F.relu(full(F.relu(full(x, "fc6")), "fc7")), "fc8")


def images(seed: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 227, 227, generator=generator) * 255 - 115


def test_parameters_are_those_of_caffes_definition(network: BvlcAlexNet) -> None:
    found = {name: tuple(value.shape) for name, value in network.named_parameters()}
    expected: dict[str, tuple[int, ...]] = {}
    for name, shape in ALEXNET_SHAPES.items():
        expected |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    assert found == expected
    # 60,965,224: Caffe's own file
    assert sum(value.numel() for value in network.parameters()) == 60_965_224
    assert {caffe_key(name) for name in found} == set(expected)


@pytest.mark.whole
def test_logits_and_every_layers_gradient_are_those_of_another_spelling(
    network: BvlcAlexNet,
) -> None:
    # in double precision: in single, a last bit decides which of two equals is the largest
    network = copy.deepcopy(network).double()
    x, labels = images(0, 1).double(), torch.tensor([700])
    parameters = {
        name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()
    }
    expected, found = reference(parameters, x), network(x)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert found.std() > 0.1
    F.cross_entropy(expected, labels).backward()
    F.cross_entropy(found, labels).backward()
    for name, value in network.named_parameters():
        assert value.grad is not None
        gradient = parameters[name].grad
        assert gradient is not None
        scale = gradient.abs().max()
        assert scale > 0, name
        torch.testing.assert_close(value.grad / scale, gradient / scale, rtol=1e-6, atol=1e-9)


def test_maps_have_the_published_sizes_at_227(network: BvlcAlexNet) -> None:
    sizes: list[tuple[str, tuple[int, ...]]] = []
    hooks = [
        module.register_forward_hook(
            lambda _, __, output, name=name: sizes.append((name, tuple(output.shape[1:])))
        )
        for name, module in network.named_children()
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, 227, 227))
    for hook in hooks:
        hook.remove()
    assert sizes == [
        ("conv1", (96, 55, 55)), ("lrn", (96, 55, 55)), ("pool", (96, 27, 27)),
        ("conv2", (256, 27, 27)), ("lrn", (256, 27, 27)), ("pool", (256, 13, 13)),
        ("conv3", (384, 13, 13)), ("conv4", (384, 13, 13)), ("conv5", (256, 13, 13)),
        ("pool", (256, 6, 6)), ("to_6x6", (256, 6, 6)),
        ("fc6", (4096,)), ("dropout6", (4096,)), ("fc7", (4096,)), ("dropout7", (4096,)),
        ("fc8", (1000,)),
    ]  # fmt: skip


def test_half_of_what_leaves_the_network_is_dropped_directly_before_its_last_layer() -> None:
    torch.manual_seed(0)
    network = BvlcAlexNet(classes=2).train()
    seen: list[tuple[Tensor, Tensor]] = []
    network.fc8.register_forward_pre_hook(lambda _, given: seen.append(given))
    network.dropout7.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    network(images(1, 8))
    (before, after), (head,) = seen
    assert head is after
    kept = (after != 0) & (before > 0)
    share = float(kept.sum() / (before > 0).sum())
    assert share == pytest.approx(0.5, abs=0.02)
    assert torch.allclose(after[kept], 2 * before[kept])
    network.eval()
    with torch.no_grad():
        x = images(2, 1)
        assert torch.equal(network(x), network(x))


def test_the_entry_takes_caffes_input() -> None:
    contract = BACKBONES["alexnet_bvlc"].contract
    assert contract.size == 227
    assert contract.mean == (104.0, 117.0, 123.0), "blue, green, red"
    assert contract.std == (1.0, 1.0, 1.0)


@pytest.mark.shared
def test_caffes_own_convolutions_are_applied_in_two_groups_unflipped(
    shared_data: Path, network: BvlcAlexNet
) -> None:
    """BVLC's five convolutions (8 bits each) against scipy, group by group."""
    arrays = np.load(shared_data / "weights" / "bvlc_alexnet_conv1-5_q7.npz")
    model = BvlcAlexNet(classes=2).eval()
    generator = np.random.default_rng(5)
    for name, groups in (("conv1", 1), ("conv2", 2), ("conv3", 1), ("conv4", 2), ("conv5", 2)):
        layer = getattr(model, name)
        weight = arrays[f"{name}.weight_q7"].astype(np.float32) / 128
        bias = arrays[f"{name}.bias_q7"].astype(np.float32) / 128
        assert layer.weight.shape == weight.shape
        assert layer.groups == groups
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))
        inside, window = weight.shape[1], weight.shape[2]
        size = window + 4
        x = generator.normal(size=(inside * groups, size, size)).astype(np.float32)
        with torch.no_grad():
            found = layer(torch.from_numpy(x)[None])[0].numpy()
        pad = layer.padding[0]
        wide = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        for channel in generator.choice(len(weight), 12, replace=False):
            group = channel // (len(weight) // groups)
            own = wide[group * inside : (group + 1) * inside]
            full = correlate(own, weight[channel], mode="valid", method="direct")[0]
            stride = layer.stride[0]
            expected = full[::stride, ::stride] + bias[channel]
            np.testing.assert_allclose(found[channel], expected, rtol=1e-3, atol=1e-4)
    # what a flip or the other group would give is something else
    assert not np.allclose(weight, weight[:, :, ::-1, ::-1])


@pytest.mark.whole
def test_onnx_runtime_computes_the_same(network: BvlcAlexNet, tmp_path: Path) -> None:
    arrays = {name: value.numpy() for name, value in network.state_dict().items()}
    path = write_alexnet(tmp_path / "alexnet.onnx", arrays, softmax=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = images(7, 1)
    (expected,) = session.run(None, {"data_0": x.numpy()})
    path.unlink()
    with torch.no_grad():
        found = network(x).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * abs(expected).max())
