"""The LaTeX form of tables, set by Debian's pdflatex."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from browser import missing
from recorded_sweeps import open_record, write_grid, write_search, write_trial

from mcalc.report.__main__ import main
from mcalc.report.formats import Table, as_latex, numbers

PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs,graphicx}
\begin{document}
"""


@pytest.mark.slow
@pytest.mark.whole
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
@pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes")
def test_every_table_is_set(tmp_path: Path) -> None:
    program = shutil.which("pdflatex")
    if program is None:
        missing("pdflatex", "apt-get install texlive-latex-recommended")
        raise AssertionError
    tracker = open_record(tmp_path / "mlruns")
    write_grid(tracker, "seeds", ("squeezenet",), seeds=2)
    write_search(tracker, "search", 18, failed=1)
    parent = tracker.open_sweep("alexnet-1", "alexnet", {})
    params = {"backbone.name": "alexnet"}
    write_trial(tracker, "AL1", params, parent, number=1, validated=True)
    out = tmp_path / "report"
    assert main([f"tracking.dir={tmp_path / 'mlruns'}", f"out={out}"]) == 0
    files = sorted(out.rglob("*.tex"))
    assert {"table1.tex", "table6.tex", "trials.tex", "failures.tex"} <= {f.name for f in files}
    tables = "\n\\clearpage\n".join(file.read_text(encoding="utf-8") for file in files)
    (tmp_path / "all.tex").write_text(PREAMBLE + tables + "\n\\end{document}\n", encoding="utf-8")
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000


def test_a_caption_has_the_papers_number_beside_the_one_that_latex_sets() -> None:
    text = as_latex(Table("Table 5. Counts", tuple(numbers(n="n")), (("1",),)))
    assert r"\caption{Counts (the paper's Table 5)}" in text
