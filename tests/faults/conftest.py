"""Fixtures: the `voice` command in a subprocess."""

import pytest

from support.command import run_voice


@pytest.fixture
def voice(tmp_path):
    """Run `voice` with arguments in an empty folder."""

    def run(*arguments, **options):
        return run_voice(*arguments, folder=tmp_path, **options)

    return run
