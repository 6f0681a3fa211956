"""Settings for others: no place of the machine, and still the settings of the trial."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from recorded_sweeps import open_record, write_trial

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
from mcalc.report.__main__ import main
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


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
@pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes")
def test_a_page_in_an_archive_names_files_without_their_folders(tmp_path: Path) -> None:
    """Also of a record without the files of settings, which every trial has today."""
    tracker = open_record(tmp_path / "mlruns")
    params = {"backbone.weights": f"{HOME}/R&D/w.npz"}
    run = write_trial(tracker, "mine", params, tracker.open_sweep("mine-1", "mine", {}))
    target, out = tmp_path / "x.zip", tmp_path / "report"
    assert main([f"tracking.dir={tmp_path / 'mlruns'}", f"out={out}", f"package={target}"]) == 0
    assert f"{HOME}/R&amp;D/w.npz" in (out / "index.html").read_text(encoding="utf-8")
    with zipfile.ZipFile(target) as archive:
        page = archive.read("report/index.html").decode()
        of_trial = {name for name in archive.namelist() if name.startswith("trials/")}
    assert "somebody" not in page
    assert ">w.npz<" in page
    assert of_trial == {f"trials/{run}/{name}" for name in ("predictions.csv", "curve.csv")}
