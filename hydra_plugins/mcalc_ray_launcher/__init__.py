"""Hydra finds mcalc's Ray launcher here."""
