"""Optional packages that tests use."""

import importlib
import os

import pytest


def needs(module, *, target="test-models"):
    """Return the module; if it is missing, skip the test, or fail it under the Makefile's `target`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{module} is not installed (run: make {target})"
        if os.environ.get(f"VOICE_{target.replace('-', '_').upper()}"):
            pytest.fail(f"{reason} ({error})", pytrace=False)
        pytest.skip(reason, allow_module_level=True)
