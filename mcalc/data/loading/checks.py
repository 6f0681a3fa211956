"""Whether a split can be trained on, told without PyTorch."""

from __future__ import annotations

from mcalc.config import AugmentConfig, ProtocolName, TrainerConfig
from mcalc.data.splits import Split
from mcalc.errors import UserError


def check_trainable(split: Split, augment: AugmentConfig, trainer: TrainerConfig) -> None:
    """Raise UserError for a mini-batch that is not filled, and for copies without a recipe."""
    if len(split.train) < trainer.batch_size:
        raise UserError(
            f"trainer.batch_size={trainer.batch_size} is more than the {len(split.train)} "
            "training images, and a partial batch is dropped: take a smaller batch or more data"
        )
    if split.protocol is ProtocolName.paper_augment_first and not augment.enabled:
        raise UserError(
            "protocol=paper_augment_first makes its copies with augment.*, which "
            "augment.enabled=false switches off: leave it on, or take protocol=paper"
        )
