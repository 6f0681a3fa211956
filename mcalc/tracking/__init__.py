"""The MLflow record: written by `tracker`. No other package imports mlflow."""
