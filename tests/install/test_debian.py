"""The Debian package: built on one machine, installed and used on another, removed without a rest."""

import os
import re
import shutil
import socket
from pathlib import Path

import pytest

pytestmark = [pytest.mark.install, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def package(machine):
    """Return the path of the package, built as the page says; VOICE_TEST_DEB names one that is built."""
    if built := os.environ.get("VOICE_TEST_DEB"):
        return Path(built)
    builder = machine()
    builder.copy_checkout("/src")
    builder.run("apt-get install -y -q --no-install-recommends python3-venv dpkg-dev make && cd /src && make deb")
    (found,) = (builder.folder / "src" / "dist").glob("voice-cli_*.deb")
    return found


@pytest.fixture(scope="module")
def installed(package, machine):
    made = machine()
    shutil.copy(package, made.folder / "root" / "voice.deb")
    made.run("apt-get install -y -q ./voice.deb")
    return made


def test_it_speaks(installed):
    installed.start_sound()
    installed.run('voice say "The package speaks."', as_user=True)
    assert installed.heard() > 12_000


def test_it_saves_in_formats_of_libraries(installed):
    installed.run("voice say --no-play -o a.wav Hello && voice say --no-play -o a.opus Hello", as_user=True)
    folder = installed.folder / "home" / "me"
    assert (folder / "a.wav").stat().st_size > 10_000
    assert (folder / "a.opus").read_bytes().startswith(b"OggS")


def test_it_serves(installed):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = f"http://127.0.0.1:{port}/v1"
    serve = f"voice serve --port {port} & trap 'kill %1; wait' EXIT\n"
    say = f"voice say Hello --base-url {server} --no-play -o b.wav\n"  # asks again until the server listens
    installed.run(serve + say, as_user=True)


def test_modules_are_compiled_for_users(installed):
    loaded = installed.run("/opt/voice/bin/python -v -c 'import voice_cli.cli.say' 2>&1", as_user=True)
    assert re.search(r"voice_cli/cli/__pycache__/say\.\S+\.pyc matches /opt/voice/", loaded)


def test_man_pages_and_completion_are_in_their_places(installed):
    listed = installed.run("dpkg -L voice-cli")
    for path in (
        "/usr/share/man/man1/voice-say.1.gz",
        "/usr/share/bash-completion/completions/voice",
        "/usr/share/zsh/vendor-completions/_voice",
        "/usr/share/fish/vendor_completions.d/voice.fish",
    ):
        assert path in listed


def test_no_path_of_the_builder_is_in_it(installed):
    installed.run("! grep -rlE '/tmp/tmp\\.|/src/' /opt/voice/bin /opt/voice/pyvenv.cfg")
    installed.run("dpkg --verify voice-cli")


def test_it_is_removed_without_a_rest(installed):
    installed.run("apt-get remove -y -q voice-cli && ! test -e /opt/voice && ! test -e /usr/bin/voice")
