"""What can be wrong with a download, by kind: images, file roles, CSV values, the mass part."""
