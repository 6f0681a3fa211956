"""Names that the registry and its server agree on."""

BUNDLE = "network"
"""Of the folder with the network, among a model's artifacts."""
COLUMN = "image"
"""Of the input: files in base64."""
