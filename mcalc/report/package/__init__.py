"""A report as one archive that others can check without mcalc: data, tables, and a script."""
