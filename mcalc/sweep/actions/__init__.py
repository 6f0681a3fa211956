"""What `python -m mcalc.sweep ACTION` does, one module an action."""
