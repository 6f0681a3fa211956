from .start import run_sweep as run_sweep
