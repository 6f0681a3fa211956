"""Trained networks in MLflow's model registry, and what its server runs of them."""
