"""Metrics, baselines without an image, and figures: functions of predictions."""
