"""Hydra finds mcalc's sweeper here."""
