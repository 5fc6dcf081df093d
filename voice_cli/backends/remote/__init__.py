"""Servers: each backend sends requests over the network."""
