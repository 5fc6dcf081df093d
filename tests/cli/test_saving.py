"""`--save` to a closed standard output or in a deleted folder."""

import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that can close it")
def test_a_closed_standard_output_is_a_file_error(voice):
    done = voice("say", "Hello", "-o", "-", "--no-play", script='exec "$@" >&-')
    assert (done.code, done.line) == (10, "cannot write to standard output: it is closed")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a working directory that can be deleted")
def test_a_deleted_working_directory_is_a_file_error(voice):
    done = voice(
        "say", "Hello", "-o", "a.wav", "--no-play", script='mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    )
    assert (done.code, done.line) == (10, "cannot write a.wav: No such file or directory")
