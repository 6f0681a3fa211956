"""CBIS-DDSM: its case CSVs, its three layouts on disk, and what is known to be wrong with it."""
