"""One module a protocol: what its messages mean, and how sound is told in it."""
