"""The order of training images: three ways to shuffle, and batches wherever a run starts."""

from __future__ import annotations

import numpy as np
import pytest

from mcalc.config import Shuffle
from mcalc.data.loading.sampler import MiniBatches, epoch_order


def orders(shuffle: Shuffle, seed: int = 3) -> list[list[int]]:
    return [epoch_order(50, shuffle, seed, epoch).tolist() for epoch in range(4)]


def test_never_keeps_the_order_of_the_split() -> None:
    assert orders(Shuffle.never) == [list(range(50))] * 4


def test_once_draws_one_order_for_all_epochs() -> None:
    first, *others = orders(Shuffle.once)
    assert sorted(first) == list(range(50))
    assert first != list(range(50))
    assert others == [first] * 3


def test_every_epoch_draws_anew() -> None:
    drawn = orders(Shuffle.every_epoch)
    assert all(sorted(order) == list(range(50)) for order in drawn)
    assert len({tuple(order) for order in drawn}) == 4


@pytest.mark.parametrize("shuffle", [Shuffle.once, Shuffle.every_epoch])
def test_another_seed_is_another_order(shuffle: Shuffle) -> None:
    assert orders(shuffle, 3) == orders(shuffle, 3)
    assert orders(shuffle, 3)[0] != orders(shuffle, 4)[0]


@pytest.mark.parametrize("shuffle", list(Shuffle))
def test_batches_are_the_orders_in_pieces_without_a_partial_one(shuffle: Shuffle) -> None:
    batches = list(MiniBatches(50, 8, 4, shuffle, seed=3))
    assert len(batches) == len(MiniBatches(50, 8, 4, shuffle, seed=3)) == 24
    for epoch, order in enumerate(orders(shuffle)):
        pieces = np.array(order[:48]).reshape(6, 8).tolist()
        assert batches[6 * epoch : 6 * epoch + 6] == [
            [(epoch, position) for position in piece] for piece in pieces
        ]


@pytest.mark.parametrize("start", [0, 1, 5, 6, 13, 23, 24])
def test_a_run_that_starts_later_takes_the_same_batches(start: int) -> None:
    whole = list(MiniBatches(50, 8, 4, Shuffle.every_epoch, seed=3))
    rest = MiniBatches(50, 8, 4, Shuffle.every_epoch, seed=3, start=start)
    assert list(rest) == whole[start:]
    assert len(rest) == 24 - start
