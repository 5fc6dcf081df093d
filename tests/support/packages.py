"""Packages that a test runs for real, and that not every machine has."""

import importlib
import os

import pytest


def needs(module, *, target="test-models"):
    """Give the module; without it the test is skipped, or fails where everything is meant to be there: as `target` of
    the Makefile says in a variable of its name.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{module} is not installed: make {target} has it"
        if os.environ.get(f"VOICE_{target.replace('-', '_').upper()}"):
            pytest.fail(f"{reason} ({error})", pytrace=False)
        pytest.skip(reason, allow_module_level=True)
