"""Training above what `backbone.freeze` keeps: the frozen part is computed once, not in each step.

Its output, the features, depends on nothing that training changes (`mcalc.training.features`). It
is computed in fp32 whatever `trainer.precision` says, as once is cheap.

With `freeze=all` a training image is seen as one of `augment.frozen_copies` augmented copies. With
fewer stages frozen, features stand for images only where augmentation is off: otherwise each epoch
draws anew.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mcalc.config import AugmentConfig, Config, TrainerConfig
from mcalc.data.loading import CropData, Crops, Features
from mcalc.iteration import Progress
from mcalc.models import (
    RANDOM,
    Built,
    Classifier,
    CutNetwork,
    UncuttableError,
    UpperClassifier,
    build_classifier,
    cut_network,
    draw_head,
    matches,
)
from mcalc.training.device import (
    Placement,
    repeatable,
    setup_of,
    torch_device,
    use_threads,
)
from mcalc.training.features import (
    Passes,
    frozen_digest,
    images_digest,
    place_of,
    read_or_compute,
    shape_of,
)

MOST_BYTES = 8 * 2**30
"""Of the features of one training run: beyond it they are computed in each step."""
Note = Callable[[str], None]
"""Takes a sentence that a user should know."""


class FrozenNetwork:
    """A network of this process, cut above what is frozen, and the features computed last."""

    def __init__(self, built: Built, whole: Classifier, cut: CutNetwork) -> None:
        self.built = built
        self._whole = whole
        self._cut = cut
        self._head = next(name for name, part in built.model.named_modules() if part is built.head)
        self._digest = frozen_digest(whole, cut)
        self._images: tuple[object, str] | None = None
        self._last: tuple[object, list[object], CropData] | None = None

    def upper(self, config: Config) -> UpperClassifier:
        """What learns, as it is before training, with the new head of the config's seed."""
        learning = copy.deepcopy(self._cut.learning).train()
        head = learning.get_submodule(self._head)
        draw_head(head, config.seed)
        built = replace(self.built, model=learning, head=head)
        return UpperClassifier(
            built, config.backbone, config.head, config.trainer, self.built.model.state_dict()
        )

    def features(
        self,
        config: Config,
        crops: CropData,
        placement: Placement,
        progress: Progress,
        note: Note,
    ) -> CropData | None:
        """The same data with features in the place of images; None where they would be too many.

        `note` is then told so. Raises UserError where the cache cannot be written.
        """
        passes = _passes(crops, config.trainer)
        images = passes[0].crops.images
        size = images.shape[-1]
        setup = placement.setup or setup_of(config.trainer, placement.cores)
        seen: list[object] = [
            *(setup.device, setup.threads, config.trainer.channels_last is True),
            *(draws_of(config.augment), crops.seed, crops.split_seed),
            [[each.copies, each.augmented, each.batch] for each in passes],
            [[[one.image, one.copy] for one in each.crops.members] for each in passes],
        ]
        if self._last is None or self._last[0] is not images or self._last[1] != seen:
            shape = shape_of(self._whole, self._cut, size)
            size_of_all = 4 * sum(each.count for each in passes) * int(np.prod(shape))
            if size_of_all > MOST_BYTES:
                note(_slower(config, f"the features would take {size_of_all / 1e9:.0f} GB"))
                return None
            place = place_of(
                Path(config.data.cache), [self._digest, self._digest_of(images), *seen]
            )
            use_threads(setup.threads)
            # the network goes to the device and back: between two trials it is of no use there
            self._whole.to(torch_device(setup, placement))
            with repeatable(setup.device):
                rows = read_or_compute(place, self._whole, self._cut, passes, progress)
            self._whole.cpu()
            train, *held_out = (
                Features(part, each.crops.members, each.copies)
                for part, each in zip(rows, passes, strict=True)
            )
            self._last = images, seen, crops.replaced(train, held_out[0], held_out[-1])
        found = self._last[2]
        return crops.replaced(found.train, found.validation, found.reported)

    def _digest_of(self, images: npt.NDArray[np.uint8]) -> str:
        if self._images is None or self._images[0] is not images:
            self._images = images, images_digest(images)
        return self._images[1]


class FrozenNetworks:
    """The network that was cut last: most trials of a sweep share it."""

    def __init__(self) -> None:
        self._last: tuple[tuple[str, int | None], FrozenNetwork | str] = (("", None), "")

    def find(self, config: Config, classes: int, note: Note) -> FrozenNetwork | None:
        """The network of a config; None where images are needed in each step.

        So they are where nothing is frozen, where augmentation draws anew, and for a network that
        cannot be cut: `note` is then told why.
        """
        if not repeats(config):
            return None
        name = repr((config.backbone, config.trainer.channels_last, classes))
        if self._last[0] not in ((name, None), (name, config.seed)):
            self._last = ("", None), ""  # before the next one takes as much memory
            network = _cut(config, classes)
            # random weights follow from the seed
            random = isinstance(network, str) or network.built.weights_origin == RANDOM
            self._last = (name, config.seed if random else None), network
        found = self._last[1]
        if isinstance(found, str):
            note(_slower(config, found))
            return None
        return found


def repeats(config: Config) -> bool:
    """Whether what is frozen sees the same images again and again."""
    if config.backbone.freeze == "all":
        return True
    return config.backbone.freeze != "0" and not config.augment.enabled


def cycle_of(config: Config) -> int | None:
    """Epochs after which augmentation repeats itself; None where it does not."""
    return config.augment.frozen_copies if config.backbone.freeze == "all" else None


def draws_of(augment: AugmentConfig) -> str:
    """What decides the augmented copies: where they are computed does not, as the CPU makes them.

    As it stands in the names of files from before `augment.place` too.
    """
    return repr(augment).replace(f"place={augment.place!r}, ", "")


def _slower(config: Config, why: str) -> str:
    return (
        f"backbone.freeze={config.backbone.freeze}: what is frozen is computed in each step, which "
        f"takes longer ({config.backbone.name}: {why})"
    )


def _cut(config: Config, classes: int) -> FrozenNetwork | str:
    """The network cut, or why it cannot be."""
    built = build_classifier(config.backbone, config.seed, classes)
    whole = Classifier(built, config.backbone, config.head, config.trainer)
    if config.trainer.channels_last is True:
        whole.to(memory_format=torch.channels_last)
    try:
        cut = cut_network(built.model, whole.stages, built.head)
    except UncuttableError as error:
        return str(error)
    size = built.contract.size
    grey = torch.randint(256, (2, 1, size, size), generator=torch.Generator().manual_seed(0))
    if not matches(cut, built.model, whole.channels(grey)):
        return "its two parts do not do what the whole does"
    return FrozenNetwork(built, whole, cut)


def _passes(crops: CropData, settings: TrainerConfig) -> Sequence[Passes]:
    subsets = [crops.train, crops.validation]
    subsets += [crops.reported] if crops.reported_apart else []
    found = []
    for subset in subsets:
        assert isinstance(subset, Crops)  # images, of which features are made
        augmented = subset.augment is not None and subset.augment.enabled
        copies = (subset.cycle or 1) if augmented else 1
        batch = settings.batch_size if subset is crops.train else settings.eval_batch_size
        found.append(Passes(subset, copies, augmented, batch))
    return found
