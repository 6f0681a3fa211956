"""Sweeps other than the paper's: what varies, what came out, what has no result."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from recorded_sweeps import drawn, open_record, write_search, write_trial
from report_tables import column, with_predictions

from mcalc.config import TrackingConfig
from mcalc.evaluation import Estimate, Panel, interval_figure
from mcalc.report.__main__ import main
from mcalc.report.failures import begun_anew, failures_table
from mcalc.report.first_screen import described, panels, verdict
from mcalc.report.formats import NOT_RUN, rounded_name, typeset
from mcalc.report.rows import match
from mcalc.report.settings_views import importance_table, parallel, slices_figure
from mcalc.report.sweep_page import sweep_title
from mcalc.report.varying import sweep_of, sweep_table, varying
from mcalc.results import Artifacts, RecordedTrial
from mcalc.tracking import SINGLE_TRIALS, recorded_sweeps, unfinished_trials


def grid(trial, rates=(1, 10), seeds=(0,)) -> list[RecordedTrial]:
    """`backbone=a,b head.weight_lr=... seed=...`; weights follow from the backbone."""
    return [
        with_predictions(
            trial(
                f"backbone={backbone}, head.weight_lr={rate}, seed={seed}",
                params={
                    "backbone.name": backbone,
                    "backbone.weights": f"{backbone}.npz",
                    "head.weight_lr": rate,
                    "seed": seed,
                },
                run_id=f"{backbone}{rate}{seed}",
            ),
            drawn(0.5 + rate / 20, 100 * rate + seed),
        )
        for backbone in ("resnet18", "squeezenet")
        for rate in rates
        for seed in seeds
    ]


def test_only_what_varies_has_a_column(trial) -> None:
    assert varying(grid(trial)) == ("backbone.name", "head.weight_lr")
    assert varying(grid(trial)[:1]) == ()
    # a setting that no name has, and that does not follow from those that names have
    changed = [
        trial(f"head.weight_lr={rate}", params={"head.weight_lr": rate, "trainer.lr": lr})
        for rate, lr in ((1, 0.1), (1, 0.2), (2, 0.1))
    ]
    assert varying(changed) == ("trainer.lr", "head.weight_lr")


def test_every_setting_that_a_search_draws_has_a_column(trial) -> None:
    """A search numbers its trials, so that no name says what is drawn."""
    drawn_ones = [
        trial(
            f"#{number}",
            params={
                "backbone.name": backbone,
                "backbone.weights": f"{backbone}.npz",
                "head.weight_lr": 1.5 + number,
                "trainer.lr": 1e-4 / (1 + number),
                "trainer.batch_size": (8, 16, 8, 8, 16, 16)[number],
            },
        )
        for number, backbone in enumerate(("resnet18", "squeezenet") * 3)
    ]
    expected = ("backbone.name", "head.weight_lr", "trainer.lr", "trainer.batch_size")
    assert sorted(varying(drawn_ones)) == sorted(expected)


def test_a_numbered_trial_without_a_result_says_what_was_tried(trial) -> None:
    runs = [
        trial(f"#{i}", params={"head.weight_lr": float(i), "trainer.batch_size": 8 + i % 2})
        for i in range(4)
    ]
    lost = [replace(run, state="failed", artifacts=None) for run in runs[2:]]
    table = failures_table(lost, runs[:2])
    assert column(table, "settings") == ("batch_size=8, weight_lr=2", "batch_size=9, weight_lr=3")
    named = [replace(run, name=f"head.weight_lr={i}") for i, run in enumerate(lost)]
    assert "settings" not in [each.key for each in failures_table(named, runs[:2]).columns]


def test_a_trial_that_was_begun_anew_is_said_to_have_an_earlier_result(trial) -> None:
    runs = [trial("AL1"), trial("AL2")]
    lost = [replace(trial(name), run_id=f"new {name}", state="running") for name in ("AL2", "AL3")]
    table = failures_table(lost, runs)
    reasons = {row[0]: row[2] for row in table.rows}
    assert "restarted: the tables show its earlier result" in str(reasons["AL2"])
    assert "restarted" not in str(reasons["AL3"])
    assert "Of 1 of them" in table.notes[0]
    assert "others are in no other table" in table.notes[0]
    assert begun_anew(lost, runs) == lost[:1]
    said = verdict(runs, 1, 1).sentence
    assert "1 more ended without a result." in said
    assert "1 restarted, without a result yet" in said


def test_seeds_are_one_row_with_mean_and_sd(trial) -> None:
    table = sweep_table(sweep_of(grid(trial, seeds=(0, 1, 2))), "Title")
    assert column(table, "runs") == ("3",) * 4
    assert column(table, "head.weight_lr") == ("1", "10") * 2
    assert all(cell.startswith("SD ") for cell in column(table, "auc_interval"))
    alone = sweep_table(sweep_of(grid(trial)), "Title")
    assert "runs" not in [each.key for each in alone.columns]
    assert all("–" in cell for cell in column(alone, "accuracy_interval"))


def test_rows_of_drawn_settings_are_numbered_and_named_in_the_csv(trial) -> None:
    names = [
        f"trainer.lr={0.1 / 3**i}, head.weight_lr={7.0 / 3}, trainer.batch_size=32"
        for i in range(3)
    ]
    trials = [trial(n, params={"trainer.lr": 0.1 / 3**i}, run_id=n) for i, n in enumerate(names)]
    table = sweep_table(sweep_of(trials), "Title")
    assert column(table, "name") == ("#1", "#2", "#3")
    assert column(table, "trials") == tuple(names)
    assert rounded_name(names[1]) == (
        "trainer.lr=0.03333, head.weight_lr=2.333, trainer.batch_size=32"
    )


def test_a_setting_that_an_older_record_lacks_is_a_dash(trial) -> None:
    new = grid(trial)[0]
    older = replace(
        new,
        name="backbone=resnet18, head.weight_lr=10",
        params={key: value for key, value in new.params.items() if key != "head.weight_lr"},
        run_id="older",
    )
    assert column(sweep_table(sweep_of([new, older]), "Title"), "head.weight_lr") == ("1", NOT_RUN)


def test_rows_that_differ_in_no_setting_say_so(trial) -> None:
    said = "No recorded setting that changes numbers differs between these rows."
    same = [trial("one"), trial("other")]
    assert said in sweep_table(sweep_of(same), "Title").notes
    assert said not in sweep_table(sweep_of(same[:1]), "Title").notes
    assert said not in sweep_table(sweep_of(grid(trial)), "Title").notes


def test_the_best_of_several_on_the_reported_set_is_never_called_chosen(trial) -> None:
    said = verdict(grid(trial), without_result=2)
    assert said.sentence.startswith("4 networks: AUC from 0.")
    assert said.sentence.endswith("2 more ended without a result.")
    assert said.choice.startswith("None is chosen: ")
    assert "is expected by chance" in said.choice
    assert "best" not in said.sentence + said.choice


def test_a_configuration_is_chosen_where_nothing_is_reported(trial) -> None:
    trials = [
        replace(each, artifacts=Artifacts(each.predictions, validation=drawn(skill, 1, "V")))
        for each, skill in zip(grid(trial), (0.1, 0.2, 3.0, 0.3), strict=True)
    ]
    said = verdict(trials)
    assert "backbone=squeezenet, head.weight_lr=1, AUC" in said.choice
    assert sweep_of(trials).rows[0].rank == 1


def test_where_one_class_alone_is_reported_no_auc_is_said_or_drawn(trial) -> None:
    predictions = drawn(1.0, 0)
    benign = replace(predictions, labels=np.zeros_like(predictions.labels))
    trials = [with_predictions(each, benign) for each in grid(trial)]
    said = verdict(trials)
    assert "4 networks: AUC is not defined, as one class is not reported" in said.sentence
    assert "nan" not in said.sentence
    assert said.choice == ""
    area, accuracy = panels(match("alexnet", [with_predictions(trial("AL1"), benign)])[:1])
    assert described(area).endswith(": no row has a value.")
    assert "nan" not in described(accuracy)


def test_nothing_finished_is_said() -> None:
    assert verdict([], 3).sentence == "No trial has a result. 3 more ended without a result."


def test_the_interval_plot_has_every_row_the_papers_and_the_lines(trial) -> None:
    rows = match("alexnet", [trial("AL1"), trial("AL2")])[:2]
    area, accuracy = panels(rows)
    assert [each.label for each in area.estimates] == ["AL1", "AL2"]
    assert accuracy.estimates[0].paper == pytest.approx((0.8935, 0.871, 0.912), abs=2e-3)
    assert accuracy.lines["always benign"] == pytest.approx(40 / 56)
    assert area.lines["chance"] == 0.5
    figure = interval_figure([area, accuracy], "Title")
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["AL1", "AL2"]
    legend = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert legend == [
        "ours, 95 % interval", "the paper's, 95 % interval", "always benign: 0.714",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [61, 300, 1000])
def test_estimates_of_hundreds_of_rows_stand_out_of_their_intervals(count: int) -> None:
    values = np.random.default_rng(0).uniform(0.4, 0.8, count)
    rows = [Estimate(f"name {i}", v, v - 0.1, v + 0.1) for i, v in enumerate(values)]
    rows.insert(7, Estimate("not defined", math.nan))
    figure = interval_figure([Panel("AUC", rows, {})])
    assert figure.get_figheight() < 8  # no taller than a page
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == []
    assert axes.get_ylabel() == f"{count} rows, sorted, the highest on top"
    dots = next(line for line in axes.lines if len(line.get_xdata()) == count)
    assert list(dots.get_xdata()) == sorted(values, reverse=True)
    assert axes.yaxis_inverted()  # row 0 on top
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    red, green, blue = np.moveaxis(np.asarray(canvas.buffer_rgba(), dtype=int)[..., :3], -1, 0)
    dark, blueish = (red < 60) & (blue > green + 20), (blue > red + 20)
    assert 0 < dark.sum() < 0.15 * blueish.sum()


def test_settings_are_drawn_against_the_auc_and_weighed(trial) -> None:
    few = sweep_of(grid(trial)[:2])
    assert parallel(few) is None
    assert importance_table(few) is None
    trials = [
        with_predictions(
            trial(
                f"head.weight_lr={rate}, trainer.batch_size={size}",
                params={"head.weight_lr": rate, "trainer.batch_size": size},
                run_id=f"{rate}-{size}",
            ),
            drawn(rate / 4, 1),
        )
        for rate in range(1, 9)
        for size in (8, 16, 32)
    ]
    sweep = sweep_of(trials)
    lines = parallel(sweep)
    assert lines is not None
    assert len(lines.lines) == 24
    assert [axis.title for axis in lines.axes] == [*sweep.settings, "AUC"]
    figure = slices_figure(sweep)
    assert figure is not None
    table = importance_table(sweep)
    assert table is not None
    # only the rate decides how well the lesions are told apart
    assert column(table, "setting")[0] == "head.weight_lr"
    assert int(column(table, "share")[0].split()[0]) > 90


def test_a_setting_of_words_is_weighed_and_equal_aucs_weigh_nothing(trial) -> None:
    skills = {"alexnet": 2.0, "resnet18": 0.1, "squeezenet": 1.0}
    trials = [
        with_predictions(
            trial(
                f"backbone={backbone}, trainer.batch_size={size}",
                params={"backbone.name": backbone, "trainer.batch_size": size},
                run_id=f"{backbone}-{size}",
            ),
            drawn(skill, 1),
        )
        for backbone, skill in skills.items()
        for size in (8, 16, 32, 64, 128, 256)
    ]
    table = importance_table(sweep_of(trials))
    assert table is not None
    assert column(table, "setting") == ("backbone.name", "trainer.batch_size")
    assert column(table, "values") == ("3", "6")
    assert int(column(table, "share")[0].split()[0]) > 90
    equal = [with_predictions(each, drawn(1.0, 1)) for each in trials]
    assert importance_table(sweep_of(equal)) is None


def test_aucs_stand_by_their_value_however_few_they_are(trial) -> None:
    def lines(*skills: float) -> list[tuple[float, int]]:
        trials = [
            with_predictions(
                trial(
                    f"head.weight_lr={place}, trainer.batch_size={place % 2}",
                    params={"head.weight_lr": place, "trainer.batch_size": place % 2},
                    run_id=f"{place}",
                ),
                drawn(skill, 1),
            )
            for place, skill in enumerate(skills)
        ]
        drawn_lines = parallel(sweep_of(trials))
        assert drawn_lines is not None
        return [(float(each.points.split(",")[-1]), each.tenth) for each in drawn_lines.lines]

    (low, _), (near, _), (high, _) = lines(0.0, 0.05, 2.0)
    # upwards the heights are smaller
    assert low - near < (near - high) / 4
    assert len(set(lines(1.0, 1.0, 1.0))) == 1


def test_a_sweep_is_called_as_it_was_named() -> None:
    assert sweep_title("Heads of AlexNet", []) == "Sweep Heads of AlexNet: 0 trials"
    assert sweep_title(SINGLE_TRIALS, []) == "Single trials: 0 trials"


def test_minus_signs_are_true_ones_in_numbers_alone(trial) -> None:
    table = sweep_table(sweep_of(grid(trial)), "Title")
    words, number = table.columns[0], table.columns[1]
    assert typeset("-0.012 to -0.003", number) == "−0.012 to −0.003"
    assert typeset("seed=-1", words) == "seed=-1"
    assert typeset("1e-05", number) == "1e-05"


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
@pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes")
def test_a_record_is_listed_with_what_has_no_result(tmp_path: Path) -> None:
    place = tmp_path / "mlruns"
    tracker = open_record(place)
    write_search(tracker, "search", 4, failed=1, pruned=1)
    write_trial(tracker, "alone", {}, None)
    tracking = TrackingConfig(dir=str(place))
    assert recorded_sweeps(tracking) == ["search", SINGLE_TRIALS]
    left = unfinished_trials(tracking, "search")
    assert [each.state for each in left] == ["pruned", "failed"]
    assert "the loss is nan" in left[1].tags["mcalc.error"]
    assert unfinished_trials(tracking, None) == []


@pytest.mark.whole
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
@pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes")
def test_a_sweep_of_another_network_has_its_own_table_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, out = tmp_path / "mlruns", tmp_path / "report"
    tracker = open_record(place)
    parent = tracker.open_sweep("rates-1", "rates", {})
    for number, rate in enumerate((1.0, 10.0)):
        name = f"head.weight_lr={rate:g}"
        write_trial(tracker, name, {"head.weight_lr": rate}, parent, number=number)
    lost = tracker.open_trial("head.weight_lr=99", "lost", {"head.weight_lr": 99.0}, {}, parent)
    lost.fail("the loss is nan", "trace")
    assert main([f"tracking.dir={place}", f"out={out}"]) == 0
    printed = " ".join(capsys.readouterr().out.split())  # lines are as wide as the terminal
    assert "Table 1" not in printed
    assert "* 2 networks: AUC from " in printed
    assert "1 more ended without a result." in printed
    assert "the loss is nan" in printed
    with (out / "trials.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["head.weight_lr"] for row in rows] == ["1", "10"]
    assert all(0 < float(row["auc_low"]) < float(row["auc"]) for row in rows)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert 'id="failures"' in page
    assert (out / "intervals.png").stat().st_size < 300_000
    with pytest.raises(SystemExit):
        main([f"tracking.dir={place}", f"out={out}", "table=1"])
    assert "none of their rows is recorded (there is rates)" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
@pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes")
def test_a_sweep_of_which_all_failed_has_a_page_with_the_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, out = tmp_path / "mlruns", tmp_path / "report"
    tracker = open_record(place)
    parent = tracker.open_sweep("rates-1", "rates", {})
    for rate in (10.0, 99.0):
        name = f"head.weight_lr={rate:g}"
        lost = tracker.open_trial(name, name, {"head.weight_lr": rate}, {}, parent)
        lost.fail(f"the loss is nan at rate {rate:g}", "trace")
    assert main([f"tracking.dir={place}", f"out={out}"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "No trial has a result. 2 more ended without a result." in printed
    assert {path.name for path in out.iterdir()} == {
        "index.html", *(f"failures.{ending}" for ending in ("txt", "csv", "md", "tex")),
    }  # fmt: skip
    page = (out / "index.html").read_text(encoding="utf-8")
    for text in (printed, page):
        assert "the loss is nan at rate 10" in text
        assert "the loss is nan at rate 99" in text
    assert "<img" not in page
