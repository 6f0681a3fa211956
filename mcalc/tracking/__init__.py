"""The MLflow record: `tracker` writes it, `reader` reads it. No other package imports mlflow."""
