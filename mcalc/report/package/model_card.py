"""A model card: what a trained network is, what it was measured on, and what it is not for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from mcalc.report.cautions import cautions, provenance
from mcalc.report.recorded import reported_auc
from mcalc.results import RecordedTrial

_NO_USE = (
    "Research software, no medical device. Nothing that these networks say may decide about a "
    "patient."
)


def model_card(trials: Sequence[RecordedTrial]) -> str:
    """Markdown with the YAML header of Hugging Face's model cards; blanks where nobody knows."""
    backbones = sorted({str(trial.param("backbone.name")) for trial in trials})
    header: dict[str, Any] = {
        "library_name": "pytorch",
        "license": "other",
        "pipeline_tag": "image-classification",
        "tags": ["medical-imaging", "mammography", "micro-calcifications", *backbones],
        "metrics": ["accuracy", "roc_auc"],
        "model-index": [_entry(trial) for trial in trials],
    }
    lines = [
        "---",
        yaml.safe_dump(header, sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        "# Model card",
        "",
        f"{len(trials)} networks ({', '.join(backbones)}) that tell benign from malignant "
        "micro-calcifications, trained with mcalc.",
        "",
        "## Intended use",
        "",
        _NO_USE,
        "",
        "## How they were trained, and on what",
        "",
        *(f"- {note}" for note in provenance(trials)),
        "",
        "## Limitations",
        "",
        *(f"- {note}" for note in cautions(trials)),
        "",
        "## For the authors to fill in",
        "",
        "- Developed by:",
        "- Licence of the weights (ImageNet's terms and the data set's apply):",
        "- Citation:",
        "- Contact:",
    ]
    return "\n".join(lines) + "\n"


def _entry(trial: RecordedTrial) -> dict[str, Any]:
    said = trial.predictions
    accuracy = float(((said.probabilities > 0.5) == (said.labels == 1)).mean())
    results = [("accuracy", accuracy), ("roc_auc", reported_auc(trial))]
    return {
        "name": trial.name,
        "results": [
            {
                "task": {"type": "image-classification"},
                "dataset": {
                    "name": trial.tags.get("mcalc.data", "unknown"),
                    "type": str(trial.param("data.source")),
                },
                "metrics": [{"type": kind, "value": round(value, 4)} for kind, value in results],
            }
        ],
    }
