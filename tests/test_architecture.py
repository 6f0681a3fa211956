"""Imports point one way, heavy libraries stay in their packages, every package has a rule."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for folder in ("mcalc", "hydra_plugins")
    for file in (ROOT / folder).rglob("*.py")
}
"""Modules and packages by their dotted names."""

PACKAGES = {
    # package -> packages of ours that it may import, beside itself and what lies inside it
    "mcalc": (),
    "mcalc.config": ("mcalc",),
    "mcalc.data": ("mcalc", "mcalc.config"),
    "mcalc.data.phantom": ("mcalc", "mcalc.config", "mcalc.data"),
    "mcalc.data.sources": ("mcalc", "mcalc.config", "mcalc.data", "mcalc.data.phantom"),
    "mcalc.data.sources.cbis_ddsm": ("mcalc", "mcalc.config", "mcalc.data"),
    "mcalc.data.images": ("mcalc", "mcalc.config", "mcalc.data"),
    "mcalc.data.splits": ("mcalc", "mcalc.config", "mcalc.data"),
    "mcalc.data.loading": ("mcalc", "mcalc.config", "mcalc.data"),
    "mcalc.models": ("mcalc", "mcalc.config"),
    "mcalc.evaluation": ("mcalc", "mcalc.config", "mcalc.data"),
    "mcalc.training": ("mcalc", "mcalc.config", "mcalc.data", "mcalc.models", "mcalc.evaluation"),
}
