"""The commands: what each does, its own words, and the settings that people change.

Help, hints for typing errors and docs/settings.md read this registry. All commands take all
settings, by the same names; a command's own words are those that no other has use for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mcalc.config.schema import Config


@dataclass(frozen=True)
class Word:
    """An argument `name=value` of one command."""

    doc: str
    """What it does, in one line."""
    kind: Literal["bool", "text", "path", "choice"] = "text"
    choices: tuple[str, ...] = ()
    """Of kind choice: its values."""
    default: str | None = None
    """As typed; None for nothing."""
    alias: str = ""
    """The setting that it stands for. It is kept for commands written before, and not shown."""


@dataclass(frozen=True)
class Command:
    """A command, as `python -m mcalc.train` or `mcalc train`."""

    name: str
    module: str
    """Has the function `run(line)`, which returns the exit status."""
    line: str
    """What it does, in one line."""
    usage: str
    """The arguments."""
    text: str
    """What it does, for help."""
    settings: tuple[str, ...]
    """Those of the settings that people change with it."""
    examples: tuple[str, ...]
    words: Mapping[str, Word] = field(default_factory=dict)
    actions: Mapping[str, str] = field(default_factory=dict)
    """What its first argument may be, with what it does; further arguments are names."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """Flags beside --help."""
    groups: bool = True
    """Whether help shows the groups of `conf/`."""
    after_interrupt: str = ""
    """What to say after Ctrl-C."""


@dataclass(frozen=True)
class Line:
    """A command line, checked as far as it can be without reading data or records."""

    config: Callable[[], Config] = field(compare=False)
    """Composes the settings. Raises UserError for anything wrong in them."""
    overrides: tuple[str, ...] = ()
    """Settings as `key=value` in Hydra's grammar, each key once."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """The command's own words, all of them: a bool, a Path, text, or None where there is none."""
    action: str = ""
    """The first argument of a command that has actions."""
    names: tuple[str, ...] = ()
    """Further arguments of a command that has actions."""
    flags: frozenset[str] = frozenset()


_PLACES = ("tracking.dir", "tracking.uri", "storage")


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TRAIN = Command(
    name="train",
    after_interrupt="; the same command resumes where this one stopped",
    module="mcalc.train",
    line="train one trial, or with -m a sweep of many",
    usage="[-m] [KEY=VALUE ...]",
    text=(
        "Train one trial and record it; with -m, all trials that comma lists or a file of sweeps/ "
        "make. The same command given again skips what is finished and resumes what was stopped. "
        "from_run runs a recorded trial again: exit status 0 where all numbers are equal, 1 where "
        "one differs."
    ),
    flags={
        "-m": "run a sweep: the product of comma lists, or sweep=NAME",
        "--cfg job": "print the settings of the trial and run nothing",
    },
    settings=_names(
        "data.root data.region data.unit backbone.weights backbone.on_missing_weights "
        "head.weight_lr head.bias_lr head.weight_l2 trainer.lr trainer.batch_size "
        "trainer.max_epochs trainer.max_iterations trainer.val_every stopping.patience "
        "stopping.network protocol.validation seed name sweep dry_run rerun from_run"
    )
    + _PLACES,
    examples=(
        "python -m mcalc.train backbone=alexnet head.weight_lr=15 stopping.patience=15",
        "python -m mcalc.train -m backbone=alexnet,googlenet head.weight_lr=1,10,15,20",
        "python -m mcalc.train -m sweep=alexnet protocol=patient dry_run=true",
    ),
)

DATA = Command(
    name="data",
    module="mcalc.data.command",
    line="index a data set and check it, or check anybody's split",
    usage="[data=NAME data.root=PATH | check_split=FILE] [KEY=VALUE ...]",
    text=(
        "Index a data set and check it: counts against the published ones, and a ledger of every "
        "defect, ledger.csv in data.cache. Exit status 0: complete enough; 2: not, or a mistake. "
        "With check_split=FILE: who stands on both sides of a split that anybody made. Exit status "
        "0: clean; 1: leakage; 2: a mistake, or rows that cannot be compared."
    ),
    words={
        "pixels": Word(
            "decode every image that data.region needs, as training does",
            kind="bool",
            default="false",
        ),
        "split_to": Word("write the split that protocol= and seed= make, as CSV", kind="path"),
        "check_split": Word("CSV of a split to check, or one for each part: train.csv,test.csv"),
        "id": Word("with check_split: the column that names images"),
        "label": Word("with check_split: the column of labels"),
        "split": Word("with check_split: the column that says which part a row belongs to"),
        "patient": Word("with check_split: the column of patients"),
        "parts": Word("with check_split: what its values mean: 0:train,1:test, or folds"),
    },
    settings=_names(
        "data.root data.csv_dir data.csv_split data.labels data.region data.unit "
        "data.min_completeness data.benign_without_callback data.cache protocol.held_out seed"
    ),
    examples=(
        "python -m mcalc.data data=folder data.root=PATH data.labels=labels.csv pixels=true",
        "python -m mcalc.data data=cbis_ddsm data.root=PATH protocol=patient split_to=split.csv",
        "python -m mcalc.data check_split=split.csv id=image_path split=set",
    ),
)

SWEEP = Command(
    name="sweep",
    module="mcalc.sweep.command",
    line="look at recorded sweeps without running any",
    usage="COMMAND [SWEEP ...] [KEY=VALUE ...]",
    text=(
        "Look at recorded sweeps without running any. Exit status 0: all is well; 1: the stores "
        "differ; 2: a mistake."
    ),
    actions={
        "list": "recorded sweeps, with their trials by state",
        "check": "compare both stores, and each run with what it was (default: every sweep)",
        "show": "figures: best, mean and SD over seeds, importance of parameters",
        "url": "address of Optuna's store, as optuna-dashboard takes it",
        "pause": "let all workers of the sweeps named stop on a checkpoint, wherever they run",
        "cancel": "as pause, and close open runs as interrupted and delete waiting jobs",
        "resume": "lift a pause or cancel; the command that ran the sweep then continues it",
        "space": "what files take below tracking.dir and data.cache, and which can go",
        "remove": "say what the sweeps named hold in both stores; with confirm=true, remove it",
        "send": "send to the tracking server the runs that it did not take while it was away",
    },
    words={
        "repair": Word(
            "with check: mend what can be, after copying the stores aside",
            kind="bool",
            default="false",
        ),
        "confirm": Word(
            "with remove: do it, and not only say what it would do",
            kind="bool",
            default="false",
        ),
    },
    settings=(*_PLACES, "storage_wait"),
    examples=(
        "python -m mcalc.sweep check alexnet tracking.dir=mlruns",
        "python -m mcalc.sweep check repair=true",
        "python -m mcalc.sweep pause alexnet storage=postgresql+psycopg://USER@HOST/NAME",
    ),
    groups=False,
)

_OPERATING_POINT = Word(
    "threshold fixed on validation: youden, or sensitivity (at least 0.90)",
    kind="choice",
    choices=("youden", "sensitivity"),
    default="youden",
)

REPORT = Command(
    name="report",
    module="mcalc.report.command",
    line="print the tables and write the report, from what is recorded",
    usage="[table=NUMBER] [out=FOLDER] [KEY=VALUE ...]",
    text=(
        "Print tables and write pages of every recorded sweep: the paper's Tables 1 to 6 beside "
        "ours, and for any other sweep what varies and what came out. With sweep=NAME of that "
        "sweep alone; trials named as the paper's rows fill its tables."
    ),
    words={
        "table": Word(
            "1, 2, 5, 6, discipline: that table alone; 3, 4: the page with the figures",
            kind="choice",
            choices=("1", "2", "3", "4", "5", "6", "discipline", "all"),
            default="all",
        ),
        "out": Word("folder to write to", kind="path", default="report"),
        "alexnet": Word("sweep whose newest recording fills AlexNet's rows", default="alexnet"),
        "googlenet": Word(
            "sweep whose newest recording fills GoogLeNet's rows", default="googlenet"
        ),
        "intervals": Word(
            "clustered: by patient; independent: each lesion by itself",
            kind="choice",
            choices=("clustered", "independent"),
            default="clustered",
        ),
        "operating_point": _OPERATING_POINT,
        "heat_maps": Word(
            "compute heat maps of each trial's network, seconds each", kind="bool", default="false"
        ),
        "against": Word(
            "CSV of id,probability: another's predictions to compare with",
            kind="path",
        ),
        "package": Word(
            "a .zip with predictions, tables, figures, and a script that checks them",
            kind="path",
        ),
        "dir": Word("folder of the record", alias="tracking.dir"),
    },
    settings=("sweep", "tracking.dir", "tracking.uri", "data.csv_dir"),
    examples=(
        "python -m mcalc.report table=1 tracking.dir=mlruns out=report",
        "python -m mcalc.report alexnet=mine tracking.uri=http://HOST:5000",
        "python -m mcalc.report sweep=seeds heat_maps=true package=seeds.zip",
    ),
    groups=False,
)

PAPER = Command(
    name="paper",
    module="mcalc.paper.command",
    line="audit the paper by its own numbers",
    usage="[data.csv_dir=PATH]",
    text=(
        "Audit the paper by its own numbers: how far its rows spread without any change of rates, "
        "whether its tables agree, and where 901 reported images may come from. The four case CSVs "
        "of CBIS-DDSM are needed for the last; without them the rest is printed."
    ),
    settings=("data.csv_dir", "data.root"),
    examples=(
        "python -m mcalc.paper",
        "python -m mcalc.paper data.csv_dir=PATH",
        "python -m mcalc.paper data.root=/path/to/CBIS-DDSM",
    ),
    groups=False,
)

WEIGHTS = Command(
    name="weights",
    module="mcalc.weights",
    line="check a file of weights, and convert it",
    usage="backbone=NAME backbone.weights=FILE [to=NEW.npz]",
    text=(
        "Check a file of pretrained weights as training does, print what it holds, and write it as "
        ".npz, which is read soonest and needs no other package. docs/weights.md says where such "
        "files are. Exit status 0: the file fits the network; 2: not, or a mistake."
    ),
    words={"to": Word("write the weights to this .npz file", kind="path")},
    settings=("backbone.weights",),
    examples=(
        "python -m mcalc.weights backbone=alexnet_bvlc backbone.weights=bvlcalexnet-12.onnx",
        "python -m mcalc.weights backbone=googlenet_bvlc backbone.weights=g.onnx to=g.npz",
        "python -m mcalc.weights backbone=googlenet_bvlc backbone.weights=weights",
    ),
)

PREDICT = Command(
    name="predict",
    module="mcalc.predict.command",
    line="use trained networks of the record on other images",
    usage="run=NAME[,NAME ...] input=PATH | data=NAME data.root=PATH",
    text=(
        "Say how likely each image is malignant, by networks of the record. Images are prepared as "
        "the record says, whatever the settings are now. With labels=, or a data set as data=cmmd, "
        "the figures of the report are printed too. Research software, no medical device. Exit "
        "status 0: every image was used; 1: some could not be; 2: a mistake."
    ),
    words={
        "run": Word("a trial's name, SWEEP/NAME or run id; several by commas are an ensemble"),
        "input": Word("image files or folders: DICOM, JPEG, PNG; several by commas"),
        "labels": Word("CSV of path,label,patient of the images in input=", kind="path"),
        "to": Word("file to write; without it the table is printed", kind="path"),
        "output": Word(
            "csv, jsonl (an object a line), dicom (to= is a folder); auto goes by to=",
            kind="choice",
            choices=("auto", "csv", "jsonl", "dicom"),
            default="auto",
        ),
        "heat_maps": Word("folder for pictures of where the network looks", kind="path"),
        "best": Word("with run=SWEEP: so many of its networks, by validation AUC"),
        "ensemble": Word(
            "of several networks: mean of log odds, or greedy by validation log loss",
            kind="choice",
            choices=("mean", "greedy"),
            default="mean",
        ),
        "operating_point": _OPERATING_POINT,
    },
    settings=_names(
        "tracking.dir tracking.uri data.root data.pixel_size data.cache backbone.weights "
        "trainer.accelerator"
    ),
    examples=(
        "python -m mcalc.predict run=AL3 input=lesion.dcm",
        "python -m mcalc.predict run=alexnet best=3 input=folder to=predictions.csv",
        "python -m mcalc.predict run=GL1 data=cmmd data.root=PATH to=cmmd.jsonl",
    ),
    groups=False,
)

EXPORT = Command(
    name="export",
    module="mcalc.export",
    line="write a trained network as ONNX, or register it in MLflow",
    usage="run=NAME to=FILE.onnx | registry=NAME [alias=NAME]",
    text=(
        "Write a trained network of the record as ONNX (fp32, any batch, normalisation included), "
        "or make it a version of a model in MLflow's registry, which mlflow models serve serves. "
        "docs/predict.md says how images are prepared for either."
    ),
    words={
        "run": Word("a trial's name, SWEEP/NAME, run id or models:/NAME@ALIAS"),
        "to": Word("the .onnx file to write", kind="path"),
        "registry": Word("name of the registered model"),
        "alias": Word("with registry: a name for this version, as champion"),
        "operating_point": _OPERATING_POINT,
    },
    settings=("tracking.dir", "tracking.uri", "backbone.weights"),
    examples=(
        "python -m mcalc.export run=AL3 to=al3.onnx",
        "python -m mcalc.export run=alexnet/AL3 registry=calcifications alias=champion",
        "python -m mcalc.export run=models:/calcifications@champion to=champion.onnx",
    ),
    groups=False,
)

COMMANDS = {
    command.name: command
    for command in (TRAIN, DATA, SWEEP, REPORT, PREDICT, EXPORT, PAPER, WEIGHTS)
}
"""By name."""
