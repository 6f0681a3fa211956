"""What commands print on a terminal of 80 columns, and on one of 120."""

from __future__ import annotations

import io
import os
import pty
import re
import selectors
import struct
import termios
from collections.abc import Mapping
from fcntl import ioctl
from pathlib import Path

import processes
import pytest
from rich.console import Console
from small_network import SMALL_NETWORK

from mcalc.config import joined, short_name, short_title
from mcalc.console import Display, counting, format_time
from mcalc.line_breaks import wrapped

SMALL = (
    *SMALL_NETWORK, "data.phantom.lesions=16",
    "trainer.max_iterations=4", "trainer.val_every=2", "trainer.batch_size=4",
    "trainer.threads=1", "tracking.keep_models=none", "tracking.checkpoint_minutes=0",
)  # fmt: skip


def on_terminal(
    columns: int, folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit status and output of a command on a terminal so wide, without its control sequences."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    surroundings = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES"):
        surroundings.pop(name, None)
    surroundings |= environment or {}
    terminal = Path(os.ttyname(its))
    process = processes.start(*arguments, folder=folder, environment=surroundings, log=terminal)
    written = b""
    with selectors.DefaultSelector() as output:
        output.register(ours, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            if output.select(0.1):
                written += os.read(ours, 1 << 16)
            elif ended:
                break
    os.close(its)
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode().replace("\r\n", "\n"))
    return process.wait(), text


def lines(text: str) -> list[str]:
    """What stays on the screen: the last of what was written over in a line."""
    return [line.rpartition("\r")[2] for line in text.split("\n")]


def test_a_line_is_broken_between_words_alone_and_a_long_path_stays_whole() -> None:
    path = "/a/" + "long/" * 30
    text = f"  warning: {path} is not what it was, as somebody moved the folder to another place"
    made = wrapped(text, 40)
    assert path in made.split()
    assert made.split() == text.split()
    assert all(len(line) <= 40 for line in made.splitlines() if path not in line)
    assert {line[:4] for line in made.splitlines()[1:]} == {"    "}


def test_names_made_of_settings_are_shown_short_and_others_as_they_are() -> None:
    assert (
        short_name("backbone=alexnet, head.weight_lr=10, seed=0") == "alexnet, weight_lr=10, seed=0"
    )
    # two keys that end alike keep their sections
    assert short_name("seed=0, protocol.seed=1") == "seed=0, protocol.seed=1"
    assert short_name("AL1, seed=0") == "AL1, seed=0"
    assert short_name("#3") == "#3"
    assert short_title("backbone x head.weight_lr") == "backbone x weight_lr"
    assert joined(["AL5", "AL6", "AL7"]) == "AL5 + AL6 + AL7"
    assert joined([f"AL{i}" for i in range(1, 11)]) == "AL1 + AL2 + AL3 + 7 more"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (40, "40 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (12_000, "3 h 20 min"),
        (183_600, "2 d 3 h"),
    ],
)
def test_times_have_one_format(seconds: float, text: str) -> None:
    assert format_time(seconds) == text


@pytest.mark.whole
@pytest.mark.slow
def test_a_sweep_breaks_no_word_warns_once_and_ends_with_what_to_do_next(tmp_path: Path) -> None:
    # of a head alone, which is quick: what is printed is the same
    sweep = ("mcalc.train", "-m", *SMALL, "sweep=alexnet", "backbone.freeze=all")
    for columns in (80, 120):
        status, planned = on_terminal(columns, tmp_path, *sweep, "dry_run=true")
        assert status == 0, planned
        shown = [line for line in lines(planned) if line.startswith("  AL5: ")]
        assert shown == ["  AL5: patience=10, weight_lr=20, bias_lr=30, weight_l2=1"]
        assert "AL5 (new) + AL6 (new) + AL7 (new) + AL10 (new) share one run" in planned
    for columns in (80, 120):
        status, printed = on_terminal(columns, tmp_path, *sweep, "rerun=true")
        assert status == 0, printed
        ends_with_what_to_do_next(columns, printed)
        status, printed = on_terminal(columns, tmp_path, "mcalc.report")
        assert status == 0, printed
        assert all(len(line) <= columns for line in lines(printed)), printed
        after = " ".join(printed.split()).partition("next: ")[2]
        assert after == "open report/index.html in a browser, or `make ui`"


def ends_with_what_to_do_next(columns: int, printed: str) -> None:
    assert all(len(line) <= columns for line in lines(printed)), printed
    flat = " ".join(" ".join(lines(printed)).split())
    assert flat.count("synthetic data (phantoms): nothing here says anything about real") == 1
    assert flat.count("the network is not pretrained: backbone.weights=none") == 1
    assert "AL1: accuracy 0." in flat
    table = printed[printed.index("in the plan's order") :]
    names = re.findall(r"^  (AL\d+) ", table, re.MULTILINE)
    assert names == [f"AL{number}" for number in range(1, 11)]
    assert len(re.findall(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", table)) == 10
    *_, place, after = (line for line in lines(printed) if line.strip())
    assert place.startswith("recorded in mlruns as sweep alexnet")
    assert after == "next: `python -m mcalc.report`, or `make ui`"


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize(
    "note",
    ["", "loss 0.693", "loss 0.693, recorded beside the next", "loss 0.693 " * 20],
    ids=["none", "short", "long", "longest"],
)
def test_the_note_alone_gives_way_where_the_terminal_is_narrow(columns: int, note: str) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=columns)
    display = Display(screen)
    for title, done, total, said in (
        ("weight_lr=10, seed=1", 4, 4000, note),
        ("weight_lr x seed", 1, 4, ""),
    ):
        display.update(display.add(title, None), done, said, total)
    screen.print(display.bars.get_renderable())
    shown = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in screen.file.getvalue().splitlines()]
    assert [len(line) for line in shown] == [columns, columns]
    run, sweep = (re.split("[━╸╺]+", line) for line in shown)
    assert (run[0].strip(), sweep[0].strip()) == ("weight_lr=10, seed=1", "weight_lr x seed")
    done, left, *said = run[1].split(maxsplit=2)
    assert (done, left) == ("4/4000", "-:--:--")
    assert sweep[1].split()[0] == "1/4"
    beside = "".join(said).strip()
    assert beside == note or (beside.endswith("…") and note.startswith(beside[:-1]))


@pytest.mark.parametrize("columns", [44, 46, 50, 57])
@pytest.mark.parametrize("name", ["head.weight_lr=15, stopping.patience=5", "AL10"])
def test_the_count_and_the_estimate_stay_whole_where_the_terminal_is_narrower(
    columns: int, name: str
) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=columns)
    display = Display(screen)
    display.update(display.add(name, None), 9000, "loss 0.693", 12345)
    screen.print(display.bars.get_renderable())
    (shown,) = re.sub(r"\x1b\[[0-9;]*m", "", screen.file.getvalue()).splitlines()
    title, figures = (part.strip() for part in re.split("[━╸╺]+", shown))
    assert len(shown) == columns
    assert title == name or (title.endswith("…") and name.startswith(title[:-1]))
    assert figures.split()[:2] == ["9000/12345", "-:--:--"]


def test_a_terminal_that_cannot_write_over_a_line_gets_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("mcalc.console.QUIET_SECONDS", 0.0)
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    with counting(screen, "preparing images") as count:
        for done in (1, 2):
            count(done, 2)
    said = screen.file.getvalue().splitlines()
    assert said == ["preparing images: 2", "preparing images: 1 of 2", "preparing images: 2 of 2"]


def test_a_width_of_nought_is_none_that_anybody_knows(tmp_path: Path) -> None:
    status, printed = on_terminal(80, tmp_path, "mcalc.sweep", "list", environment={"COLUMNS": "0"})
    assert status == 2
    assert "no sweep is recorded" in printed
    assert "Traceback" not in printed


@pytest.mark.whole
@pytest.mark.slow
def test_the_title_and_the_bar_of_a_sweep_stay_visible_at_80_columns(tmp_path: Path) -> None:
    status, printed = on_terminal(
        80, tmp_path, "mcalc.train", "-m", *SMALL, "head.weight_lr=1,10", "seed=0,1"
    )
    assert status == 0, printed
    bars = [part for line in printed.split("\n") for part in line.split("\r") if "━" in part]
    assert all(len(bar.rstrip()) <= 80 for bar in bars)
    trials = {f"weight_lr={rate}, seed={seed}" for rate in (1, 10) for seed in (0, 1)}
    titles = {re.split("[━╸╺]", bar)[0].strip() for bar in bars}
    assert "weight_lr x seed" in titles
    assert titles <= {"weight_lr x seed", *trials, "preparing images"}


def test_a_weight_file_that_is_not_there_is_said_before_anything_is_recorded(
    tmp_path: Path,
) -> None:
    status, printed = on_terminal(
        80, tmp_path,
        "mcalc.train", "-m", *SMALL, "backbone.weights=nowhere.npz", "seed=0,1",
    )  # fmt: skip
    assert status == 2
    assert "backbone.weights=nowhere.npz: no such file" in printed
    assert not (tmp_path / "mlruns").exists()
