"""Our local response normalisation beside PyTorch's, which computes it another way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mcalc.models.local_response_norm import LocalResponseNorm

FORMATS = (torch.contiguous_format, torch.channels_last)
PARAMETERS = ((1e-4, 1.0), (0.3, 2.0))


def both(
    x: Tensor, size: int, alpha: float, k: float, gradient: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Output and gradient of PyTorch's and of ours."""
    found = []
    for layer in (nn.LocalResponseNorm(size, alpha, 0.75, k), LocalResponseNorm(size, alpha, k)):
        given = x.clone().requires_grad_()
        y = layer(given)
        y.backward(gradient.to(y.dtype))
        assert given.grad is not None
        found.append((y.detach(), given.grad))
    return found[0], found[1]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 9])
@pytest.mark.parametrize("channels", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("memory_format", FORMATS)
def test_it_is_pytorchs_for_every_size_and_format(
    size: int, channels: int, memory_format: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(channels * 10 + size)
    shape = (3, channels, 5, 4)
    x = 20 * torch.randn(shape, generator=generator, dtype=torch.float64)
    gradient = torch.randn(shape, generator=generator, dtype=torch.float64)
    x, gradient = (each.contiguous(memory_format=memory_format) for each in (x, gradient))
    for alpha, k in PARAMETERS:
        (y, dx), (ours, our_dx) = both(x, size, alpha, k, gradient)
        torch.testing.assert_close(ours, y, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(our_dx, dx, rtol=1e-11, atol=1e-12)
        assert ours.is_contiguous(memory_format=memory_format)


def test_in_float32_the_gradient_is_equal_to_a_millionth() -> None:
    generator = torch.Generator().manual_seed(0)
    x = 100 * torch.randn((2, 64, 14, 14), generator=generator).abs()
    gradient = torch.randn(x.shape, generator=generator)
    for memory_format in FORMATS:
        (y, dx), (ours, our_dx) = both(
            x.contiguous(memory_format=memory_format), 5, 1e-4, 1.0, gradient
        )
        assert ours.dtype is torch.float32
        torch.testing.assert_close(ours, y, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(our_dx, dx, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_its_gradient_is_that_of_its_values(size: int) -> None:
    x = torch.randn((2, 6, 2, 3), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LocalResponseNorm(size, 0.7, 1.5), (x,))


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_what_is_given_in_half_is_computed_in_float32(low: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    x = (30 * torch.randn((2, 16, 7, 7), generator=generator)).to(low)
    gradient = torch.randn(x.shape, generator=generator).to(low)
    (y, dx), _ = both(x.float(), 5, 0.01, 1.0, gradient.float())
    given = x.clone().requires_grad_()
    ours = LocalResponseNorm(5, 0.01, 1.0)(given)
    ours.backward(gradient)
    assert given.grad is not None
    # rounded once, at the end
    torch.testing.assert_close(ours.float(), y, rtol=2**-8, atol=1e-6)
    assert ours.dtype is given.grad.dtype is low
    torch.testing.assert_close(given.grad.float(), dx, rtol=2**-7, atol=1e-3)


def test_an_input_that_needs_no_gradient_and_an_empty_batch() -> None:
    layer = LocalResponseNorm(5, 1e-4, 1.0)
    with torch.inference_mode():
        assert layer(torch.ones(1, 3, 2, 2)).shape == (1, 3, 2, 2)
        assert layer(torch.ones(0, 3, 2, 2)).shape == (0, 3, 2, 2)


def test_it_is_printed_as_pytorchs() -> None:
    ours, theirs = LocalResponseNorm(5, 1e-4, 2.0), nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)
    assert repr(ours) == repr(theirs)


def test_a_hand_computed_case() -> None:
    # one pixel, channels 1, 2, 3; window of 3: sums of squares 5, 14, 13
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).view(1, 3, 1, 1)
    expected = [
        each / (2 + 6 / 3 * s) ** 0.75 for each, s in zip((1, 2, 3), (5, 14, 13), strict=True)
    ]
    found = LocalResponseNorm(3, 6.0, 2.0)(x).flatten().tolist()
    assert found == pytest.approx(expected, rel=1e-13)
