"""`voice say` on another machine, through a real sshd on the loopback interface."""

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from support.server import Answer
from support.sound import VOICE, speech
from support.threads import WAIT

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(SSHD is None and "CI" not in os.environ, reason="sshd is not installed (openssh-server)"),
]

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
StreamLocalBindUnlink yes
"""


class Ssh:
    """An SSH server, and a client that forwards the agent's socket to it."""

    def __init__(self, folder, agent):
        for name in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (folder / "sshd.conf").write_text(CONFIG.format(port=port, folder=folder))
        Path("/run/sshd").mkdir(exist_ok=True) if Path("/run").owner() == getpass.getuser() else None
        command = [SSHD, "-D", "-e", "-f", folder / "sshd.conf"]
        self._log = (folder / "sshd.log").open("wb")
        self._server = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        self._socket = folder / "forwarded.sock"
        options = ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "LogLevel=ERROR", "IdentitiesOnly=yes"]
        self._client = ["ssh", "-p", str(port), "-i", folder / "key", "-R", f"{self._socket}:{agent.path}"]
        self._client += [word for option in options for word in ("-o", option)] + ["127.0.0.1"]
        self._folder = folder
        deadline = time.monotonic() + WAIT
        while subprocess.run([*self._client, "true"], check=False, capture_output=True).returncode:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "sshd.log").read_text())
            time.sleep(0.05)

    def say(self, arguments):
        """Start `voice say` there, without a sound device."""
        here = Path(__file__).parents[2]
        there = f"cd {self._folder} && PYTHONPATH={here} VOICE_AGENT_SOCKET={self._socket} PULSE_SERVER=none"
        return subprocess.Popen(
            [*self._client, f"{there} exec {VOICE[0]} -m voice_cli say {arguments}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def close(self):
        self._server.terminate()
        self._server.wait(WAIT)
        self._log.close()


@pytest.fixture
def ssh(agent, tmp_path):
    (tmp_path / "there").mkdir()
    made = Ssh(tmp_path / "there", agent)
    yield made
    made.close()


def test_a_speech_is_heard_here_and_told_there(ssh, audio, tmp_path):
    (tmp_path / "there" / "text.txt").write_text("Hello from there.")
    with audio.record() as heard:
        out, err = (process := ssh.say("-f text.txt --json -o said.wav")).communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out)["text_spoken"] == "Hello from there."
    assert len(heard.sound) > heard.rate / 2
    assert (tmp_path / "there" / "said.wav").stat().st_size > 2 * heard.rate / 2


def test_the_text_is_shown_there_as_it_is_heard_here(ssh, audio):
    with audio.record():
        out, _ = (process := ssh.say("One two three. --show")).communicate(timeout=60)
    assert (process.returncode, out) == (0, b"One two three.\n")


def test_a_cut_stream_exits_8_there(ssh, audio, serve):
    sent = speech(2.0)
    server = serve(Answer(sent.tobytes(), chunked=False, die_after=48_000))
    with audio.record():
        out, _ = (process := ssh.say(f"x --json --base-url {server.url}")).communicate(timeout=60)
    assert process.returncode == 8
    assert json.loads(out)["outcome"] == "truncated"


def test_stop_here_exits_130_there(ssh, agent, audio):
    with audio.record() as heard:
        process = ssh.say("One two three four five six seven eight nine ten eleven twelve thirteen fourteen. --json")
        heard.wait_for_sound()
        agent.client.stop()
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["outcome"] == "cancelled"


def test_a_lost_connection_ends_the_speech(ssh, agent, audio):
    with audio.record() as heard:
        process = ssh.say("One two three four five six seven eight nine ten eleven twelve thirteen fourteen.")
        heard.wait_for_sound()
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        deadline = time.monotonic() + WAIT
        while agent.client.queue():
            assert time.monotonic() < deadline
            time.sleep(0.01)
