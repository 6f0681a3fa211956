"""What a sweep keeps in Optuna's database: study, leases, samplers."""
