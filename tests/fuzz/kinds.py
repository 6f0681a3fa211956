"""The kinds of input that come from outside: files to damage, and how mcalc reads them."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
import torch
from caffe_files import blob, layer, network, v1_layer
from fuzz.mutations import BINARY, PNG, TEXT, ZIP, Damage
from onnx_files import Graph
from PIL import Image, PngImagePlugin
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from tiny_training import PowerCut, PowerCutError, train
from torch import nn

from mcalc.config import DataConfig, ProtocolName
from mcalc.config.compose import compose_config
from mcalc.data.images import read_header, read_image
from mcalc.data.images.image_file import pixel_spacing
from mcalc.data.phantom.download import write_phantom
from mcalc.data.sources import open_source
from mcalc.data.splits import Sample, read_split, write_split
from mcalc.data.splits.protocols import make_split
from mcalc.models.local_response_norm import LocalResponseNorm
from mcalc.models.weights import load_file
from mcalc.sweep.planning import make_plans
from mcalc.training import resolved
from mcalc.training.checkpoint import CheckpointFile
from mcalc.training.validation import Checkpointing


@dataclass(frozen=True)
class Kind:
    """Files of one kind."""

    name: str
    suffix: str
    whole: Callable[[], list[bytes]]
    """Files that are read without an error."""
    ways: tuple[Damage, ...]
    read: Callable[[Path], bool]
    """Whether something was noted in a ledger. Raises UserError, or ValueError for a checkpoint."""


def _scene(bits: int = 16) -> npt.NDArray[np.uint16]:
    y, x = np.mgrid[0:48, 0:64]
    shown = 0.5 + 0.3 * np.sin(x / 6) * np.cos(y / 9)
    return np.rint(shown * (2**bits - 1)).astype(np.uint16)


def _dicom(syntax: uid.UID, frame: bytes | None, explicit: bool = True, **more: object) -> bytes:
    dataset, pixels = Dataset(), _scene(12)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID, dataset.SOPInstanceUID = uid.SecondaryCaptureImageStorage, "1.2.3"
    dataset.SeriesDescription = "cropped images"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.NumberOfFrames = 1, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelSpacing = [0.1, 0.1]
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = encapsulate([frame]) if frame else pixels.tobytes()
    dataset["PixelData"].VR = "OB" if frame else "OW"
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


@cache
def _dicoms() -> list[bytes]:
    scene = _scene(12)
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [4096, 0, 12])
    lut.add_new("LUTData", "US", list(range(4096)))
    plain = [
        _dicom(uid.ImplicitVRLittleEndian, None, WindowCenter=2000, WindowWidth=1500),
        _dicom(uid.ExplicitVRLittleEndian, None, VOILUTSequence=Sequence([lut])),
        _dicom(uid.ExplicitVRLittleEndian, None, RescaleSlope=2, RescaleIntercept=-1024,
               PixelPaddingValue=0, WindowCenter=[1, 2], WindowWidth=[900, 8]),
        _dicom(uid.ExplicitVRLittleEndian, None, PixelRepresentation=1, BitsStored=15, HighBit=14),
        _dicom(uid.DeflatedExplicitVRLittleEndian, None),
    ]  # fmt: skip
    frames = {
        uid.JPEG2000Lossless: imagecodecs.jpeg2k_encode(
            scene, codecformat="J2K", level=0, bitspersample=12
        ),
        uid.JPEGLSLossless: imagecodecs.jpegls_encode(scene),
        uid.JPEGLosslessSV1: imagecodecs.jpeg8_encode(scene, lossless=True, bitspersample=12),
        uid.JPEGExtended12Bit: imagecodecs.jpeg8_encode(scene, level=95, bitspersample=12),
        uid.HTJ2KLossless: imagecodecs.htj2k_encode(scene, reversible=True),
    }
    rle = pydicom.dcmread(io.BytesIO(plain[0]))
    rle.compress(uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    out = io.BytesIO()
    rle.save_as(out)
    return [*plain, out.getvalue(), *(_dicom(*each) for each in frames.items())]


def _image(path: Path) -> bool:
    read_header(path)
    pixel_spacing(path)
    read_image(path)
    return False


@cache
def _jpegs() -> list[bytes]:
    made = []
    exif = Image.Exif()
    exif[0x0112] = 6
    for options in ({}, {"progressive": True}, {"exif": exif}, {"subsampling": 2}):
        out = io.BytesIO()
        grey = Image.fromarray((_scene(8)).astype(np.uint8))
        (grey.convert("RGB") if "subsampling" in options else grey).save(out, "JPEG", **options)
        made.append(out.getvalue())
    return made


@cache
def _pngs() -> list[bytes]:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 2_000, zip=True)
    made = []
    for image, options in (
        (Image.fromarray(_scene(16)), {}),
        (Image.fromarray(_scene(8).astype(np.uint8)), {"pnginfo": text}),
        (Image.fromarray(_scene(8).astype(np.uint8)).quantize(16), {"transparency": 3}),
        (Image.fromarray(_scene(8).astype(np.uint8)).convert("RGBA"), {}),
    ):
        out = io.BytesIO()
        image.save(out, "PNG", **options)
        made.append(out.getvalue())
    return made


@cache
def _phantom() -> Path:
    """A download of eight lesions, below the working folder."""
    root = Path("phantom").resolve()
    if not (root / "csv").is_dir():
        config = compose_config(["data.phantom.lesions=8", "data.phantom.full_height=256"])
        write_phantom(root, config.data.phantom)
    return root


def _case_tables() -> list[bytes]:
    return [path.read_bytes() for path in sorted(_phantom().rglob("*case_description*.csv"))]


def _case_table(path: Path) -> bool:
    # a folder of its own, as all tables of a folder are read
    folder = path.parent / f"{path.stem}.tables"
    folder.mkdir(exist_ok=True)
    path.replace(folder / "calc_case_description_train_set.csv")
    data = DataConfig(source="cbis_ddsm", root=str(_phantom()), csv_dir=str(folder))
    return bool(open_source(data).ledger)


def _images() -> Path:
    root = Path("images").resolve()
    if not root.is_dir():
        root.mkdir()
        for name in ("a", "b", "c", "d"):
            (root / f"{name}.png").write_bytes(_pngs()[0])
    return root


def _labels() -> list[bytes]:
    return [
        b"path,label,patient\na.png,benign,p1\nb.png,malignant,p2\nc.png,0,p3\nd.png,1,p4\n",
        b"path;label;patient;side;view;image;split\na.png;benign;p1;LEFT;CC;i;train\n"
        b"b.png;malignant;p2;RIGHT;MLO;j;test\n",
    ]


def _label_table(path: Path) -> bool:
    data = DataConfig(source="folder", root=str(_images()), labels=str(path))
    return bool(open_source(data).ledger)


_SAMPLES = [Sample(f"lesion {i}", i, i % 2, f"patient {i}", f"lesion {i}") for i in range(8)]


@cache
def _splits() -> list[bytes]:
    parts = make_split(_SAMPLES, ProtocolName.patient, 0, [0, 1, 2, 3], [4, 5], [6, 7])
    write_split(Path("split.csv"), _SAMPLES, parts)
    return [Path("split.csv").read_bytes()]


def _split_file(path: Path) -> bool:
    read_split(path, _SAMPLES, ProtocolName.patient, 0, 0.5)
    return False


def _sweeps() -> list[bytes]:
    return [
        b"rows:\n  A: {head.weight_lr: 1, stopping.patience: 5}\n  B: {head.weight_lr: 10}\n",
        b"overrides: [backbone=squeezenet, backbone.weights=none]\ngrid:\n  head.weight_lr: [1, 10]"
        b"\n  head.bias_lr: [5, 0.5]\nseeds: [3, 4]\n",
        b"space:\n  head.weight_lr: {low: 1, high: 30, log: true}\n  backbone: [alexnet, googlenet]"
        b"\n  seed: {low: 0, high: 10, step: 2}\nsampler: tpe\npruner:\n  _target_: optuna.pruners."
        b"MedianPruner\n  n_startup_trials: 3\nbudget: {trials: 4, hours: 1.5}\nseeds: [0, 1]\n",
        b"rows:\n  A: &a {head.weight_lr: 1}\n  B: {<<: *a, seed: 1}\n",
    ]


def _sweep_file(path: Path) -> bool:
    path.replace(Path("sweeps") / f"{path.stem}.yaml")
    make_plans([f"sweep={path.stem}"], compose_config, resolved, lambda _: "fingerprint")
    return False


def _network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


@cache
def _weights() -> list[bytes]:
    state, made = _network().state_dict(), []
    for zipped in (True, False):
        out = io.BytesIO()
        torch.save(state, out, _use_new_zipfile_serialization=zipped)
        made.append(out.getvalue())
    return made


@cache
def _arrays() -> list[bytes]:
    state = {name: value.numpy() for name, value in _network().state_dict().items()}
    floats = {name: value for name, value in state.items() if value.dtype == np.float32}
    made = []
    for save in (np.savez, np.savez_compressed):
        out = io.BytesIO()
        save(out, **floats)
        made.append(out.getvalue())
    return made


def _weight_file(path: Path) -> bool:
    load_file(_network(), path, npz_key=lambda name: name)
    return False


class _Small(nn.Module):
    """A network whose steps are compared: two convolutions, a normalisation, a full layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1, groups=2)
        self.fc3 = nn.Linear(96, 5)
        self.lrn = LocalResponseNorm(5, 1e-4, 1.0)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv2(self.pool(self.lrn(self.conv1(x).relu()))).relu()
        made: torch.Tensor = self.fc3(x.flatten(1))
        return made


@cache
def _small_arrays() -> dict[str, npt.NDArray[np.float32]]:
    return {name: value.numpy() for name, value in _Small().state_dict().items()}


@cache
def _onnx_files() -> list[bytes]:
    arrays, made = _small_arrays(), []
    for split in (False, True):
        graph = Graph()
        x = graph.conv("data_0", "conv1", arrays["conv1.weight"], arrays["conv1.bias"], stride=2)
        x = graph.pool(graph.lrn(graph.relu(x)))
        second = arrays["conv2.weight"], arrays["conv2.bias"]
        if split:
            x = graph.split_conv(x, "conv2", *second, pad=1)
        else:
            x = graph.conv(x, "conv2", *second, pad=1, group=2)
        x = graph.flat(graph.relu(x), 96)
        x = graph.gemm(x, "fc3", arrays["fc3.weight"], arrays["fc3.bias"], turned=split)
        path = Path("whole.onnx")
        made.append(graph.save(path, x, 19, 5, old=split).read_bytes())
    return made


@cache
def _caffe_files() -> list[bytes]:
    arrays, made = _small_arrays(), []
    for write in (layer, v1_layer):
        layers = [
            write(
                name, kind,
                [blob(arrays[f"{name}.{part}"], legacy=write is v1_layer)
                 for part in ("weight", "bias")],
                bottom, name,
            )
            for name, kind, bottom in (
                ("conv1", "Convolution", "data"), ("conv2", "Convolution", "pool1"),
                ("fc3", "InnerProduct", "conv2"),
            )
        ]  # fmt: skip
        layers.insert(1, write("norm1", "LRN", (), "conv1", "norm1"))
        layers.insert(2, write("pool1", "Pooling", (), "norm1", "pool1"))
        made.append(network(layers))
    return made


def _small_network_file(path: Path) -> bool:
    load_file(_Small(), path, npz_key=str)
    return False


def _checkpoint_file(path: Path) -> bool:
    CheckpointFile(path).load()
    return False


@cache
def _checkpoints() -> list[bytes]:
    """What a training run that was cut off has left."""
    file = CheckpointFile(Path("checkpoint.pth"))
    with suppress(PowerCutError):
        train([2, None], checkpointing=Checkpointing(file, minutes=1e-9), listener=PowerCut(6))
    return [file.path.read_bytes()]


KINDS = {
    kind.name: kind
    for kind in (
        Kind("dicom", ".dcm", _dicoms, BINARY, _image),
        Kind("jpeg", ".jpg", _jpegs, BINARY, _image),
        Kind("png", ".png", _pngs, PNG, _image),
        Kind("case table", ".csv", _case_tables, TEXT, _case_table),
        Kind("label table", ".csv", _labels, TEXT, _label_table),
        Kind("split file", ".csv", _splits, TEXT, _split_file),
        Kind("sweep file", ".yaml", _sweeps, TEXT, _sweep_file),
        Kind("weights", ".pth", _weights, ZIP, _weight_file),
        Kind("arrays", ".npz", _arrays, ZIP, _weight_file),
        Kind("caffe", ".caffemodel", _caffe_files, BINARY, _small_network_file),
        Kind("onnx", ".onnx", _onnx_files, BINARY, _small_network_file),
        Kind("checkpoint", ".pth", _checkpoints, ZIP, _checkpoint_file),
    )
}
