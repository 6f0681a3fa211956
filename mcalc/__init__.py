"""mcalc: transfer learning on breast micro-calcifications, as reproducible sweeps."""

__version__ = "0.1.0"
