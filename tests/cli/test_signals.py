"""Signals to `voice say`: how it ends, what a shell sees, and Ctrl-Z."""

import json
import os
import shutil
import signal
import subprocess
import sys
import wave

import pytest

from support.command import TIMEOUT, VOICE, environment_in
from support.server import Answer
from support.threads import happened, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

SOUND = b"\1\2" * 48_000
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def start(*arguments, folder, before=(), **options):
    return subprocess.Popen(
        [*before, *VOICE, "say", "x", "--no-play", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment_in(folder),
        cwd=folder,
        **options,
    )


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_request_and_the_process_and_keeps_the_partial_file(serve, tmp_path, number):
    server = serve(Answer(SOUND, stall_after=48_000))
    process = start("--base-url", server.url, "-o", "a.wav", "--json", folder=tmp_path)
    partial = tmp_path / "a.partial.wav"
    wait_until(lambda: partial.exists() and partial.stat().st_size >= 48_000, "nothing is saved")
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == -number, "a shell sees 128 and the number"
    result = json.loads(out)
    assert (result["outcome"], result["error"]["exit_code"]) == ("cancelled", 128 + number)
    assert b"Traceback" not in err
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.readframes(10**6) == SOUND[:48_000]
    happened(server.client_left)


@pytest.mark.parametrize("number", SIGNALS)
def test_process_1_of_a_container_exits_with_the_code(serve, tmp_path, number):
    """The system does not let a signal end process 1 that has no handler for it."""
    unshare = ["unshare", "--fork", "--pid", "--kill-child"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("a process namespace needs a right that is missing")
    server = serve(Answer(SOUND, stall_after=48_000))
    process = start("--base-url", server.url, folder=tmp_path, before=unshare)
    server.wait_for(1)
    (child,) = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, check=True).stdout.split()
    os.kill(int(child), number)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + number


def test_ctrl_c_ends_the_loop_of_a_shell(serve, tmp_path):
    server = serve(Answer(SOUND, stall_after=48_000))
    loop = ["bash", "-c", 'for number in 1 2 3; do "$@"; done; echo the loop went on', "bash"]
    process = start("--base-url", server.url, folder=tmp_path, before=loop, start_new_session=True)
    server.wait_for(1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, _ = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, out) == (-signal.SIGINT, b"")
    assert len(server.requests) == 1


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_an_ignored_signal_stays_ignored(serve, tmp_path, number):
    """As of a background job of a script, and after nohup."""
    server = serve(Answer(SOUND, first_byte=0.5))
    ignoring = ["sh", "-c", f'trap "" {number:d}; exec "$@"', "sh"]
    process = start("--base-url", server.url, folder=tmp_path, before=ignoring)
    server.wait_for(1)
    process.send_signal(number)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0


def state_of(process):
    with open(f"/proc/{process.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")
def test_a_process_that_was_stopped_for_longer_than_the_timeout_goes_on(serve, tmp_path):
    server = serve(Answer(SOUND, byte_rate=96_000, chunk=4800))
    process = start("--base-url", server.url, "-o", "a.wav", "--timeout", "0.4", folder=tmp_path)
    partial = tmp_path / "a.partial.wav"
    wait_until(partial.exists, "nothing is saved")
    process.send_signal(signal.SIGSTOP)  # the kernel drops SIGTSTP if no shell waits for the process
    wait_until(lambda: state_of(process) == "T", "it does not stop")
    wait_until(lambda: server.sent == len(SOUND), "the server has not sent all")
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (0, b"")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.readframes(10**6) == SOUND
