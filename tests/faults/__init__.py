"""A speech server with faults: their list, their outcomes (docs/faults.md), and `python -m tests.faults`."""
