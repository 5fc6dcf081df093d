"""`--save` to a closed standard output or in a deleted folder."""

import subprocess
import sys

import pytest

from support.command import TIMEOUT, VOICE, environment_in


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that can close it")
def test_a_closed_standard_output_is_a_file_error(tmp_path):
    line = 'exec "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", line, "sh", *VOICE, "say", "Hello", "-o", "-", "--no-play"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment_in(tmp_path),
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (10, b"voice: cannot write to standard output: it is closed\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a working directory that can be deleted")
def test_a_deleted_working_directory_is_a_file_error(tmp_path):
    line = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", line, "sh", *VOICE, "say", "Hello", "-o", "a.wav", "--no-play"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment_in(tmp_path),
        cwd=tmp_path,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (10, b"voice: cannot write a.wav: No such file or directory\n")
