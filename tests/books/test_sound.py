"""Chapters' files, and the book of them, read with PyAV."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from support.books import png
from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.books.sound import SILENCE_SECONDS, ChapterWriter, Marked, format_of, join, picture_size, replacing
from voice_cli.errors import FileError

FORMAT = AudioFormat(22_050, 1)


def tone(seconds, hertz, audio_format=FORMAT):
    times = np.arange(audio_format.frames(seconds)) / audio_format.rate
    wave = np.repeat(8000 * np.sin(2 * np.pi * hertz * times), audio_format.channels)
    return wave.astype("<i2").tobytes()


def chapter(path, pcm, *, cut=4096, source=FORMAT, audio_format=None):
    writer = ChapterWriter(str(path), audio_format)
    for at in range(0, len(pcm), cut):
        writer.write(PcmChunk(source, pcm[at : at + cut]))
    writer.close()
    return str(path)


def samples(path):
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def test_a_chapter_does_not_depend_on_how_its_pcm_is_cut(tmp_path):
    pcm = tone(0.7, 440)
    files = [chapter(tmp_path / f"{cut}.m4a", pcm, cut=cut) for cut in (2, 1022, 1 << 20)]
    assert len({Path(path).read_bytes() for path in files}) == 1
    heard = samples(files[0])
    assert len(heard) / FORMAT.rate == pytest.approx(0.7 + SILENCE_SECONDS, abs=0.1)
    assert np.abs(heard[: FORMAT.frames(0.6)]).max() == pytest.approx(8000 / 32768, rel=0.2)
    assert np.abs(heard[-FORMAT.frames(SILENCE_SECONDS - 0.2) :]).max() < 1e-3


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (AudioFormat(24_000, 1), AudioFormat(24_000, 1)),
        (AudioFormat(8000, 1), AudioFormat(16_000, 1)),
        (AudioFormat(44_100, 6), AudioFormat(44_100, 2)),
        (AudioFormat(192_000, 1), AudioFormat(96_000, 1)),
        (AudioFormat(23_000, 2), AudioFormat(24_000, 2)),
    ],
)
def test_the_format_is_one_that_aac_has(tmp_path, source, expected):
    path = chapter(tmp_path / "a.m4a", tone(0.3, 440, source), source=source, cut=source.frame_bytes * 1000)
    assert format_of(path) == expected


def test_a_chapter_gets_the_format_of_the_others(tmp_path):
    path = chapter(tmp_path / "a.m4a", tone(0.3, 440), audio_format=AudioFormat(48_000, 2))
    assert format_of(path) == AudioFormat(48_000, 2)


def test_no_audio_is_an_error(tmp_path):
    with pytest.raises(FileError, match="there is no audio"):
        ChapterWriter(str(tmp_path / "a.m4a")).close()


def test_a_damaged_file_has_no_format(tmp_path):
    path = tmp_path / "a.m4a"
    assert format_of(str(path)) is None
    path.write_bytes(b"words")
    assert format_of(str(path)) is None


def test_the_book_has_chapters_tags_a_cover_and_all_samples(tmp_path):
    parts = [chapter(tmp_path / f"{hertz}.m4a", tone(1.0 + hertz / 1000, hertz)) for hertz in (300, 700, 1100)]
    noted = []
    marked = [Marked(path, f"Chapter é {number}") for number, path in enumerate(parts)]
    book = tmp_path / "b.m4b"
    seconds = join(str(book), marked, {"title": "The book", "artist": "Ann", "album": ""}, png(), noted.append)
    assert noted == [1, 2, 3]
    assert [each.name for each in tmp_path.glob("b.*")] == ["b.m4b"]
    with av.open(str(book)) as container:
        chapters = container.chapters()
        assert container.metadata["title"] == "The book"
        assert container.metadata["artist"] == "Ann"
        assert container.metadata["major_brand"] == "M4B "
        picture = next(packet for packet in container.demux(video=0))
        assert bytes(picture) == png()
    assert [each["metadata"]["title"] for each in chapters] == ["Chapter é 0", "Chapter é 1", "Chapter é 2"]
    times = [float(Fraction(each["start"]) * each["time_base"]) for each in chapters]
    heard = samples(book)
    assert len(heard) / FORMAT.rate == pytest.approx(seconds, abs=0.01)
    for start, hertz in zip(times, (300, 700, 1100), strict=True):
        part = heard[FORMAT.frames(start + 0.2) :][: FORMAT.rate]
        assert np.abs(np.fft.rfft(part)).argmax() == hertz


def test_what_libavformat_does_not_read_is_no_cover(tmp_path):
    part = chapter(tmp_path / "a.m4a", tone(0.2, 440))
    for cover in (b"", b"words", png()[:20], b"\xff\xd8\xff" + bytes(100), png().replace(b"\0\0\0\x08", b"\0\1\0\0")):
        join(str(tmp_path / "b.m4a"), [Marked(part, "A")], {}, cover)
        assert len(samples(tmp_path / "b.m4a"))


def test_the_size_of_pictures():
    assert picture_size(png()) == (8, 8)
    jpeg = av.CodecContext.create("mjpeg", "w")
    jpeg.width, jpeg.height, jpeg.pix_fmt, jpeg.time_base = 48, 32, "yuvj420p", Fraction(1, 25)
    (packet,) = jpeg.encode(av.VideoFrame(48, 32, "yuvj420p")) + jpeg.encode(None)
    assert picture_size(bytes(packet)) == (48, 32)
    for data in (b"", b"words", png()[:20], b"\xff\xd8\xff", bytes(packet)[:40]):
        assert picture_size(data) == (0, 0)


def test_a_failed_book_leaves_the_old_one(tmp_path):
    book = tmp_path / "b.m4b"
    book.write_bytes(b"old")
    with pytest.raises(FileError, match=r"cannot write .*b\.m4b"):
        join(str(book), [Marked(str(tmp_path / "none.m4a"), "A")], {})
    assert book.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_is_replaced_only_at_the_end(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(str(path)) as partial, open(partial, "wb") as file:
        file.write(b"new" * (1 // 0))
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"old"]
    with replacing(str(path)) as partial, open(partial, "wb") as file:
        file.write(b"new")
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"new"]
