"""`auto` of precision and memory format: what the hardware computes in, never how fast it is."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mcalc.config import Accelerator, BackboneConfig, Config, Precision, TrainerConfig, plan_trial
from mcalc.errors import UserError
from mcalc.training import device
from mcalc.training.device import refuse_precision, resolve_precision, resolved, uses_gpu

CPU = TrainerConfig(accelerator=Accelerator.cpu)


def processor_with(monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    """Let this machine's processor have these instruction sets, whatever it has."""
    monkeypatch.setattr(device, "_processor_flags", lambda: list(flags))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def computed(trainer: TrainerConfig = CPU) -> tuple[str, bool | str]:
    """What precision and memory format come to."""
    settings = resolved(Config(trainer=trainer)).trainer
    return settings.precision.value, settings.channels_last


def test_the_defaults_are_auto() -> None:
    assert (CPU.precision, CPU.channels_last) == (Precision.auto, "auto")


def test_auto_is_what_the_processor_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    processor_with(monkeypatch, "sse2", "avx512f", "avx512_bf16")
    assert computed() == ("bf16", True)
    processor_with(monkeypatch, "sse2", "avx512f")
    assert computed() == ("fp32", True)


def test_a_head_on_frozen_features_is_in_fp32_on_every_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processor_with(monkeypatch, "avx512_bf16")
    for stages, precision in (("all", "fp32"), ("3", "bf16")):
        config = Config(trainer=CPU, backbone=BackboneConfig(freeze=stages))
        assert resolved(config).trainer.precision.value == precision


@pytest.mark.parametrize("flags", [("avx512_bf16",), ()])
def test_what_is_named_stays(monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]) -> None:
    processor_with(monkeypatch, *flags)
    assert computed(replace(CPU, precision=Precision.fp32)) == ("fp32", True)
    assert computed(replace(CPU, precision=Precision.bf16)) == ("bf16", True)
    assert computed(replace(CPU, precision=Precision.bf16, channels_last=False)) == ("bf16", False)
    exact = replace(CPU, precision=Precision.fp32, channels_last=False)
    assert computed(exact) == ("fp32", False)


def test_a_graphics_card_is_asked_where_one_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    processor_with(monkeypatch)
    monkeypatch.setattr(device, "sees_gpu", lambda: True)
    for has_bf16 in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda answer=has_bf16, **_: answer)
        assert computed(TrainerConfig()) == (("bf16", True) if has_bf16 else ("fp32", True))
        assert computed() == ("fp32", True)


@pytest.mark.parametrize("system", [("Darwin", "arm64"), ("Linux", "aarch64")])
def test_elsewhere_it_is_fp32(monkeypatch: pytest.MonkeyPatch, system: tuple[str, str]) -> None:
    """No /proc on macOS, and other instruction sets on arm."""
    monkeypatch.setattr(device.sys, "platform", system[0].lower())
    monkeypatch.setattr(platform, "machine", lambda: system[1])
    monkeypatch.setattr(device, "_processor_flags", lambda: ["fp", "asimd", "bf16"])
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert computed() == ("fp32", True)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc")
def test_linux_lists_what_pytorch_finds() -> None:
    found = resolve_precision(CPU) is Precision.bf16
    assert found == torch.cpu._is_avx512_bf16_supported()


def test_a_machine_that_cannot_compute_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    processor_with(monkeypatch, "avx512f")
    low = replace(CPU, precision=Precision.bf16)
    with pytest.raises(UserError, match=r"does not compute in bf16 .*trainer\.precision=fp32"):
        refuse_precision(low)
    refuse_precision(replace(CPU, precision=Precision.fp32))
    processor_with(monkeypatch, "avx512_bf16")
    refuse_precision(low)


def test_a_trial_is_not_planned_with_auto() -> None:
    with pytest.raises(
        ValueError, match=r"precision, trainer\.channels_last, augment\.place: auto"
    ):
        plan_trial("a", Config(), "data")


def test_other_words_than_true_false_and_auto_are_refused() -> None:
    with pytest.raises(UserError, match="expected true, false or auto"):
        TrainerConfig(channels_last="maybe")
    assert TrainerConfig(channels_last="true").channels_last is True


def test_apples_gpu_is_not_used_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.sys, "platform", "darwin")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not uses_gpu(TrainerConfig())
    with pytest.raises(UserError, match=r"not on Apple's \(MPS\).*use auto or cpu"):
        uses_gpu(TrainerConfig(accelerator=Accelerator.gpu))


@pytest.mark.parametrize("there", [True, False])
def test_linux_without_a_gpus_device_needs_no_pytorch_to_know(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool
) -> None:
    file = tmp_path / "nvidiactl"
    monkeypatch.setattr(device, "_GPU_DEVICES", (str(file),))
    monkeypatch.setattr(device.sys, "platform", "linux")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    if there:
        file.touch()
    assert device.sees_gpu() == there


def test_convolutions_on_cuda_repeat_and_are_in_fp32_where_that_is_said() -> None:
    def flags() -> tuple[bool, ...]:
        cudnn = torch.backends.cudnn
        return cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32

    before = flags()
    with device.repeatable("cpu"):
        assert flags() == before
    with device.repeatable("cuda"):
        assert flags() == (True, False, True, False)
    assert flags() == before
    assert not torch.backends.cuda.matmul.allow_tf32, "PyTorch's default, which mcalc leaves"
