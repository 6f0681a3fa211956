"""The synthetic data set, written as a small CBIS-DDSM download."""
