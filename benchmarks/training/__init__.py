"""Training measured beside a peer and a limit: the same network, images and schedule."""
