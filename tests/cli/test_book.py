"""`voice book`, with the embedded voice and with a server."""

import json
import os
import re
import signal
import subprocess

import av
import pytest

from support import command
from support.books import epub
from support.command import VOICE
from support.server import Answer, SpeechServer

TEXT = "# The book\n\n" + "".join(
    f"## Chapter {number}\n\n{'This is a sentence of some length. ' * (6 + number)}\n\n" for number in range(3)
)


def own_cache(folder):
    return {"XDG_CACHE_HOME": str(folder / ".cache")}


def environment_in(folder):
    """Return an environment with that folder as home, and with a cache folder in it."""
    return command.environment_in(folder, own_cache(folder))


@pytest.fixture
def voice(tmp_path):
    """Run `voice` in an empty folder, with a cache folder in it."""

    def run(*arguments):
        return command.run_voice(*arguments, folder=tmp_path, environment=own_cache(tmp_path))

    return run


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "b.md"
    path.write_text(TEXT)
    return path


def titles(path):
    with av.open(str(path)) as container:
        return [chapter["metadata"]["title"] for chapter in container.chapters()]


def stored(folder):
    return sorted((folder / ".cache" / "voice" / "books").iterdir())


ALL = ["The book", "Chapter 0", "Chapter 1", "Chapter 2"]


def test_the_chapters_are_listed(voice, source):
    rows = voice("book", source, "--list", "--json").json
    assert [row["title"] for row in rows] == ALL
    assert rows[1]["words"] > 40
    assert not (source.parent / ".cache").exists()


def test_a_book_has_chapters_and_only_changed_ones_are_made_again(voice, source, tmp_path):
    done = voice("book", source)
    assert done.code == 0, done.err
    assert re.fullmatch(r"voice: saved b\.m4b: 4 chapters, \d:\d\d", done.err.splitlines()[-1])
    assert titles(tmp_path / "b.m4b") == ALL
    source.write_text(TEXT.replace("## Chapter 1\n", "## Chapter 1\n\nNew."))
    done = voice("book", source, "--json", "--quiet")
    assert [chapter["new"] for chapter in done.json["chapters"]] == [False, False, True, False]


def test_a_folder_gets_a_file_a_chapter(voice, tmp_path):
    path = epub(tmp_path / "b.epub", {"a.xhtml": "<h1>What? A/B</h1>One.", "b.xhtml": "<h1>Two</h1>Two."})
    assert voice("book", path, "-o", "out/", "--quiet").code == 0
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["1 What  A B.m4a", "2 Two.m4a"]
    with av.open(str(tmp_path / "out" / "2 Two.m4a")) as container:
        tags = container.metadata
        assert (tags["title"], tags["album"], tags["artist"]) == ("Two", "The & Book", "Ann Example, Bob Other")
        assert tags["track"] == "2/2"
        assert container.streams.video


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_in_every_chapter_makes_the_same_file(voice, source, tmp_path, number):
    """Each run is stopped after the first chapter that it has made, which is while it makes the next one."""
    whole = tmp_path / "whole"
    whole.mkdir()
    done = subprocess.run(
        [*VOICE, "book", source, "-o", whole / "b.m4b"], env=environment_in(whole), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    made = 0
    while True:
        process = subprocess.Popen(
            [*VOICE, "book", source], env=environment_in(tmp_path), cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        with process:
            for line in process.stderr:
                if "chapter " in line:
                    process.send_signal(number)
                    break
            rest = process.stderr.read()
        before, made = made, len([each for each in stored(tmp_path) if each.suffix == ".m4a"])
        if process.returncode == 0:
            break
        assert process.returncode == -number
        assert made > before
        if number == signal.SIGINT:
            assert f"{made} of 4 chapters are made; the same command continues with the rest" in rest
            assert all(each.suffix == ".m4a" for each in stored(tmp_path))
    assert (tmp_path / "b.m4b").read_bytes() == (whole / "b.m4b").read_bytes()
    assert [each.name for each in stored(whole)] == [each.name for each in stored(tmp_path) if each.suffix == ".m4a"]


def test_a_chapters_process_ends_with_its_parent(source, tmp_path):
    with SpeechServer(Answer(bytes(4800), chunk=480, byte_rate=960)) as server:
        process = subprocess.Popen(
            [*VOICE, "book", source, "--base-url", server.url],
            env=environment_in(tmp_path),
            cwd=tmp_path,
            stderr=subprocess.DEVNULL,
        )
        server.wait_for(1)
        process.kill()
        process.wait()
        assert server.client_left.wait(30)


def test_requests_of_a_server_are_sent_ahead_and_again(voice, source, tmp_path):
    sound = Answer(b"\1\2" * 24000)
    failed = []

    def answer(request):
        if json.loads(request.body)["input"] not in failed:
            failed.append(json.loads(request.body)["input"])
            return Answer(b"", status=503)
        return sound

    with SpeechServer(answer) as server:
        done = voice("book", source, "--base-url", server.url, "--json")
        assert done.code == 0, done.err
        assert len(server.requests) > len(failed) > 5
    assert titles(tmp_path / "b.m4b") == ALL
    with av.open(str(tmp_path / "b.m4b")) as container:
        assert container.streams.audio[0].rate == 24000


def test_an_error_of_a_chapter_keeps_those_before_it(voice, source, tmp_path):
    def answer(request):
        return Answer(b"\1\2" * 4800) if "book" in request.body.decode() else Answer(b"", status=401)

    with SpeechServer(answer) as server:
        done = voice("book", source, "--base-url", server.url, "-q")
    assert done.code == 4
    first, second = done.err.splitlines()
    assert first == "voice: 1 of 4 chapters are made; the same command continues with the rest"
    assert "refuses the key (401)" in second
    assert [each.suffix for each in stored(tmp_path)] == [".m4a"]
    assert not (tmp_path / "b.m4b").exists()


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        ("b.ogg", 2, "b.ogg: a book has the suffix .m4b, .m4a, .mp4"),
        ("none/b.m4b", 10, "there is no folder"),
        ("b.md/", 10, "cannot create the folder"),
    ],
)
def test_the_output_is_checked_before_anything_is_made(voice, source, tmp_path, output, code, message):
    done = voice("book", source, "-o", output)
    assert done.code == code
    assert message in done.line
    assert not (tmp_path / ".cache").exists()


def test_errors_of_the_source_and_of_values(voice, tmp_path):
    assert "cannot read none.epub" in voice("book", "none.epub").line
    (tmp_path / "b.txt").write_text("words")
    assert voice("book", "b.txt", "--speed", "9").code == 2
    assert voice("book", "b.txt", "-p", "none").code == 3


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="Windows has no terminals of this kind")
def test_a_terminal_shows_a_bar(source, tmp_path):
    code, drawn, _ = command.on_terminal("book", source, folder=tmp_path, environment=own_cache(tmp_path))
    assert code == 0
    assert "4/4 Chapter 2" in drawn
    assert "%" in drawn
    assert "saved b.m4b: 4 chapters" in drawn


@pytest.mark.parametrize(
    ("language", "more", "voice_of_book"),
    [("de", (), "de"), ("de-AT", (), "de"), ("en-US", (), None), ("zxx", (), None), ("de", ("-v", "fr"), "fr")],
)
def test_the_embedded_voice_speaks_the_books_language(voice, tmp_path, language, more, voice_of_book):
    path = tmp_path / "b.html"
    path.write_text(f'<html lang="{language}"><p>Guten Morgen.</p></html>')
    assert voice("book", path, *more, "-q").code == 0
    path.write_text("<p>Guten Morgen.</p>")
    chosen = ("-v", voice_of_book) if voice_of_book else ()
    assert not voice("book", path, *chosen, "--json").json["chapters"][0]["new"]
