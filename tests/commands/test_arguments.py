"""What is typed arrives as meant, or comes back in one sentence that says what to type."""

from __future__ import annotations

import shlex
import string
from pathlib import Path

import processes
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcalc.config.arguments import as_typed, quote, read_line
from mcalc.config.commands import COMMANDS, DATA, REPORT, SWEEP, TRAIN, Command, Line
from mcalc.config.compose import compose_config, parse_overrides
from mcalc.errors import UserError
from mcalc.train import main


def refused(command: Command, *arguments: str) -> str:
    with pytest.raises(UserError) as raised:
        read_line(command, arguments).config()
    message = str(raised.value)
    assert "\n" not in message
    assert "mismatched input" not in message, "the grammar's own words"
    return message


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("=x", "no key: expected key=value"),
        ("head.weight_lr=", "head.weight_lr= is not understood: expected a number"),
        ("+head.x=1", "unknown key 'head.x'"),
        ("++a=1", "unknown key 'a'"),
        ("+head.weight_lr=1", "expected head.weight_lr=1"),
        ("~backbone", "cannot be deleted"),
        ("backbone=", "no such choice (there are alexnet"),
        ("backbone@x=alexnet", "expected backbone=alexnet"),
        (
            "head.weight_lr=1,,2",
            "'head.weight_lr=1,,2' is not understood: between its commas a value is empty",
        ),
        ("head.weight_lr=[1", "'head.weight_lr=[1' is not understood"),
        ("head.weight_lr='1", "is not understood: expected key=value"),
        ("head.weight_lr={a: 1}", "expected a number"),
        ("head.weight_lr =1", "did you mean 'head.weight_lr'"),
        ("hydra=1", "unknown key 'hydra'"),
        ("hydra.foo=1", "unknown key 'hydra.foo'"),
        ("metrics=a", "expected a list of texts, as in [a, b]"),
        ("data.root=${nothing}", "data.root"),
        ("job=0123abcd", "for the sweep engine alone"),
        ("--foo", "unknown flag '--foo' (flags: "),
        ("--info", "unknown flag '--info'"),
        ("--head.weight_lr=1", "did you mean 'head.weight_lr'"),
        ("-x", "all else is given as key=value"),
    ],
)
def test_a_line_that_means_nothing_is_one_sentence(
    command: Command, argument: str, said: str
) -> None:
    action = ["list"] if command.actions else []
    assert said in refused(command, *action, argument)


@pytest.mark.parametrize("command", [TRAIN, DATA, REPORT], ids=lambda command: command.name)
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("", "'' is not understood: expected key=value"),
        ("-", "'-' is not understood: expected key=value"),
        ("--", "'--' is not understood: expected key=value"),
        ("head.weight_lr", "head.weight_lr has no value: give it one, as in head.weight_lr=VALUE"),
        ("head.weight_rl", "did you mean 'head.weight_lr'"),
    ],
)
def test_an_argument_without_a_value_is_named(command: Command, argument: str, said: str) -> None:
    assert said in refused(command, argument)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            (),
            f"a command is missing (there are {', '.join(SWEEP.actions)})",
        ),
        (("lsit",), "unknown command 'lsit'; did you mean 'list'? (there are "),
        (("tracking.dir=x",), "a command is missing"),
        (("list", ""), "'' is not understood"),
    ],
)
def test_a_command_of_sweep_is_named(arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(SWEEP, *arguments)


def test_names_stand_where_they_are_wanted() -> None:
    line = read_line(SWEEP, ["check", "a", "tracking.dir=x y", "b"])
    assert (line.action, line.names) == ("check", ("a", "b"))
    assert line.config().tracking.dir == "x y"


@pytest.mark.parametrize(
    ("command", "argument", "value"),
    [
        (DATA, "pixels=true", True),
        (DATA, "pixels=False", False),
        (DATA, "split_to=~/a=b, c.csv", Path("~/a=b, c.csv").expanduser()),
        (REPORT, "table=5", "5"),
        (REPORT, "alexnet=my sweep (2)", "my sweep (2)"),
        (REPORT, "out=a=b", Path("a=b")),
    ],
)
def test_a_commands_own_words_have_types(command: Command, argument: str, value: object) -> None:
    name = argument.partition("=")[0]
    assert read_line(command, [argument]).words[name] == value


def test_words_that_are_not_given_have_their_defaults() -> None:
    of_a_split = ("check_split", "id", "label", "split", "patient", "parts")
    others = dict.fromkeys(("split_to", *of_a_split))
    assert read_line(DATA, []).words == {"pixels": False, **others}
    report = read_line(REPORT, [])
    assert report.words["table"] == "all"
    assert report.words["out"] == Path("report")


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (DATA, ["pixels=maybe"], "pixels=maybe: expected true or false"),
        (DATA, ["split_to="], "split_to= has no value"),
        (DATA, ["pixels=true", "pixels=true"], "pixels is given twice"),
        (REPORT, ["table=7"], "expected one of 1, 2, 3, 4, 5, 6, discipline, all"),
        (REPORT, ["tabel=1"], "did you mean 'table'"),
        (TRAIN, ["pixels=true"], "unknown key 'pixels'"),
    ],
)
def test_a_wrong_word_is_named(command: Command, arguments: list[str], said: str) -> None:
    assert said in refused(command, *arguments)


@pytest.mark.parametrize(
    "path",
    [
        "/a b (c)#d=e~f", "~", "a~", "it's", '"', "a\\", "\\\\host\\dir", "1_000", "1e3", "010",
        "true", "nan", "é ü", "[x]", "{y}", "a:b", "'x", "-x", "+", "100%", "a;b", "$HOME", "@x",
        "*", "a\tb", "null.csv", "choice", "a'b\"c",
    ],
)  # fmt: skip
def test_a_path_is_taken_as_typed(path: str) -> None:
    config = read_line(TRAIN, [f"data.root={path}"]).config()
    assert config.data.root == str(Path(path).expanduser() if path.startswith("~") else path)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters=",\n\r\0$")))
def test_any_text_without_a_comma_is_taken_as_typed(text: str) -> None:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    function = text.endswith(")") and text.split("(")[0].strip().isalpha()
    if quoted or function or text == "null":
        return
    (override,) = parse_overrides([as_typed(f"name={text}")])
    assert override.value() == text


@given(st.text(alphabet=string.printable, min_size=1))
def test_quoted_text_is_read_back(text: str) -> None:
    if "\n" in text or "\r" in text or "$" in text:
        return
    (override,) = parse_overrides([f"name={quote(text)}"])
    assert override.value() == text


def test_values_of_text_are_separated_by_commas_outside_quotes() -> None:
    assert as_typed("data.root=/a (b),/c#d") == 'data.root="/a (b)","/c#d"'
    assert as_typed("data.root='/a, b',c") == "data.root='/a, b',c"
    assert as_typed("sweep=alexnet,googlenet") == "sweep=alexnet,googlenet"
    assert as_typed("sweep=glob(a*)") == "sweep=glob(a*)"
    assert as_typed("head.weight_lr=1,2") == "head.weight_lr=1,2"


@pytest.mark.parametrize(
    "given", ["head.weight_lr=1,10", "head.weight_lr=range(1,3)", "backbone=alexnet,googlenet"]
)
def test_several_values_without_m_are_refused_with_the_command(given: str) -> None:
    message = refused(TRAIN, given)
    assert f"add -m, as in `python -m mcalc.train -m {shlex.quote(given)}`" in message


@pytest.mark.parametrize("path", ["/a, b", "/it's, (b)"])
def test_a_path_with_a_comma_comes_back_ready_to_paste(path: str) -> None:
    message = refused(TRAIN, f"data.root={path}")
    pasted = message.rpartition("quote it: ")[2]
    (argument,) = shlex.split(pasted)
    assert "," in str(read_line(TRAIN, [argument]).config().data.root)


def test_of_a_setting_given_twice_the_last_counts_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    twice = ["head.weight_lr=1", "backbone=alexnet", "head.weight_lr=2", "backbone=squeezenet"]
    config = read_line(TRAIN, twice).config()
    assert config.head.weight_lr == 2
    assert config.backbone.name == "squeezenet"
    notes = capsys.readouterr().err
    assert "note: head.weight_lr is given twice: head.weight_lr=2 is used" in notes
    assert "note: backbone is given twice" in notes
    read_line(TRAIN, ["seed=1", "seed=1"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [["-m", "seed=1,2"], ["seed=1,2", "-m"], ["seed=1,2", "--multirun"], ["-m", "-m", "seed=1,2"]],
)
def test_m_may_stand_anywhere(arguments: list[str]) -> None:
    assert read_line(TRAIN, arguments) == Line(
        compose_config, ("seed=1,2",), flags=frozenset({"-m"})
    )


@pytest.mark.parametrize("flag", [["--cfg", "job"], ["--cfg=job"], ["-c", "job"]])
def test_the_settings_of_a_trial_can_be_printed(
    flag: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*flag, "data.root=/a (b)"])
    printed = capsys.readouterr().out
    assert "  root: /a (b)\n" in printed
    assert "job:" not in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m"], "-m needs something to vary"),
        (["--cfg"], "expected --cfg job"),
        (["--cfg", "hydra"], "expected --cfg job"),
        (["hydra/launcher=joblib"], "says how a sweep runs: add -m"),
        (["sweep=alexnet"], "runs many trials: add -m"),
        (["dry_run=true"], "shows the plan of a sweep: add -m"),
        (["-m", "hydra/launcher=foo", "seed=1,2"], "hydra/launcher=foo: no such choice (there are"),
    ],
)
def test_train_refuses_in_one_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_a_launcher_of_no_jobs_is_refused(tmp_path: Path) -> None:
    done = processes.run(
        "mcalc.train", "-m", "head.weight_lr=1,2", "data=phantom", "backbone=squeezenet",
        "backbone.weights=none", "data.phantom.lesions=24", "trainer.max_iterations=1",
        "hydra/launcher=joblib", "hydra.launcher.n_jobs=0",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: hydra.launcher.n_jobs=0 runs nothing: give the number")
    assert len(done.stderr.splitlines()) == 1
