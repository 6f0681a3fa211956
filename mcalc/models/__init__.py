"""Networks, the weights they start from, and the rates their layers learn at."""
