"""What an archive's recompute.py runs; nothing of mcalc is imported here."""
