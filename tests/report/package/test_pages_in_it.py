"""Of a folder that held other reports before, an archive has the files of its own alone."""

from __future__ import annotations

from pathlib import Path

from mcalc.report.package.pages import shown_files


def test_files_that_the_page_leads_to_go_along_and_no_others(tmp_path: Path) -> None:
    files = {
        "index.html": '<a href="trials/one.html#x">1</a> <img src="pictures/a%20b.png">'
        '<a href="sweeps/other/index.html">2</a> <a href="https://trials/z.html">3</a>'
        '<img src="data:image/png;base64,AA">',
        "trials/one.html": '<a href="../index.html">up</a> <img src="pictures/roc.png">',
        "trials/pictures/roc.png": "of the trial",
        "pictures/a b.png": "of the page",
        "intervals.png": "beside it",
        # of an earlier report into the same folder
        "trials/two.html": "old",
        "pictures/old.png": "old",
        "discipline.png": "old",
        "sweeps/other/index.html": "another sweep",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = shown_files(
        tmp_path, ["index.html", "intervals.png", "none.png"], ["pictures", "trials"]
    )
    assert {name: content.decode() for name, content in found.items()} == {
        name: files[name]
        for name in (
            "index.html", "intervals.png", "trials/one.html", "trials/pictures/roc.png",
            "pictures/a b.png",
        )
    }  # fmt: skip
