"""Random draws against their published variances; downloads and files, whole and broken."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from mcalc.errors import UserError
from mcalc.models.weights import (
    WeightsUnavailableError,
    download,
    initialise,
    load_file,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 5)


def equal(one: nn.Module, other: nn.Module) -> bool:
    second = other.state_dict()
    return all(torch.equal(value, second[key]) for key, value in one.state_dict().items())


# --- random weights -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "fans"),
    [
        (nn.Linear(300, 200), 300 + 200),
        (nn.Conv2d(32, 64, 5), (32 + 64) * 25),
        # heads
        (nn.Linear(4096, 2), 4098),
        (nn.Conv2d(512, 2, 1), 514),
    ],
)
def test_weights_are_glorot_uniform_and_biases_zero(layer: nn.Module, fans: int) -> None:
    initialise(layer, generator())
    weights = layer.weight.detach().flatten().numpy()
    # A uniform law of variance 2 / fans has this half-width.
    half = math.sqrt(3 * 2 / fans)
    assert abs(weights).max() <= half
    assert scipy.stats.kstest(weights, "uniform", args=(-half, 2 * half)).pvalue > 1e-3
    assert not layer.bias.any()


def test_batch_norm_is_reset() -> None:
    layer = nn.BatchNorm2d(3)
    with torch.no_grad():
        for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
            tensor.fill_(7.0)
    initialise(layer, generator())
    assert layer.weight.tolist() == layer.running_var.tolist() == [1.0] * 3
    assert layer.bias.tolist() == layer.running_mean.tolist() == [0.0] * 3


@pytest.mark.parametrize(
    ("layer", "first"),
    [
        (nn.LayerNorm(3), 1),
        (nn.GroupNorm(1, 3), 1),
        (nn.RMSNorm(3), 1),
        (nn.InstanceNorm2d(3, affine=True), 1),
        (nn.PReLU(3, init=0.25), 0.25),
    ],
)
def test_layers_of_constants_are_reset(layer: nn.Module, first: float) -> None:
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor.fill_(7.0)
    initialise(layer, generator())
    assert layer.weight.tolist() == [first] * 3
    assert getattr(layer, "bias", None) is None or layer.bias.tolist() == [0.0] * 3


def test_layers_without_parameters_need_no_rule() -> None:
    initialise(nn.Sequential(nn.LayerNorm(3, elementwise_affine=False), nn.ReLU()), generator())


class Scaled(nn.Sequential):
    """A network with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 2))
        self.scale = nn.Parameter(torch.ones(2))


class ScaledLinear(nn.Linear):
    """A layer of a known kind with a parameter that its kind does not have."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.scale = nn.Parameter(torch.ones(2))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Scaled(), "scale of Scaled cannot be drawn at random: only Conv2d, Linear"),
        (nn.Sequential(ScaledLinear()), r"scale of ScaledLinear \(0 of Sequential\)"),
        (nn.Sequential(nn.Linear(2, 2), Scaled()), r"scale of Scaled \(1 of Sequential\)"),
        (
            nn.Sequential(nn.MultiheadAttention(4, 2)),
            r"in_proj_weight, in_proj_bias of MultiheadAttention \(0 of Sequential\)",
        ),
    ],
)
def test_a_layer_without_a_rule_is_refused(model: nn.Module, said: str) -> None:
    with pytest.raises(UserError, match=said):
        initialise(model, generator())


# --- downloads ------------------------------------------------------------------------------------

CONTENT = b"weights of a network"
NAME = f"tiny-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


class Server(HTTPServer):
    requests = 0


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        known = not self.path.startswith("/missing")
        self.send_response(200 if known else 404)
        self.end_headers()
        if known:
            self.wfile.write(CONTENT)

    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "hub" / "checkpoints"


def address(server: Server, name: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def test_a_download_is_checked_and_kept(server: Server, cache: Path) -> None:
    path = download(address(server, NAME))
    assert path == cache / NAME
    assert path.read_bytes() == CONTENT
    assert download(address(server, NAME)) == path
    assert server.requests == 1


@pytest.mark.parametrize(
    ("name", "cause"), [("missing-0123abcd.pth", "404"), ("tiny-0123abcd.pth", "invalid hash")]
)
def test_a_failed_download_names_every_way_out(
    server: Server, cache: Path, name: str, cause: str
) -> None:
    with pytest.raises(WeightsUnavailableError) as raised:
        download(address(server, name))
    sentence = str(raised.value)
    for part in (
        cause,
        address(server, name),
        f"a copy of {name}",
        "backbone.weights=PATH",
        str(cache),
        "TORCH_HOME",
        "backbone.weights=none",
        "backbone.on_missing_weights=random",
    ):
        assert part in sentence
    assert list(cache.iterdir()) == []  # no half file stays behind


def test_no_connection_is_told_at_once(cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(WeightsUnavailableError, match="refused"):
        download(f"http://127.0.0.1:{port}/{NAME}")


def test_a_silent_server_does_not_hold_the_trial(cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}"
        with pytest.raises(WeightsUnavailableError, match="timed out"):
            download(url, stall_seconds=0.2)
    assert socket.getdefaulttimeout() is None  # other connections of the process are as before


def test_a_damaged_cache_is_an_error_of_its_own(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match=r"damaged.*delete the file") as raised:
        download(address(server, NAME))
    # Random weights stand in for weights that cannot be had, not for a broken file.
    assert not isinstance(raised.value, WeightsUnavailableError)
    assert server.requests == 0


# --- files ----------------------------------------------------------------------------------------


def file_name(key: str) -> str:
    return key.replace("conv.", "caffe/conv.")


@pytest.fixture
def source() -> Tiny:
    torch.manual_seed(5)
    model = Tiny()
    model.bn.running_mean.normal_()
    return model.requires_grad_(False)


def save_npz(path: Path, model: nn.Module) -> None:
    np.savez(path, **{file_name(key): value.numpy() for key, value in model.state_dict().items()})


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "W.PTH"])
def test_a_state_dict_is_loaded_whole(tmp_path: Path, source: Tiny, name: str) -> None:
    torch.save(source.state_dict(), tmp_path / name)
    loaded = Tiny()
    load_file(loaded, tmp_path / name)
    assert equal(loaded, source)


def test_a_negative_variance_is_refused(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    state = net.state_dict() | {"1.running_var": torch.tensor([1.0, -1e-9])}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"1 of 1 variances are negative \(first: 1\.running_var\)"):
        load_file(net, tmp_path / "w.pth")
    assert torch.equal(net[1].running_var, torch.ones(2))


def test_an_old_file_without_batch_counters_is_loaded(tmp_path: Path, source: Tiny) -> None:
    torch.save(
        {key: value for key, value in source.state_dict().items() if "num_batches" not in key},
        tmp_path / "w.pth",
    )
    loaded = Tiny()
    load_file(loaded, tmp_path / "w.pth")
    assert equal(loaded, source)


def test_an_npz_is_loaded_under_its_own_names(tmp_path: Path) -> None:
    source, loaded = nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(2, 3))
    np.savez(
        tmp_path / "w.npz",
        **{
            "ip/1.weight": source[0].weight.detach().numpy().astype(">f8"),
            "ip/1.bias": source[0].bias.detach().numpy(),
        },
    )
    load_file(loaded, tmp_path / "w.npz", npz_key=lambda key: key.replace("0.", "ip/1."))
    assert equal(loaded, source)


def test_allowed_extras_are_left_out_and_others_are_not(tmp_path: Path, source: Tiny) -> None:
    state = source.state_dict() | {"aux1.fc.weight": torch.zeros(2)}
    torch.save(state, tmp_path / "w.pth")
    load_file(Tiny(), tmp_path / "w.pth", optional=("aux1",))
    with pytest.raises(UserError, match=r"1 unexpected \(first: aux1\.fc\.weight\)"):
        load_file(Tiny(), tmp_path / "w.pth", optional=("aux2",))


def test_a_file_of_another_network_names_each_kind_of_fault(tmp_path: Path, source: Tiny) -> None:
    state = source.state_dict()
    del state["conv.weight"], state["conv.bias"]
    state |= {"stem.weight": torch.zeros(1), "fc.weight": torch.zeros(2, 4)}
    torch.save(state, tmp_path / "w.pth")
    target = Tiny()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    with pytest.raises(UserError) as raised:
        load_file(target, tmp_path / "w.pth")
    sentence = str(raised.value)
    assert str(tmp_path / "w.pth") in sentence
    assert "Tiny" in sentence
    assert "2 missing (first: conv.weight)" in sentence
    assert "1 unexpected (first: stem.weight)" in sentence
    assert "1 of another shape (first: fc.weight is (2, 4), expected (5, 4))" in sentence
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


def test_faults_of_an_npz_are_named_as_in_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"caffe/conv.bias": np.zeros(9, np.float32)})
    with pytest.raises(UserError, match=r"caffe/conv\.bias is \(9,\), expected \(4,\)") as raised:
        load_file(Tiny(), tmp_path / "w.npz", npz_key=file_name)
    assert "missing (first: caffe/conv.weight)" in str(raised.value)


def test_missing_files_and_wrong_endings(tmp_path: Path, source: Tiny) -> None:
    with pytest.raises(UserError, match=r"no\.pth: no such file"):
        load_file(Tiny(), tmp_path / "no.pth")
    with pytest.raises(UserError, match=r"w\.h5: Tiny reads \.pth, \.pt files, not \.h5"):
        load_file(Tiny(), tmp_path / "w.h5")
    save_npz(tmp_path / "w.npz", source)
    with pytest.raises(UserError, match=r"Tiny reads \.pth, \.pt files, not \.npz"):
        load_file(Tiny(), tmp_path / "w.npz")


@pytest.mark.parametrize("suffix", [".pth", ".npz"])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(
    tmp_path: Path, source: Tiny, suffix: str, keep: float
) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(source.state_dict(), path)
    else:
        save_npz(path, source)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(UserError, match="damaged"):
        load_file(Tiny(), path, npz_key=file_name)


@pytest.mark.parametrize("suffix", [".pth", ".npz"])
@pytest.mark.parametrize("seed", range(10))
def test_a_file_of_noise_is_refused(tmp_path: Path, suffix: str, seed: int) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(np.random.default_rng(seed).bytes(999))
    with pytest.raises(UserError, match="damaged"):
        load_file(Tiny(), path, npz_key=file_name)


@pytest.mark.parametrize("suffix", [".pth", ".npz"])
def test_quantised_weights_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save({"conv1.weight_q7": torch.zeros(2, dtype=torch.int8)}, path)
    else:
        np.savez(path, **{"conv1.weight_q7": np.zeros(2, np.int8)})
    with pytest.raises(UserError, match=r"conv1\.weight_q7 is int8.*float32"):
        load_file(Tiny(), path, npz_key=file_name)


class Indexed(Tiny):
    """Has whole numbers of its own, as the positions of Swin's windows are."""

    positions: torch.Tensor
    mask: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positions", torch.arange(6).view(2, 3))
        self.register_buffer("mask", torch.tensor([True, False]))


def test_whole_numbers_that_the_network_has_too_are_read(tmp_path: Path) -> None:
    source, read = Indexed(), Indexed()
    source.positions.add_(7)
    source.mask.logical_not_()
    torch.save(source.state_dict(), tmp_path / "w.pth")
    load_file(read, tmp_path / "w.pth")
    assert equal(source, read)
    torch.save(
        source.state_dict() | {"conv.weight": torch.ones(4, 3, 3, 3).int()}, tmp_path / "q.pth"
    )
    with pytest.raises(UserError, match=r"conv\.weight is int32"):
        load_file(read, tmp_path / "q.pth")


@pytest.mark.parametrize(
    ("content", "held"),
    [
        ({"epoch": 3, "state_dict": {}, "loss": 0.5}, "a mapping of epoch, state_dict, loss"),
        ([torch.zeros(2)], "a list"),
        (torch.zeros(2), "a Tensor"),
    ],
)
def test_a_checkpoint_is_not_a_state_dict(tmp_path: Path, content: object, held: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=f"expected a state_dict.*found {held}.*torch.save"):
        load_file(Tiny(), tmp_path / "w.pth")


class Payload:
    """A pickle of it creates a file when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_a_file_cannot_run_code(tmp_path: Path, source: Tiny) -> None:
    mark = tmp_path / "was run"
    torch.save({"conv.weight": Payload(mark)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="not readable as plain tensors"):
        load_file(Tiny(), tmp_path / "w.pth")
    np.savez(tmp_path / "w.npz", **{"caffe/conv.weight": np.array([Payload(mark)], dtype=object)})
    with pytest.raises(UserError, match="not readable"):
        load_file(Tiny(), tmp_path / "w.npz", npz_key=file_name)
    assert not mark.exists()
    pickle.load(io.BytesIO(pickle.dumps(Payload(mark))))  # it would have
    assert mark.exists()
