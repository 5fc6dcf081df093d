"""Coding assistants that speak: their hooks, and a server of the Model Context Protocol. See docs/assistants.md."""
