"""The first page of the README, line by line, by a new user on a bare Debian."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.install, pytest.mark.timeout(1800)]

LAST = "\n## Speak what a program writes\n"
NOT_RUN = ("make test",)
"""It is the rest of the tests, and takes a quarter of an hour."""
FENCE = re.compile(r"^```(?:sh)?(?: needs ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def lines():
    """Yield the lines of shell of the first page, without those that need a server or another package."""
    page = (ROOT / "README.md").read_text("utf-8").partition(LAST)[0]
    for needs, body in FENCE.findall(page):
        if needs in ("", "the network"):
            yield from (line for line in body.splitlines() if not line.startswith(NOT_RUN))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Return a folder with the wheel of this checkout, in place of the release on PyPI."""
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT], check=True)
    return folder


@pytest.fixture(scope="module")
def user(machine, wheels):
    """Return a machine on which the user may use sudo, and has uv and pipx."""
    made = machine()
    made.run("apt-get install -y -q --no-install-recommends make sudo pipx python3-venv")
    made.run("echo 'me ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/me")
    made.run("python3 -m venv /opt/tools && /opt/tools/bin/pip install -q uv && rm /opt/tools/bin/pip*")
    shutil.copytree(wheels, made.folder / "wheels")
    made.run("chmod -R a+rX /wheels")
    made.start_sound()
    made.copy_checkout("/home/me/voice")
    (made.folder / "home/me/voice/notes.txt").write_text("Notes. They are short.")
    return made


def test_the_first_page_has_the_two_commands_and_an_installation():
    assert [line.partition("#")[0].strip() for line in lines()][:3] == [
        "make say",
        "uv tool install voice-cli",
        'voice say "Hello there"',
    ]


def test_every_line_works_in_order(user):
    before = user.heard()
    for line in lines():
        user.run(f"cd voice && {line}", as_user=True, UV_FIND_LINKS="/wheels", PIP_FIND_LINKS="/wheels")
        if line.startswith(("make say", "voice say")):
            assert user.heard() > before + 5000, line
        before = user.heard()
    assert (user.folder / "home/me/voice/say.wav").stat().st_size > 10_000


def test_pipx_installs_it(user):
    user.run("uv tool uninstall voice-cli; pipx install voice-cli", as_user=True, PIP_FIND_LINKS="/wheels")
    user.run("voice say --no-play -o a.wav Hello && voice --version", as_user=True)


def test_completion_is_installed_for_the_users_shell(user):
    user.run("voice completion install", as_user=True, SHELL="/bin/bash")
    shown = user.run("bash -ic 'complete -p voice'", as_user=True)
    assert "-F _voice voice" in shown
