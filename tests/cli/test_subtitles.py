"""Subtitles beside a file."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.cli.subtitles import Cue, CueDisplay, parse, subtitles_beside
from voice_cli.errors import FileError
from voice_cli.speech.spoken import Word, subtitles

WORDS = [Word("One & <two>", 0.0, 0.5), Word("three", 0.5, 61.25), Word("four", 3723.004, 3724.0)]


@pytest.mark.parametrize("vtt", [False, True])
def test_what_voice_writes_is_read(vtt):
    found = parse(subtitles(iter(WORDS), vtt=vtt), vtt=vtt)
    assert [cue.start for cue in found] == [word.start for word in WORDS]
    assert [cue.text for cue in found][1:] == ["three", "four"]
    if vtt:
        assert found[0].text == "One & <two>"


def test_other_programs_subtitles_are_read():
    text = (
        "WEBVTT - a title\r\n\r\nNOTE\r\nno cue\r\n\r\nintro\r\n00:01.500 --> 00:02.000 align:start\r\n"
        "<v Ann>Hi <b>there</b>,\r\n  all\r\n\r\n00:00.250 --> 00:01.000\r\nfirst\r\n\r\n"
        "00:03.000 --> 00:04.000\r\n\r\n"
    )
    assert parse(text, vtt=True) == [Cue(0.25, 1.0, "first"), Cue(1.5, 2.0, "Hi there, all")]


@given(st.text(alphabet="0123456789:,.->\n <b>&;amp x", max_size=200), st.booleans())
def test_any_text_is_read(text, vtt):
    starts = [cue.start for cue in parse(text, vtt=vtt)]
    assert starts == sorted(starts)


def test_they_are_found_by_the_name(tmp_path):
    sound = str(tmp_path / "x.wav")
    assert subtitles_beside(sound) == []
    (tmp_path / "x.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nHi\n")
    assert subtitles_beside(sound) == [Cue(0.0, 1.0, "Hi")]
    (tmp_path / "x.srt").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(FileError, match=r"x\.srt"):
        subtitles_beside(sound)


def test_each_is_printed_once_when_it_is_heard():
    lines = []
    display = CueDisplay(
        lines.append, [[Cue(0.0, 0.8, "a"), Cue(1.0, 1.5, "b"), Cue(2.0, 2.5, "c")], [Cue(0.5, 1.0, "d")]]
    )
    utterances = [SimpleNamespace(start=0.0)]

    def update(*spans):
        display.update(SimpleNamespace(utterances=utterances, spans=list(spans)))

    update((0.0, 0.5))
    assert lines == ["a\n"]
    update((0.0, 0.7), (2.1, 2.15))  # skipped forward, into a cue
    assert lines == ["a\n", "c\n"]
    update((0.0, 0.7), (2.1, 2.2), (0.9, 1.1))  # and back
    update((0.0, 0.7), (2.1, 2.2), (0.9, 2.5))
    assert lines == ["a\n", "c\n", "b\n"]
    utterances.append(SimpleNamespace(start=3.0))
    update((0.0, 0.7), (2.1, 2.2), (0.9, 3.4))
    assert lines == ["a\n", "c\n", "b\n"]
    display.finish(SimpleNamespace(utterances=utterances, spans=[(0.0, 0.7), (2.1, 2.2), (0.9, 4.0)]))
    assert lines == ["a\n", "c\n", "b\n", "d\n"]
