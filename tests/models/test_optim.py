"""Parameter groups and steps against MATLAB's update rule, written out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mcalc.config import BackboneConfig, HeadConfig
from mcalc.errors import UserError
from mcalc.models.backbones import BACKBONES, build_classifier
from mcalc.models.optim import ParameterGroup, parameter_groups, sgd
from mcalc.models.stages import Stages

LR, L2, MOMENTUM = 1e-2, 1e-1, 0.9
# every factor has a value of its own, so that none can be dropped or exchanged
BACKBONE = BackboneConfig(weight_lr=1.5, bias_lr=2.0, weight_l2=3.0, bias_l2=0.3)
HEAD = HeadConfig(weight_lr=15.0, bias_lr=30.0, weight_l2=5.0, bias_l2=0.7)

# Name of a parameter of `tiny()` -> rate and decay that MATLAB's factors give it.
EXPECTED = {
    "0.weight": (LR * 1.5, L2 * 3),
    "0.bias": (LR * 2, L2 * 0.3),
    "1.weight": (LR * 1.5, L2 * 3),  # normalisation takes the weights' factors for both
    "1.bias": (LR * 1.5, L2 * 3),
    "4.weight": (LR * 15, L2 * 5),
    "4.bias": (LR * 30, L2 * 0.7),
}


def tiny() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)
    ).double()


def groups_of(
    model: nn.Sequential, backbone: BackboneConfig = BACKBONE, head: HeadConfig = HEAD
) -> list[ParameterGroup]:
    stages = Stages([r"[01]\.", r"4\."], backbone)
    return parameter_groups(model, model[-1], backbone, head, lr=LR, l2=L2, stages=stages)


def test_groups_have_their_names_rates_and_decays() -> None:
    groups = {group["name"]: group for group in groups_of(tiny())}
    assert {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()} == {
        "backbone.weight": pytest.approx((0.015, 0.3)),
        "backbone.bias": pytest.approx((0.02, 0.03)),
        "backbone.norm": pytest.approx((0.015, 0.3)),
        "head.weight": pytest.approx((0.15, 0.5)),
        "head.bias": pytest.approx((0.30, 0.07)),
    }


@pytest.mark.parametrize("momentum", [0.0, MOMENTUM])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_steps_follow_matlabs_rule(steps: int, momentum: float) -> None:
    model = tiny()
    optimizer = sgd(groups_of(model), momentum)
    generator = np.random.default_rng(4)
    w = {name: value.detach().numpy().copy() for name, value in model.named_parameters()}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    for _ in range(steps):
        gradients = {name: generator.normal(size=value.shape) for name, value in w.items()}
        for name, parameter in model.named_parameters():
            parameter.grad = torch.tensor(gradients[name])
        optimizer.step()
        for name, (rate, decay) in EXPECTED.items():
            v[name] = momentum * v[name] - rate * (gradients[name] + decay * w[name])
            w[name] = w[name] + v[name]
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), w[name], rtol=1e-12, err_msg=name)


def test_two_steps_of_one_weight_by_hand() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    groups = parameter_groups(
        model,
        model[1],
        BackboneConfig(),
        HeadConfig(weight_lr=10, bias_lr=20, weight_l2=1, bias_l2=0),
        lr=0.01,
        l2=0.5,
        stages=Stages([r"0\.", r"1\."], BackboneConfig()),
    )
    optimizer = sgd(groups, momentum=0.5)
    for _ in range(2):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 2.0)
        optimizer.step()
    # backbone weight, rate 0.01: v1 = -0.01 (2 + 0.5) = -0.025, w = 0.975;
    #   v2 = -0.0125 - 0.01 (2 + 0.4875) = -0.037375, w = 0.937625
    assert model[0].weight.item() == pytest.approx(0.937625, rel=1e-6)
    # backbone bias, rate 0.02, no decay: v1 = -0.04, v2 = -0.02 - 0.04 = -0.06, w = 0.9
    assert model[0].bias.item() == pytest.approx(0.9, rel=1e-6)
    # head weight, rate 0.1: v1 = -0.1 (2.5) = -0.25, w = 0.75;
    #   v2 = -0.125 - 0.1 (2 + 0.375) = -0.3625, w = 0.3875
    assert model[1].weight.item() == pytest.approx(0.3875, rel=1e-6)
    # head bias, rate 0.2, no decay: v1 = -0.4, v2 = -0.2 - 0.4 = -0.6, w = 0
    assert model[1].bias.item() == pytest.approx(0.0, abs=1e-6)


def test_the_fused_step_repeats_exactly_and_equals_the_loop_but_for_rounding() -> None:
    def trained(fused: bool) -> list[torch.Tensor]:
        model = tiny().float()
        optimizer = sgd(groups_of(model), MOMENTUM)
        assert all(group["fused"] for group in optimizer.param_groups)
        for group in optimizer.param_groups:
            group["fused"] = fused
            group["foreach"] = False
        generator = torch.Generator().manual_seed(0)
        for _ in range(3):
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
        return [parameter.detach() for parameter in model.parameters()]

    first, again, loop = trained(fused=True), trained(fused=True), trained(fused=False)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    torch.testing.assert_close(first, loop, rtol=1e-6, atol=1e-6)


def test_a_device_without_a_fused_step_gets_the_plain_one() -> None:
    model = tiny().to("meta")
    assert not any(group["fused"] for group in sgd(groups_of(model), MOMENTUM).param_groups)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_parameter_of_a_backbone_is_in_exactly_one_group(name: str) -> None:
    built = build_classifier(BackboneConfig(name=name, weights="none"), seed=0)
    stages = Stages(built.stages, BACKBONE)
    groups = parameter_groups(built.model, built.head, BACKBONE, HEAD, lr=LR, l2=L2, stages=stages)
    members = {group["name"]: {id(p) for p in group["params"]} for group in groups}
    assert sum(map(len, members.values())) == len(set().union(*members.values()))
    assert set().union(*members.values()) == {id(p) for p in built.model.parameters()}
    assert members["head.weight"] == {id(built.head.weight)}
    assert members["head.bias"] == {id(built.head.bias)}
    # A name that ends in bias is a bias unless a normalisation layer owns it.
    owners = dict(built.model.named_modules())
    norm = {
        id(p)
        for key, p in built.model.named_parameters()
        if isinstance(owners[key.rpartition(".")[0]], nn.BatchNorm2d)
    }
    biases = {id(p) for key, p in built.model.named_parameters() if key.endswith(".bias")}
    assert members.get("backbone.norm", set()) == norm
    assert members.get("backbone.bias", set()) == biases - norm - members["head.bias"]
    # torchvision's GoogLeNet alone has normalisation, and no convolution bias beside it.
    assert ("backbone.norm" in members, "backbone.bias" in members) == (
        (True, False) if name == "googlenet" else (False, True)
    )


def test_a_factor_of_zero_freezes() -> None:
    model = tiny()
    frozen = replace(BACKBONE, weight_lr=0.0, bias_lr=0.0)
    groups = groups_of(model, backbone=frozen)
    assert [group["name"] for group in groups] == ["head.weight", "head.bias"]
    asks = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert asks == {
        "0.weight": False,
        "0.bias": False,
        "1.weight": False,
        "1.bias": False,
        "4.weight": True,
        "4.bias": True,
    }
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = sgd(groups, MOMENTUM)
    model(torch.randn(4, 1, 3, 3, dtype=torch.float64)).square().sum().backward()
    optimizer.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"4.weight", "4.bias"}


def test_all_factors_zero_is_the_users_mistake() -> None:
    head = HeadConfig(weight_lr=0.0, bias_lr=0.0)
    with pytest.raises(UserError, match=r"nothing would learn.*head\.weight_lr"):
        groups_of(tiny(), replace(BACKBONE, weight_lr=0.0, bias_lr=0.0), head)
