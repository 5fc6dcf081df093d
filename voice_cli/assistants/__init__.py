"""Coding assistants that speak: their hooks. See docs/assistants.md."""
