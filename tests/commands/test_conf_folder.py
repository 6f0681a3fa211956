"""`conf/` of the working directory is searched before the one that comes with mcalc."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import processes
import pytest

from mcalc.config.compose import CONF_DIR, choices, compose_config, conf_folders
from mcalc.errors import UserError
from mcalc.train import main


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The group `backbone` of a working directory, with one file."""
    folder = tmp_path / "my work (2)" / "conf" / "backbone"
    folder.mkdir(parents=True)
    (folder / "mynet.yaml").write_text(
        "defaults: [squeezenet, _self_]\nweights: none\nweight_lr: 0.25\n"
    )
    monkeypatch.chdir(folder.parents[1])
    return folder


def test_a_choice_of_ones_own_is_composed_beside_the_shipped(own: Path) -> None:
    config = compose_config(["backbone=mynet"])
    assert (config.backbone.name, config.backbone.weight_lr) == ("squeezenet", 0.25)
    assert {"mynet", "alexnet"} <= set(choices("backbone"))
    assert compose_config(["backbone=alexnet"]).backbone.name == "alexnet"


def test_ones_own_file_comes_before_the_shipped_of_its_name(own: Path) -> None:
    (own / "alexnet.yaml").write_text("name: alexnet\nbias_lr: 7\n")
    assert compose_config(["backbone=alexnet"]).backbone.bias_lr == 7


def test_values_are_text_or_numbers_as_their_keys_are(own: Path) -> None:
    (own / "mynet.yaml").write_text(
        "defaults: [squeezenet, _self_]\nweights: 010\nweight_lr: 1e-3\nbias_lr: 010\n"
    )
    (own.parent / "train.yaml").write_text(
        (CONF_DIR / "train.yaml").read_text() + "name: 2026-01-01\nseed: 010\ndata: {root: no}\n"
    )
    config = compose_config(["backbone=mynet"])
    network = config.backbone
    assert (network.weights, network.weight_lr, network.bias_lr) == ("010", 0.001, 10.0)
    assert (config.name, config.seed, config.data.root) == ("2026-01-01", 10, "no")


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_no_file_is_named(own: Path, kind: str) -> None:
    bad = own / "bad.yaml"
    if kind == "folder":
        bad.mkdir()
    elif kind == "link":
        bad.symlink_to("nothing")
    else:
        os.mkfifo(bad)
    with pytest.raises(UserError, match=rf"conf/backbone/bad\.yaml.* is a {kind}"):
        compose_config(["backbone=bad"])


def test_train_takes_it(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["backbone=mynet", "--cfg", "job"])
    assert "weight_lr: 0.25" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.whole
def test_a_sweep_takes_it(own: Path) -> None:
    done = processes.run(
        "mcalc.train", "backbone=mynet,squeezenet", "-m", "dry_run=true", "backbone.weights=none",
        "data.phantom.lesions=24", "trainer.batch_size=4", folder=Path.cwd(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 trials in 2 training runs" in done.stdout
    assert "run 1: mynet (new)" in done.stdout


@pytest.mark.slow
@pytest.mark.whole
def test_a_recorded_sweep_takes_a_choice_that_was_added_later(own: Path) -> None:
    def sweep(backbones: str) -> str:
        done = processes.run(
            "mcalc.train", "-m", f"backbone={backbones}", "name=mine", "backbone.weights=none",
            "data.phantom.lesions=24", "trainer.batch_size=4", "trainer.max_iterations=2",
            "tracking.keep_models=none", folder=Path.cwd(),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    sweep("squeezenet,mynet")
    (own / "later.yaml").write_text("defaults: [squeezenet, _self_]\nweight_lr: 0.75\n")
    assert "1 finished, 1 to run" in sweep("mynet,later")


def test_the_checkouts_own_folder_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONF_DIR.parent)
    assert conf_folders() == [CONF_DIR]
    assert compose_config(["backbone=alexnet"]).backbone.name == "alexnet"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1\n", "conf/backbone/bad.yaml is not YAML: line 2"),
        (b"name: \xff\n", "conf/backbone/bad.yaml is not YAML: line 1"),
        (b"- a\n", "conf/backbone/bad.yaml: expected a mapping of keys to values"),
        (b"weight_rl: 1\n", "did you mean 'backbone.weight_lr'"),
        (b"weight_lr: ten\n", "backbone.weight_lr=ten is not understood: expected a number"),
        (b"weight_lr: -1\n", "backbone.weight_lr=-1.0 is out of range"),
        (b"defaults: [nothing]\n", "backbone=nothing: no such choice"),
        (
            b"weight_lr: 1\nweight_lr: 2\n",
            "conf/backbone/bad.yaml: key 'weight_lr' is given in line 1",
        ),
        (
            b"a: &a [1, 1, 1, 1, 1, 1, 1, 1]\nb: &b [*a, *a, *a, *a, *a, *a, *a]\n"
            b"c: &c [*b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c]\n"
            b"e: [*d, *d, *d, *d, *d, *d, *d]\n",
            "more than 10,000 keys",
        ),
        (b"weights: !!python/name:os.system\n", "conf/backbone/bad.yaml: line 1: the tag"),
    ],
)
def test_a_wrong_file_is_one_sentence(own: Path, content: bytes, said: str) -> None:
    (own / "bad.yaml").write_bytes(content)
    with pytest.raises(UserError) as raised:
        compose_config(["backbone=bad"])
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_other_programs_with_hydra_are_left_alone(own: Path) -> None:
    (own.parent / "app.yaml").write_text("x: 1\n")
    (own.parent.parent / "other").mkdir()
    (own.parent.parent / "other" / "app.yaml").write_text("x: 2\n")
    program = (
        "import hydra\n"
        "@hydra.main(config_path='other', config_name='app', version_base='1.3')\n"
        "def main(config): print(config.x)\n"
        "main()\n"
    )
    (own.parent.parent / "app.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "app.py"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "2\n"


def test_records_in_a_folder_of_each_job_are_refused(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["-m", "seed=1,2", "dry_run=true", "hydra.job.chdir=true"])
    assert end.value.code == 2
    assert "hydra.job.chdir=true would put each record" in capsys.readouterr().err
