"""Settings for others: no place of the machine, and still the settings of the trial."""

from __future__ import annotations

from dataclasses import replace

import yaml

from mcalc.config import (
    BackboneConfig,
    Config,
    DataConfig,
    Precision,
    ProtocolConfig,
    TrackingConfig,
    TrainerConfig,
    flatten,
)
from mcalc.report.package.settings import named_paths, params_without_places, without_places
from mcalc.results import RecordedTrial
from mcalc.trials.artifacts import config_yaml
from mcalc.trials.recorded_settings import recorded_config

HOME = "/home/somebody"
CONFIG = Config(
    backbone=BackboneConfig(name="googlenet_bvlc", weights=f"{HOME}/w.npz"),
    data=DataConfig(
        source="folder", root=f"{HOME}/images", labels=f"{HOME}/l.csv", cache=f"{HOME}/cache"
    ),
    protocol=ProtocolConfig(split_file=f"{HOME}/split.csv"),
    tracking=TrackingConfig(dir=f"{HOME}/mlruns"),
    trainer=replace(TrainerConfig(), precision=Precision.fp32, channels_last=True),
    storage=f"sqlite:///{HOME}/optuna.db",
)


def test_no_place_is_left_and_all_else_is() -> None:
    text = without_places(config_yaml(CONFIG))
    assert "somebody" not in text
    was, now = (yaml.safe_load(each) for each in (config_yaml(CONFIG), text))
    assert now["backbone"] == {**was["backbone"], "weights": "w.npz"}
    assert now["protocol"] == {**was["protocol"], "split_file": "split.csv"}
    assert now["trainer"] == was["trainer"]
    assert now["head"] == was["head"]


def test_paths_of_files_are_known_by_name() -> None:
    params = {key: str(value) for key, value in flatten(CONFIG).items()}
    assert named_paths(params) == {
        f"{HOME}/w.npz": "w.npz",
        f"{HOME}/split.csv": "split.csv",
    }
    assert named_paths({"backbone.weights": "imagenet"}) == {}
    assert "somebody" not in str(params_without_places(params))


def test_both_are_read_as_a_trials_settings() -> None:
    """As a network's folder keeps them: they have to agree with each other."""
    params = {key: str(value) for key, value in flatten(CONFIG).items() if key != "name"}
    trial = RecordedTrial("1", "AL1", "finished", params_without_places(params), {}, {})
    found = recorded_config(Config(), (), without_places(config_yaml(CONFIG)), trial)
    assert found.backbone.weights == "w.npz"
    assert found.head == CONFIG.head
