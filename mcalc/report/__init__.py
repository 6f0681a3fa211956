"""The paper's tables and figures from what is recorded, beside the published values."""
