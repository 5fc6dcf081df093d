"""The commands that install system libraries."""

import sys

import pytest

from voice_cli.system_packages import install_hint


@pytest.mark.parametrize("name", ["PortAudio", "libopus", "libmpg123", "ffmpeg"])
@pytest.mark.parametrize(
    ("platform", "words"),
    [("linux", "apt install "), ("darwin", "brew install "), ("win32", "install it: "), ("sunos5", "install ")],
)
def test_each_system_has_a_command(monkeypatch, name, platform, words):
    monkeypatch.setattr(sys, "platform", platform)
    assert words in install_hint(name)
