"""Every entry of BACKBONES: it trains, it repeats, it is described rightly, its weights load."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn
from torchvision.models import (
    AlexNet_Weights,
    GoogLeNet_Weights,
    SqueezeNet1_1_Weights,
    WeightsEnum,
)
from torchvision.models._api import Weights

from mcalc.config import BackboneConfig, MissingWeights
from mcalc.errors import UserError
from mcalc.models.backbone import InputContract
from mcalc.models.backbones import (
    BACKBONES,
    Built,
    build_classifier,
    find_backbone,
    require_weights,
)

EVERY = sorted(BACKBONES)
CONF = Path(__file__).resolve().parents[2] / "conf" / "backbone"


def random_weights(name: str, seed: int = 0) -> Built:
    return build_classifier(BackboneConfig(name=name, weights="none"), seed)


@pytest.fixture(scope="module", params=EVERY)
def built(request: pytest.FixtureRequest) -> Built:
    return random_weights(request.param)


def normalise(grey: Tensor, contract: InputContract) -> Tensor:
    mean, std = (torch.tensor(c).view(1, 3, 1, 1) for c in (contract.mean, contract.std))
    return (grey - mean) / std


# --- every entry ----------------------------------------------------------------------------------


def test_it_trains_on_small_images(built: Built) -> None:
    grey = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    x = normalise(grey, built.contract)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        logits = built.model(x)
    assert logits.shape == (2, 2)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    for name, parameter in built.model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    built.model.zero_grad(set_to_none=True)


@pytest.mark.parametrize("name", EVERY)
def test_the_smallest_input_is_the_documented_one(name: str) -> None:
    built = random_weights(name)
    model, smallest = built.model.eval(), built.contract.smallest
    with torch.no_grad():
        assert model(torch.zeros(1, 3, smallest, smallest)).shape == (1, 2)
        with pytest.raises(RuntimeError):
            model(torch.zeros(1, 3, smallest - 1, smallest - 1))


def test_the_head_is_a_new_last_layer_of_the_model(built: Built) -> None:
    assert any(module is built.head for module in built.model.modules())
    assert built.head.weight.shape[0] == 2
    fans = built.head.weight.shape[0] + built.head.weight.shape[1]
    assert 0 < built.head.weight.abs().max() <= (6 / fans) ** 0.5  # Glorot's uniform law
    assert not built.head.bias.any()
    assert built.model.training
    assert built.weights_origin == "random (Glorot)"
    (said,) = built.warnings
    assert "not pretrained" in said


def test_stages_cover_every_parameter_exactly_once(built: Built) -> None:
    entry = next(entry for entry in BACKBONES.values() if entry.contract is built.contract)
    of_head = {id(parameter) for parameter in built.head.parameters()}
    used = set()
    for name, module in built.model.named_modules():
        if isinstance(module, nn.Dropout):
            places = [k for k, p in enumerate(entry.stages) if re.match(p, f"{name}.")]
            assert len(places) == 1, name
            assert places[0] < len(entry.stages) - 1, f"{name} drops the output of a lower stage"
    for name, parameter in built.model.named_parameters():
        stages = [k for k, pattern in enumerate(entry.stages) if re.match(pattern, name)]
        assert len(stages) == 1, name
        assert (stages == [len(entry.stages) - 1]) == (id(parameter) in of_head), name
        used.add(stages[0])
    assert used == set(range(len(entry.stages)))


@pytest.mark.parametrize("name", EVERY)
def test_stages_go_from_input_to_output(name: str) -> None:
    model, stages = random_weights(name).model.eval(), find_backbone(name).stages
    owner = {module: key for key, module in model.named_modules()}
    order: list[int] = []
    for module in model.modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.register_forward_pre_hook(
                lambda m, _: order.append(
                    next(k for k, p in enumerate(stages) if re.match(p, f"{owner[m]}."))
                )
            )
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 64))
    assert order == sorted(order)
    assert set(order) == set(range(len(stages)))


@pytest.mark.parametrize("name", EVERY)
def test_one_seed_gives_one_network(name: str) -> None:
    first, again, other = (random_weights(name, seed).model.state_dict() for seed in (7, 7, 8))
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    weights = [key for key, value in first.items() if value.ndim > 1]
    assert not any(torch.equal(first[key], other[key]) for key in weights)


def test_building_leaves_the_global_generator_where_it_was() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    random_weights("squeezenet")
    assert torch.equal(torch.rand(3), expected)


def test_the_state_of_the_global_generator_does_not_matter() -> None:
    torch.manual_seed(1)
    first = random_weights("googlenet").model.state_dict()
    torch.manual_seed(2)
    second = random_weights("googlenet").model.state_dict()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("name", EVERY)
def test_every_backbone_has_a_config_of_its_name(name: str) -> None:
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert set(content) <= {field.name for field in fields(BackboneConfig)}
    if "on_missing_weights" in content:
        content["on_missing_weights"] = MissingWeights(content["on_missing_weights"])
    assert BackboneConfig(**content) == BackboneConfig(name=name)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"backbone\.name='alexnt'.*did you mean 'alexnet'") as info:
        build_classifier(BackboneConfig(name="alexnt", weights="none"), 0)
    assert all(name in str(info.value) for name in EVERY)


# --- input contracts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "weights"),
    [("alexnet", AlexNet_Weights.DEFAULT), ("squeezenet", SqueezeNet1_1_Weights.DEFAULT)],
)
def test_contracts_are_torchvisions_in_grey_levels(name: str, weights: WeightsEnum) -> None:
    preset = weights.transforms()
    contract = find_backbone(name).contract
    assert contract.mean == pytest.approx([255 * value for value in preset.mean])
    assert contract.std == pytest.approx([255 * value for value in preset.std])
    # The paper's 227 (section II.3a), torchvision's own 224.
    assert contract.size == {"alexnet": 227, "squeezenet": 224}[name]


def test_googlenets_contract_equals_torchvisions_transform_input() -> None:
    """torchvision's loader turns transform_input on; we feed what it would have made."""
    model = random_weights("googlenet").model.eval()
    grey = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    imagenet_mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    imagenet_std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        ours = model(normalise(grey, find_backbone("googlenet").contract))
        model.transform_input = True
        theirs = model((grey / 255 - imagenet_mean) / imagenet_std)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_bvlcs_contract_is_caffes() -> None:
    contract = find_backbone("googlenet_bvlc").contract
    assert contract.size == 224
    assert contract.mean == (104.0, 117.0, 123.0), "blue, green, red"
    assert contract.std == (1.0, 1.0, 1.0)


# --- weights --------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A whole 1000-class SqueezeNet in a file."""
    torch.manual_seed(99)
    path = tmp_path / "squeeze.pth"
    torch.save(find_backbone("squeezenet").build().state_dict(), path)
    return path


def use_download(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, url: str) -> Path:
    """Point an entry at another address, and torch.hub's cache into tmp_path."""

    class Local(WeightsEnum):
        V1 = Weights(url=url, transforms=None, meta={})

    monkeypatch.setitem(BACKBONES, name, replace(BACKBONES[name], imagenet=Local.V1))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    cache = tmp_path / "home" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    return cache


def test_a_file_fills_all_but_the_head(saved: Path) -> None:
    config = BackboneConfig(name="squeezenet", weights=str(saved))
    built = build_classifier(config, seed=4)
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert built.weights_origin == f"file squeeze.pth sha256:{digest[:12]}"
    assert built.warnings == ()
    content = torch.load(saved, weights_only=True)
    state = built.model.state_dict()
    assert all(
        torch.equal(value, state[key])
        for key, value in content.items()
        if not key.startswith("classifier.")
    )
    # The head is drawn from a stream of its own: it does not tell what lies below it.
    other = random_weights("squeezenet", seed=4)
    assert torch.equal(built.head.weight, other.head.weight)
    assert not torch.equal(
        state["features.0.weight"], other.model.state_dict()["features.0.weight"]
    )


def test_a_relative_path_and_a_home_path_are_understood(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved.parent)
    monkeypatch.setenv("HOME", str(saved.parent))
    for weights in ("squeeze.pth", "~/squeeze.pth"):
        built = build_classifier(BackboneConfig(name="squeezenet", weights=weights), 0)
        assert built.weights_origin.startswith("file squeeze.pth sha256:")


def test_imagenet_comes_from_torch_hubs_cache(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"squeeze-{hashlib.sha256(saved.read_bytes()).hexdigest()[:8]}.pth"
    cache = use_download(monkeypatch, tmp_path, "squeezenet", f"http://127.0.0.1:9/{name}")
    shutil.copy(saved, cache / name)
    built = build_classifier(BackboneConfig(name="squeezenet"), 0)
    assert built.weights_origin == "imagenet (torchvision Local.V1)"
    content = torch.load(saved, weights_only=True)
    assert torch.equal(built.model.state_dict()["features.0.weight"], content["features.0.weight"])


def test_entries_name_torchvisions_imagenet_weights() -> None:
    for name, weights in (
        ("alexnet", AlexNet_Weights.IMAGENET1K_V1),
        ("googlenet", GoogLeNet_Weights.IMAGENET1K_V1),
        ("squeezenet", SqueezeNet1_1_Weights.IMAGENET1K_V1),
        ("googlenet_bvlc", None),
        ("alexnet_bvlc", None),
    ):
        assert BACKBONES[name].imagenet is weights


def test_googlenets_file_may_hold_auxiliary_classifiers(tmp_path: Path) -> None:
    from torchvision.models import GoogLeNet

    torch.manual_seed(0)
    torch.save(GoogLeNet(aux_logits=True, init_weights=False).state_dict(), tmp_path / "g.pth")
    built = build_classifier(BackboneConfig(name="googlenet", weights=str(tmp_path / "g.pth")), 0)
    assert not any(name.startswith("aux") for name, _ in built.model.named_parameters())
    assert built.model(torch.randn(2, 3, 64, 64)).shape == (2, 2)  # a tensor in training too


def test_weights_that_cannot_be_had_are_an_error_or_a_loud_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://127.0.0.1:9/squeeze-0123abcd.pth"  # port 9, discard: nobody listens
    use_download(monkeypatch, tmp_path, "squeezenet", url)
    config = BackboneConfig(name="squeezenet")
    with pytest.raises(UserError, match=re.escape(url)):
        build_classifier(config, 3)
    built = build_classifier(replace(config, on_missing_weights=MissingWeights.random), 3)
    assert built.weights_origin == "random (Glorot)"
    (warning,) = built.warnings
    assert "squeezenet" in warning
    assert "random" in warning
    assert str(tmp_path) not in warning  # it goes into records
    plain = random_weights("squeezenet", 3).model.state_dict()
    assert all(torch.equal(v, plain[k]) for k, v in built.model.state_dict().items())


def test_bvlc_has_no_download() -> None:
    config = BackboneConfig(name="googlenet_bvlc")
    with pytest.raises(UserError, match=r"backbone\.weights=PATH of its \.npz"):
        build_classifier(config, 0)
    built = build_classifier(replace(config, on_missing_weights=MissingWeights.random), 0)
    assert built.weights_origin == "random (Glorot)"
    assert len(built.warnings) == 1


def test_weights_are_had_before_a_sweep_begins_or_the_address_is_named(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"squeeze-{hashlib.sha256(saved.read_bytes()).hexdigest()[:8]}.pth"
    url = f"http://127.0.0.1:9/{name}"  # port 9, discard: nobody listens
    cache = use_download(monkeypatch, tmp_path, "squeezenet", url)
    config = BackboneConfig(name="squeezenet")
    with pytest.raises(UserError, match=re.escape(f"cannot download {url}")):
        require_weights(config)
    # enough for a plan: a server is named, and none is asked
    require_weights(config, ask_server=False)
    require_weights(replace(config, on_missing_weights=MissingWeights.random))
    require_weights(replace(config, weights="none"))
    require_weights(replace(config, weights=str(saved)))
    shutil.copy(saved, cache / name)
    require_weights(config)


@pytest.mark.parametrize("ask_server", [True, False])
def test_weights_that_no_server_has_are_refused_before_a_sweep_begins(ask_server: bool) -> None:
    with pytest.raises(UserError, match=r"no server offers the weights of backbone=alexnet_bvlc"):
        require_weights(BackboneConfig(name="alexnet_bvlc"), ask_server=ask_server)


@pytest.mark.parametrize("name", ["pipe.pth", "pipe"])
def test_weights_that_are_no_file_are_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    config = BackboneConfig(name="squeezenet", weights=str(tmp_path / name))
    with pytest.raises(UserError, match=rf"{name} is no file: give the path of one"):
        build_classifier(config, 0)


def test_the_fallback_never_covers_a_wrong_file(saved: Path) -> None:
    for name, weights, said in (
        ("squeezenet", str(saved.with_name("gone.pth")), "no such file"),
        ("googlenet_bvlc", str(saved), "not a file of BvlcGoogLeNet"),
        ("squeezenet", "imagnet", "did you mean 'imagenet'"),
    ):
        config = BackboneConfig(
            name=name, weights=weights, on_missing_weights=MissingWeights.random
        )
        with pytest.raises(UserError, match=said):
            build_classifier(config, 0)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("googlenet_bvlc", "bvlc_googlenet_oihw.npz"),
        ("squeezenet", "squeezenet1_1_from_caffe_torchvision.pth"),
    ],
)
def test_real_weights_load(shared_data: Path, name: str, file: str) -> None:
    path = shared_data / "weights" / file
    built = build_classifier(BackboneConfig(name=name, weights=str(path)), 0)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert built.weights_origin == f"file {file} sha256:{digest[:12]}"
    built.model.eval()
    grey = torch.rand(2, 1, 224, 224, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        x = normalise(grey, built.contract)
        assert torch.equal(built.model(x), built.model(x))
        assert torch.isfinite(built.model(x)).all()


@pytest.mark.shared
def test_quantised_weights_are_refused(shared_data: Path) -> None:
    path = shared_data / "weights" / "bvlc_alexnet_conv1-5_q7.npz"
    with pytest.raises(UserError, match=r"weight_q7 is int8"):
        build_classifier(BackboneConfig(name="googlenet_bvlc", weights=str(path)), 0)
    with pytest.raises(UserError, match=r"AlexNet reads \.pth, \.pt files"):
        build_classifier(BackboneConfig(name="alexnet", weights=str(path)), 0)
