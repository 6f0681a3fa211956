"""Every setting is documented, and its range, neutral value and place in the key are as stated."""

from __future__ import annotations

import math
from dataclasses import is_dataclass

import pytest

from mcalc.config import Config, schema
from mcalc.config.assign import updated
from mcalc.config.compose import compose_config
from mcalc.config.paths import entries, field_docs, key_paths
from mcalc.config.rules import UNSET
from mcalc.errors import UserError

SECTIONS = [kind for kind in vars(schema).values() if isinstance(kind, type) and is_dataclass(kind)]
RANGED = [key for key, entry in entries().items() if entry.rules.range()]
PATHS = [key for key, entry in entries().items() if entry.rules.path]

NOT_NUMERIC = {
    # names and places
    "name", "sweep", "dry_run", "rerun", "from_run", "retries", "trials_per_gpu", "storage",
    "storage_wait", "budget", "budget.trials", "budget.hours",
    "job",
    "tracking", "tracking.dir", "tracking.experiment", "tracking.uri", "tracking.keep_models",
    "tracking.checkpoint_minutes",
    "data.cache",
    # what these select is in the data's fingerprint
    "data.root", "data.csv_dir", "data.csv_split", "data.min_completeness", "data.source",
    "data.labels", "data.phantom", "data.phantom.lesions", "data.phantom.seed",
    "data.phantom.difficulty", "data.phantom.defects", "data.phantom.full_height",
    # augmentation is drawn by image and epoch, whoever draws it
    "trainer.workers",
}  # fmt: skip


@pytest.mark.parametrize("kind", SECTIONS, ids=lambda kind: kind.__name__)
def test_every_field_and_section_has_a_docstring(kind: type) -> None:
    docs = field_docs(kind)
    assert set(docs) == set(kind.__dataclass_fields__)
    for name, doc in docs.items():
        assert doc.endswith("."), name
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}("), "only the generated one"


def test_what_does_not_change_a_trials_numbers_is_exactly_this() -> None:
    assert {key for key, entry in entries().items() if not entry.numeric} == NOT_NUMERIC


def test_neutral_values_are_exactly_these_and_the_defaults() -> None:
    stated = {k: e.rules.neutral for k, e in entries().items() if e.rules.neutral is not UNSET}
    backbone = {"backbone.lr_decay": 1.0, "backbone.freeze": "0"}
    others = {"augment.frozen_copies": 4, "data.bits_stored": None, "metrics": []}
    # of one that is `auto`, what it was before there was the setting
    automatic = {"augment.place": "cpu"}
    assert stated == {**backbone, **others, **automatic}
    defaults = {key: entries()[key].default for key in stated}
    assert defaults == {**stated, **dict.fromkeys(automatic, "auto")}


@pytest.mark.parametrize("key", RANGED)
def test_a_number_outside_its_range_is_named_with_the_range(key: str) -> None:
    rules = entries()[key].rules
    wrong = [math.inf, math.nan]
    wrong += [bound - 1 for bound in (rules.low,) if bound is not None]
    wrong += [bound + 1 for bound in (rules.high,) if bound is not None]
    wrong += [bound for bound in (rules.above, rules.below) if bound is not None]
    owner = entries()[key].owner
    for value in wrong:
        with pytest.raises(UserError) as raised:
            owner(**{key.rsplit(".", 1)[-1]: value})
        message = str(raised.value)
        assert f"{key}={value!r} is out of range: expected a number {rules.range()}" in message
        assert message.endswith(", or null") == (type(None) in entries()[key].kinds)


def test_every_number_has_a_range() -> None:
    numbers = {k for k, e in entries().items() if {int, float} & set(e.kinds)}
    assert numbers - set(RANGED) == set()


def test_bounds_themselves_are_inside_or_outside_as_said() -> None:
    Config(seed=2**32 - 1)
    with pytest.raises(UserError, match=r"seed=4294967296 .* from 0 to 4294967295"):
        Config(seed=2**32)
    schema.ProtocolConfig(folds=3, fold=2)
    with pytest.raises(UserError, match=r"protocol\.fold=3 is out of range.*from 0 to 2"):
        schema.ProtocolConfig(folds=3, fold=3)


@pytest.mark.parametrize("given", ["2", "all", "0"])
def test_frozen_stages_are_a_number_or_all_however_written(given: str) -> None:
    assert compose_config([f"backbone.freeze={given}"]).backbone.freeze == given
    value = int(given) if given.isdecimal() else given
    assert updated(Config(), {"backbone.freeze": value}).backbone.freeze == given


@pytest.mark.parametrize("given", ["-1", "1.5", "02", "true", "some", "null"])
def test_frozen_stages_are_nothing_else(given: str) -> None:
    with pytest.raises(UserError, match=r"backbone\.freeze"):
        compose_config([f"backbone.freeze={given}"])


def test_further_metrics_are_a_list_of_names() -> None:
    assert compose_config(["metrics=[a, b]"]).metrics == ["a", "b"]
    assert updated(Config(), {"metrics": ["a"]}).metrics == ["a"]
    for wrong in ("a", 1, [1]):
        with pytest.raises(UserError, match=r"metrics.*a list of texts"):
            updated(Config(), {"metrics": wrong})
    assert Config().metrics is not Config().metrics, "no config shares its list with another"


def test_the_home_folder_is_put_in_place_of_a_tilde() -> None:
    home = compose_config(["data.root='~/x y'", "tracking.dir='~'"])
    assert not home.data.root.startswith("~")  # type: ignore[union-attr]
    assert home.data.root.endswith("/x y")  # type: ignore[union-attr]
    assert home.tracking.dir != "~"
    assert compose_config(["name='~x'"]).name == "~x", "a name is no path"


def test_every_key_is_listed_with_its_sections() -> None:
    keys = key_paths()
    assert keys.index("data") < keys.index("data.clahe") < keys.index("data.clahe.tiles")
    assert len(keys) == len(set(keys)) > 100


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_path_is_refused(key: str, value: str) -> None:
    with pytest.raises(UserError, match=rf"{key}= is empty: give a path"):
        updated(Config(), {key: value})
