"""The server conforms to its OpenAPI description, for valid and invalid requests.

`make fuzz` runs longer, with a random seed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.environment import clean
from support.speech_app import SpeechApp, SteppedEngine

EXAMPLES = int(os.environ.get("VOICE_FUZZ", "0")) or 15
SEED = () if os.environ.get("VOICE_FUZZ") else ("--seed", "1", "--generation-deterministic")
KEY = "sk-1"


def faults_of(app, *options):
    """Run schemathesis; return its report of faults, or an empty string."""
    command = [*("-m", "schemathesis.cli", "run", f"{app.url}/openapi.json"), *("-n", EXAMPLES), *SEED, *options]
    tests = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, *map(str, command), "--no-color", "--continue-on-failure", "--warnings", "off"],
        env=clean(PYTHONPATH=tests, SCHEMATHESIS_HOOKS="support.schema_hooks", NO_COLOR="1"),
        cwd=tests,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert "Operations:" in done.stdout, done.stderr
    return done.stdout if done.returncode else ""


@pytest.mark.timeout(3600 if os.environ.get("VOICE_FUZZ") else 120)
@pytest.mark.parametrize("key", [None, KEY])
def test_schemathesis_finds_no_faults(key):
    keys = [] if key is None else [key]
    header = [] if key is None else ["-H", f"Authorization: Bearer {key}"]
    with SpeechApp(SteppedEngine(), keys=keys, max_streams=1000) as app:
        assert not faults_of(app, "--checks", "all", *header)
        assert app.service.active == 0


@pytest.mark.timeout(3600 if os.environ.get("VOICE_FUZZ") else 120)
def test_schemathesis_finds_no_faults_with_a_real_engine():
    """It may refuse voices and speeds that the description allows."""
    with SpeechApp(max_streams=1000) as app:
        assert not faults_of(app, "--checks", "all", "--exclude-checks", "positive_data_acceptance")
        assert app.service.active == 0
