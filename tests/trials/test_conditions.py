"""What a recorded run was computed with, kept where this machine can, named where it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mcalc.config import Accelerator, Precision, TrainerConfig
from mcalc.results import RecordedTrial
from mcalc.training import Setup
from mcalc.trials.conditions import setup_to_keep

TAGS = {
    "mcalc.device": "CPU (x86_64)",
    "mcalc.precision": "fp32",
    "mcalc.threads": "3",
    "mcalc.memory_format": "contiguous",
}
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")


def recorded(**tags: str) -> RecordedTrial:
    given = {f"mcalc.{name}": value for name, value in tags.items()}
    return RecordedTrial("id", "AL1", "finished", {}, {}, {**TAGS, **given})


def reasons(settings: TrainerConfig, **tags: str) -> tuple[str, ...]:
    setup, found = setup_to_keep(settings, recorded(**tags))
    assert (setup is None) == bool(found)
    return found


def test_the_recorded_threads_are_taken_whatever_this_machine_has() -> None:
    setup, found = setup_to_keep(TrainerConfig(), recorded(threads="64"))
    assert (setup, found) == (Setup("cpu", "fp32", 64), ())


def processor_with(monkeypatch: pytest.MonkeyPatch, *flags: str) -> None:
    """Let this machine's processor have these instruction sets, whatever it has."""
    monkeypatch.setattr("mcalc.training.device._processor_flags", lambda: list(flags))


def test_a_cpu_stays_one_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    setup, _ = setup_to_keep(TrainerConfig(accelerator=Accelerator.auto), recorded())
    assert setup == Setup("cpu", "fp32", 3)


def test_auto_gave_fp32_then_and_gives_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    processor_with(monkeypatch, "avx512_bf16")
    setup, _ = setup_to_keep(TrainerConfig(precision=Precision.auto), recorded())
    assert setup == Setup("cpu", "fp32", 3)


def test_bf16_that_the_processor_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainerConfig(precision=Precision.auto)
    processor_with(monkeypatch, "avx512f")
    named = TrainerConfig(precision=Precision.bf16)
    for each in (settings, named):
        assert reasons(each, precision="bf16") == ("precision was bf16, here it is fp32",)
    processor_with(monkeypatch, "avx512_bf16")
    assert reasons(settings, precision="bf16") == ()


@no_gpu
def test_all_that_cannot_be_met_is_named_with_both_values() -> None:
    settings = TrainerConfig(precision=Precision.fp32, threads=2, channels_last=True)
    found = reasons(settings, device="NVIDIA H100", precision="bf16")
    assert found == (
        "device was NVIDIA H100, here it is CPU (x86_64)",
        "precision was bf16, here it is fp32",
        "threads were 3, here they are 2",
        "memory format was contiguous, here it is channels_last",
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OMP_THREAD_LIMIT", "2", "threads were 3, here they are 2 at most (OMP_THREAD_LIMIT=2"),
        ("OMP_DYNAMIC", "TRUE", "threads were 3, here they are as many as OpenMP likes"),
    ],
)
def test_variables_that_take_threads_away_are_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    for settings in (TrainerConfig(), TrainerConfig(threads=3)):
        (found,) = reasons(settings)
        assert said in found


def test_a_record_that_does_not_say_is_not_guessed_at() -> None:
    bare = replace(recorded(), tags={})
    setup, found = setup_to_keep(TrainerConfig(), bare)
    assert setup is None
    assert [reason.split(" was ")[0].split(" were ")[0] for reason in found] == [
        "device", "precision", "threads", "memory format",
    ]  # fmt: skip
