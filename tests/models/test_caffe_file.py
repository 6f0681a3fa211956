"""Weights from Caffe's own files, which the tests encode by hand (`caffe_files`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bounded
import numpy as np
import pytest
import torch
from caffe_files import alexnet, blob, layer, network, number, piece, v0_layer, v1_layer
from onnx_files import Array, alexnet_arrays, draw
from torch import nn

from mcalc.errors import UserError
from mcalc.models.backbones import BACKBONES
from mcalc.models.local_response_norm import LocalResponseNorm
from mcalc.models.weights import Loaded, load_file

SHAPES = {
    "conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "fc.weight": (5, 4), "fc.bias": (5,),
}  # fmt: skip


class Small(nn.Module):
    """A convolution, a normalisation and a full layer (of as many inputs as the map's channels)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.lrn = LocalResponseNorm(5, 1e-4, 1.0)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.fc(self.average(self.lrn(self.conv(x))).flatten(1))
        return found


@pytest.fixture
def arrays() -> dict[str, Array]:
    return draw(2, SHAPES)


def blobs(arrays: dict[str, Array], name: str, **how: bool) -> list[bytes]:
    return [blob(arrays[f"{name}.{part}"], **how) for part in ("weight", "bias")]


def load(path: Path, content: bytes) -> tuple[Small, Loaded]:
    path.write_bytes(content)
    model = Small()
    return model, load_file(model, path, npz_key=str)


def equal(model: nn.Module, arrays: dict[str, Array]) -> bool:
    return all(np.array_equal(v.numpy(), arrays[k]) for k, v in model.state_dict().items())


GENERATIONS: dict[str, Callable[[dict[str, Array]], list[bytes]]] = {
    "layer": lambda a: [
        layer("conv", "Convolution", blobs(a, "conv")), layer("fc", "InnerProduct", blobs(a, "fc")),
    ],
    "layer, four lengths": lambda a: [
        layer("conv", "Convolution", blobs(a, "conv", legacy=True)),
        layer("fc", "InnerProduct", blobs(a, "fc", legacy=True)),
    ],
    "V1": lambda a: [
        v1_layer("conv", "Convolution", blobs(a, "conv", legacy=True)),
        v1_layer("fc", "InnerProduct", blobs(a, "fc", legacy=True)),
    ],
    "V0": lambda a: [
        v0_layer("conv", "conv", blobs(a, "conv", legacy=True)),
        v0_layer("fc", "innerproduct", blobs(a, "fc", legacy=True)),
    ],
    "double precision": lambda a: [
        layer("conv", "Convolution", blobs(a, "conv", double=True)),
        layer("fc", "InnerProduct", blobs(a, "fc", double=True)),
    ],
    "gradients beside, layers without numbers": lambda a: [
        layer("data", "Data"),
        layer("data", "Data"),
        layer("conv", "Convolution", blobs(a, "conv", diff=True)),
        layer("fc", "InnerProduct", blobs(a, "fc")),
        layer("loss", "SoftmaxWithLoss"),
    ],
    "names alone": lambda a: [layer("fc", "", blobs(a, "fc")), layer("conv", "", blobs(a, "conv"))],
}  # fmt: skip


@pytest.mark.parametrize("layers", GENERATIONS.values(), ids=GENERATIONS)
def test_every_generation_of_caffe_is_read(
    tmp_path: Path, arrays: dict[str, Array], layers: Callable[[dict[str, Array]], list[bytes]]
) -> None:
    model, loaded = load(tmp_path / "w.caffemodel", network(layers(arrays), "Small"))
    assert equal(model, arrays)
    assert "'Small'" in loaded.what
    # nothing says that the layers follow as ours do, and that is said
    assert len(loaded.unchecked) == 1


def test_full_layers_that_are_stored_transposed_are_turned(
    tmp_path: Path, arrays: dict[str, Array]
) -> None:
    stored = [blob(arrays["fc.weight"].T), blob(arrays["fc.bias"])]
    turned = layer("fc", "InnerProduct", stored)
    parameter = piece(117, number(6, 1))  # inner_product_param { transpose: true }
    with_parameter = piece(100, turned[turned.index(piece(1, "fc")) :] + parameter)
    convolution = layer("conv", "Convolution", blobs(arrays, "conv"))
    model, _ = load(tmp_path / "w.caffemodel", network([convolution, with_parameter]))
    assert equal(model, arrays)
    with pytest.raises(UserError, match=r"fc\.weight is \(4, 5\), expected \(5, 4\)"):
        load(tmp_path / "w.caffemodel", network([convolution, turned]))


@pytest.mark.parametrize("v1", [False, True])
def test_a_normalisation_behind_a_pool_is_another_network(
    tmp_path: Path, arrays: dict[str, Array], v1: bool
) -> None:
    write = v1_layer if v1 else layer

    def content(source: str) -> bytes:
        return network([
            write("conv", "Convolution", blobs(arrays, "conv"), "data", "conv"),
            write("relu", "ReLU", (), "conv", "conv"),
            write("pool", "Pooling", (), "conv", "pool"),
            write("norm", "LRN", (), source, "norm"),
            write("fc", "InnerProduct", blobs(arrays, "fc"), "norm", "fc"),
        ])  # fmt: skip

    model, loaded = load(tmp_path / "w.caffemodel", content("conv"))
    assert equal(model, arrays)
    assert loaded.unchecked == ()
    with pytest.raises(UserError, match="come after Pooling, ours after Convolution"):
        load(tmp_path / "w.caffemodel", content("pool"))


def test_a_network_whose_steps_cannot_be_followed_is_not_blamed_on_the_file(
    tmp_path: Path, arrays: dict[str, Array]
) -> None:
    class Squashed(Small):
        """One that a package may bring: a step that no file of ImageNet's networks has."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(super().forward(x))

    path, model = tmp_path / "w.caffemodel", Squashed()
    path.write_bytes(
        network([
            layer("conv", "Convolution", blobs(arrays, "conv"), "data", "conv"),
            layer("norm", "LRN", (), "conv", "norm"),
            layer("fc", "InnerProduct", blobs(arrays, "fc"), "norm", "fc"),
        ])
    )  # fmt: skip
    (said,) = load_file(model, path, npz_key=str).unchecked
    assert equal(model, arrays)
    assert said.startswith("mcalc does not follow every step of Squashed: names and shapes alone")


@pytest.mark.whole
@pytest.mark.parametrize("v1", [False, True], ids=["layer", "V1"])
def test_alexnets_file_of_full_shape_is_read(tmp_path: Path, v1: bool) -> None:
    arrays = alexnet_arrays(3)
    path = tmp_path / "bvlc_alexnet.caffemodel"
    path.write_bytes(alexnet(arrays, v1=v1, legacy=v1))
    entry = BACKBONES["alexnet_bvlc"]
    model = entry.build()
    loaded = load_file(model, path, npz_key=entry.npz_key, optional=entry.optional)
    assert equal(model, arrays)
    assert (loaded.what, loaded.unchecked) == ("Caffe network 'AlexNet', 16 layers", ())
    path.write_bytes(alexnet(arrays, v1=v1, legacy=v1, caffenet=True))
    with pytest.raises(UserError, match="CaffeNet has AlexNet's shapes"):
        load_file(model, path, npz_key=entry.npz_key)
    path.unlink()


@pytest.mark.shared
def test_googlenets_file_may_hold_its_auxiliary_classifiers(
    shared_data: Path, tmp_path: Path
) -> None:
    arrays = dict(np.load(shared_data / "weights" / "bvlc_googlenet_oihw.npz"))
    names = dict.fromkeys(name.rpartition(".")[0] for name in arrays)
    layers = [layer(name, "Convolution", blobs(arrays, name)) for name in names]
    more = [
        layer(f"loss{n}/{kind}", "InnerProduct", [blob(np.zeros((3, 2))), blob(np.zeros(3))])
        for n in (1, 2)
        for kind in ("conv", "fc", "classifier")
    ]
    path = tmp_path / "bvlc_googlenet.caffemodel"
    path.write_bytes(network([*layers[:40], *more, *layers[40:]], "GoogleNet"))
    entry = BACKBONES["googlenet_bvlc"]
    model, other = entry.build(), entry.build()
    load_file(model, path, npz_key=entry.npz_key, optional=entry.optional)
    load_file(other, shared_data / "weights" / "bvlc_googlenet_oihw.npz", npz_key=entry.npz_key)
    theirs = other.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())
    path.write_bytes(network([*layers, layer("loss4/fc", "", [blob(np.zeros(3))])], "GoogleNet"))
    with pytest.raises(UserError, match=r"1 unexpected \(first: loss4/fc\.weight\)"):
        load_file(model, path, npz_key=entry.npz_key, optional=entry.optional)


def refused(path: str) -> None:
    load_file(Small(), Path(path), npz_key=str)


def test_other_and_damaged_files_are_refused_soon_and_in_little_memory(
    tmp_path: Path, arrays: dict[str, Array]
) -> None:
    convolution = layer("conv", "Convolution", blobs(arrays, "conv"))
    full = layer("fc", "InnerProduct", blobs(arrays, "fc"))
    whole = network([convolution, full])
    (tmp_path / "whole.caffemodel").write_bytes(whole)
    refused(str(tmp_path / "whole.caffemodel"))
    weight, bias = blobs(arrays, "fc")
    declared = piece(7, piece(1, b"\x05\x04"))
    assert declared in weight
    far = piece(7, piece(1, b"\xff\xff\xff\xff\xff\xff\xff\x7f\x7f"))
    minus = piece(7, piece(1, b"\xfb" + b"\xff" * 8 + b"\x01" + b"\xfc" + b"\xff" * 8 + b"\x01"))
    contents = {
        "no bias": network([convolution, layer("fc", "InnerProduct", [weight])]),
        "three arrays": network([convolution, layer("fc", "InnerProduct", [weight, bias, bias])]),
        "a layer more": network([convolution, full, layer("fc9", "", [bias])]),
        "a layer less": network([convolution]),
        "two of a name": network([convolution, full, full]),
        "not a number": network([
            convolution, layer("fc", "", [weight, blob(np.full(5, np.nan))]),
        ]),
        "beyond float32": network([
            convolution, layer("fc", "", [weight, blob(np.full(5, 1e300), double=True)]),
        ]),
        "no numbers": network([convolution, layer("fc", "", [declared, bias])]),
        "fewer numbers": network([convolution, layer("fc", "", [weight[:-4], bias])]),
        "huge": network([convolution, layer("fc", "", [weight.replace(declared, far), bias])]),
        "negative": network([
            convolution, layer("fc", "", [weight.replace(declared, minus), bias]),
        ]),
        "twice": network([
            convolution, layer("fc", "", [weight + piece(8, bytes(8 * 20)), bias]),
        ]),
        "name is no text": network([
            convolution, full, piece(100, piece(1, b"\xff\xfe") + piece(7, bias)),
        ]),
        "type is no text": network([
            convolution, full, piece(100, piece(1, "norm") + piece(2, b"\xff\xfe")),
        ]),
        "input is no text": network([
            convolution, full, piece(100, piece(1, "norm") + piece(3, b"\xff\xfe")),
        ]),
        "old type is no text": network([
            convolution, full, piece(2, piece(1, piece(1, "norm") + piece(2, b"\xff\xfe"))),
        ]),
        "network is no text": piece(1, b"\xff\xfe") + convolution + full,
        "newline": network([convolution, full, layer("a\nb", "", [bias])]),
        "many": network([convolution, full, *[layer("x")] * 10_001]),
        "large": whole + piece(50, bytes(2 * 2**20)),
        "a definition": b'name: "AlexNet"\nlayer {\n  name: "conv1"\n}\n',
        "only a name": piece(1, "AlexNet"),
        "nothing": b"",
        "numpy": b"\x93NUMPY" + bytes(100),
    }  # fmt: skip
    contents |= {f"cut {share}": whole[: int(share * len(whole))] for share in (0.1, 0.5, 0.99)}
    contents |= {f"noise {n}": np.random.default_rng(n).bytes(4000) for n in range(5)}
    calls = {}
    for name, content in contents.items():
        path = tmp_path / f"{name}.caffemodel"
        path.write_bytes(content)
        calls[name] = (str(path),)
    said = bounded.refusals(refused, calls, tmp_path)
    assert "1 missing (first: fc.bias)" in said["no bias"]
    assert "1 unexpected (first: fc.array 2)" in said["three arrays"]
    assert "1 unexpected (first: fc9.weight)" in said["a layer more"]
    assert "2 missing (first: fc.weight)" in said["a layer less"]
    assert "two of its layers are named 'fc'" in said["two of a name"]
    assert "1 of 4 parameters" in said["not a number"]
    assert "1 of 4 parameters" in said["beyond float32"]
    assert "fc.weight declares 20 numbers and has 0" in said["no numbers"]
    assert "numbers twice" in said["twice"]
    assert "10,003 layers" in said["many"]
    assert "expected at most" in said["large"]
    for what in ("name", "type", "input", "old type", "network"):
        assert "it has names that are no text" in said[f"{what} is no text"]
    for name in ("only a name", "nothing"):
        assert "no layer with numbers" in said[name]
