"""Packages that a test runs for real, and that not every machine has."""

import importlib
import os

import pytest


def needs(module):
    """Give the module; without it the test is skipped, or fails where everything is meant to be there."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{module} is not installed: make test-models has it"
        if os.environ.get("VOICE_TEST_MODELS"):
            pytest.fail(f"{reason} ({error})", pytrace=False)
        pytest.skip(reason, allow_module_level=True)
