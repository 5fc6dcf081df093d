"""Recording: the file is always valid, and an existing file is replaced only by a complete one."""

import errno
import io
import os
import shutil
import stat
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import material
from support.material import need
from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs import open_decoder, table
from voice_cli.errors import FileError, Interrupted, UsageError
from voice_cli.recording import recorder as module
from voice_cli.recording.recorder import FileRecorder, PipeRecorder, WavWriter

MONO = AudioFormat(8000, 1)
STEREO = AudioFormat(8000, 2)


def chunk(frames, audio_format=MONO, value=1):
    return PcmChunk(audio_format, struct.pack("<h", value) * frames * audio_format.channels)


def read(path):
    with wave.open(str(path)) as file:
        return AudioFormat(file.getframerate(), file.getnchannels()), file.readframes(10**9)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def no_ffmpeg(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)


class Disk(io.RawIOBase):
    """A file on a disk that is full after `room` bytes; each write takes at most `bite` bytes."""

    def __init__(self, room=10**9, bite=10**9, code=errno.ENOSPC):
        self.data = bytearray()
        self._at = 0
        self._room = room
        self._bite = bite
        self._code = code

    def write(self, data):
        data = bytes(data)[: self._bite]
        data = data[: max(0, self._room - self._at)]
        if not data:
            raise OSError(self._code, os.strerror(self._code))
        self.data[self._at : self._at + len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset, whence=os.SEEK_SET):
        self._at = offset + (len(self.data) if whence == os.SEEK_END else 0)
        return self._at

    def tell(self):
        return self._at

    def truncate(self, size):
        del self.data[size:]


# Growing WAV files.


def test_wav_is_valid_while_it_grows(tmp_path):
    recorder = FileRecorder(str(tmp_path / "a.wav"))
    recorder.begin("pcm")
    for count in range(1, 50):
        recorder.write_pcm(chunk(400))
        audio_format, kept = read(tmp_path / "a.partial.wav")
        assert audio_format == MONO
        assert 0 <= 400 * count - len(kept) // 2 <= 2000
    recorder.close(complete=True)
    assert read(tmp_path / "a.wav") == (MONO, chunk(49 * 400).data)
    assert names(tmp_path) == ["a.wav"]
    assert recorder.saved == str(tmp_path / "a.wav")


@given(st.lists(st.integers(1, 900), min_size=1, max_size=30), st.integers(1, 2), st.integers(1, 50))
def test_partial_writes_make_one_wav(counts, channels, bite):
    audio_format = AudioFormat(8000, channels)
    disk = Disk(bite=bite * 7)
    writer = WavWriter(disk, seekable=True)
    for value, count in enumerate(counts, start=1):
        writer.write(chunk(count, audio_format, value))
    writer.finish()
    with wave.open(io.BytesIO(disk.data)) as file:
        assert file.getnchannels() == channels
        assert file.readframes(10**6) == b"".join(
            chunk(count, audio_format, value).data for value, count in enumerate(counts, start=1)
        )


def test_unseekable_wav_declares_an_unknown_length():
    disk = Disk()
    writer = WavWriter(disk, seekable=False)
    writer.write(chunk(9000))
    writer.finish()
    assert struct.unpack_from("<I", disk.data, 40) == (0xFFFFFFFF,)
    assert disk.data[44:] == chunk(9000).data


def test_writer_without_input_writes_nothing():
    disk = Disk()
    WavWriter(disk, seekable=True).finish()
    assert disk.data == b""


# Codecs.


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(suffix, codec.name) for codec in table.BUILT_IN.values() for suffix in codec.suffixes if codec.name != "wav"],
)
def test_streams_own_codec_is_saved_unchanged(tmp_path, no_ffmpeg, suffix, codec):
    target = tmp_path / f"a{suffix}"
    recorder = FileRecorder(str(target))
    recorder.check()
    recorder.begin(codec)
    recorder.write_encoded(b"encoded ")
    recorder.write_pcm(chunk(100))
    recorder.write_encoded(b"bytes")
    recorder.close(complete=True)
    assert target.read_bytes() == b"encoded bytes"
    assert names(tmp_path) == [target.name]


@pytest.mark.parametrize("codec", ["wav", "pcm", "mp3", "opus", "aac", "flac"])
@pytest.mark.parametrize("name", ["a.wav", "a.WAV", "a.wave"])
def test_wav_is_written_from_frames_for_any_codec(tmp_path, no_ffmpeg, codec, name):
    recorder = FileRecorder(str(tmp_path / name))
    recorder.check()
    recorder.begin(codec)
    recorder.write_encoded(b"bytes")
    recorder.write_pcm(chunk(100))
    recorder.close(complete=True)
    assert read(tmp_path / name) == (MONO, chunk(100).data)


@pytest.mark.parametrize(
    ("name", "muxer"),
    [("a.mp3", "mp3"), ("a.flac", "flac"), ("a.opus", "ogg"), ("a.ogg", "ogg"), ("a.aac", "aac"), ("a.m4a", "mp4")],
)
def test_other_suffixes_are_encoded(tmp_path, name, muxer):
    if name == "a.m4a":
        need("ffmpeg")
    sent = material.speech(material.MONO48, 0.5)
    recorder = FileRecorder(str(tmp_path / name))
    recorder.check()
    recorder.begin("pcm")
    recorder.write_encoded(sent)
    for piece in material.every(9600, sent):
        recorder.write_pcm(PcmChunk(material.MONO48, piece))
    recorder.close(complete=True)
    assert names(tmp_path) == [name]
    assert recorder.saved == str(tmp_path / name)
    audio_format, decoded = material.reference((tmp_path / name).read_bytes(), muxer)
    assert audio_format.rate == 48_000
    assert len(decoded) / audio_format.frame_bytes == pytest.approx(24_000, abs=4000)
    if name == "a.flac":
        assert decoded == sent


def test_unsupported_rate_is_converted(tmp_path):
    """The embedded voice's 22050 Hz are not supported by Opus."""
    recorder = FileRecorder(str(tmp_path / "a.opus"))
    recorder.begin("pcm")
    recorder.write_pcm(PcmChunk(AudioFormat(22_050, 1), bytes(22_050)))
    recorder.close(complete=True)
    _, decoded = material.reference((tmp_path / "a.opus").read_bytes(), "ogg")
    assert len(decoded) / 2 == pytest.approx(24_000, abs=1000)


def test_raw_file_of_an_mp3_stream_has_its_frames(tmp_path):
    recorder = FileRecorder(str(tmp_path / "a.pcm"))
    recorder.begin("mp3")
    recorder.write_encoded(b"mp3 mp3")
    recorder.write_pcm(chunk(1000, value=77))
    recorder.close(complete=True)
    assert (tmp_path / "a.pcm").read_bytes() == chunk(1000, value=77).data


@pytest.mark.parametrize("codec", ["mp3", "opus", "aac", "flac"])
@pytest.mark.parametrize("complete", [True, False])
def test_encoded_file_is_valid_while_it_grows(tmp_path, no_ffmpeg, codec, complete):
    recorder = FileRecorder(str(tmp_path / f"a.{codec}"))
    recorder.check()
    recorder.begin("pcm")
    lengths = []
    for piece in material.every(9600, material.speech(material.MONO48, 1.0)):
        recorder.write_pcm(PcmChunk(material.MONO48, piece))
        grown = (tmp_path / f"a.partial.{codec}").read_bytes()
        _, decoder = open_decoder(None, Encoding(codec), grown, final=True)
        lengths.append(sum(chunk.seconds for chunk in decoder.decode(grown)))
        assert lengths[-1] == pytest.approx(0.1 * len(lengths), abs=0.13)
    recorder.close(complete=complete)
    assert names(tmp_path) == [f"a.{codec}"]
    data = (tmp_path / f"a.{codec}").read_bytes()
    _, decoder = open_decoder(None, Encoding(codec), data, final=True)
    chunks = decoder.decode(data) + decoder.flush()
    assert sum(chunk.seconds for chunk in chunks) == pytest.approx(1.0, abs=0.08)


def test_encoder_is_preloaded_only_if_needed(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(module, "open_encoder", lambda codec, _source: opened.append(codec))
    recorder = FileRecorder(str(tmp_path / "a.mp3"))
    recorder.preload("mp3")
    assert opened == []
    recorder.preload("pcm")
    FileRecorder(str(tmp_path / "a.m4a")).preload("pcm")
    assert opened == ["mp3"]
    PipeRecorder(Disk(), "standard output").preload("pcm")
    assert names(tmp_path) == []


def test_several_streams_are_encoded_as_one(tmp_path, no_ffmpeg):
    recorder = FileRecorder(str(tmp_path / "a.flac"), many=True)
    recorder.check()
    for value in (1, 500, 700):
        recorder.begin("flac")
        recorder.write_encoded(b"unused")
        recorder.write_pcm(chunk(800, MONO, value))
    recorder.close(complete=True)
    audio_format, decoded = material.reference((tmp_path / "a.flac").read_bytes(), "flac")
    assert audio_format == MONO
    assert decoded == b"".join(chunk(800, MONO, value).data for value in (1, 500, 700))


def test_surround_is_mixed_to_stereo_for_encoders(tmp_path, no_ffmpeg):
    recorder = FileRecorder(str(tmp_path / "a.mp3"))
    recorder.begin("flac")
    recorder.write_pcm(chunk(8000, AudioFormat(48_000, 6)))
    recorder.close(complete=True)
    audio_format, _ = material.reference((tmp_path / "a.mp3").read_bytes(), "mp3")
    assert audio_format == material.STEREO48


def test_check_finds_a_missing_ffmpeg(tmp_path, no_ffmpeg):
    FileRecorder(str(tmp_path / "a.mp3")).check()
    with pytest.raises(UsageError, match="without ffmpeg"):
        FileRecorder(str(tmp_path / "a.m4a")).check()
    assert names(tmp_path) == []


def test_missing_ffmpeg_at_close_keeps_the_wav(tmp_path, no_ffmpeg):
    recorder = FileRecorder(str(tmp_path / "a.m4a"))
    recorder.begin("wav")
    recorder.write_pcm(chunk(100))
    with pytest.raises(FileError, match="without ffmpeg") as caught:
        recorder.close(complete=True)
    assert names(tmp_path) == ["a.partial.wav"]
    assert str(tmp_path / "a.partial.wav") in caught.value.hint
    assert recorder.saved == str(tmp_path / "a.partial.wav")
    assert read(tmp_path / "a.partial.wav") == (MONO, chunk(100).data)


def test_failed_transcoding_keeps_the_wav_and_the_old_file(tmp_path, monkeypatch):
    def fails(_source, target, _muxer):
        with open(target, "wb") as file:
            file.write(b"half")
        raise RuntimeError("encoder broke")

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(module, "transcode", fails)
    (tmp_path / "a.m4a").write_bytes(b"old")
    recorder = FileRecorder(str(tmp_path / "a.m4a"))
    recorder.begin("pcm")
    recorder.write_pcm(chunk(100))
    with pytest.raises(FileError, match="ffmpeg cannot convert"):
        recorder.close(complete=True)
    assert names(tmp_path) == ["a.m4a", "a.partial.wav"]
    assert (tmp_path / "a.m4a").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.", ".wav"])
def test_unknown_suffix_error_lists_the_known_ones(tmp_path, name):
    with pytest.raises(UsageError) as caught:
        FileRecorder(str(tmp_path / name))
    assert ".wav" in caught.value.hint
    assert ".mp3" in caught.value.hint
    assert ".m4a" in caught.value.hint


# Folders.


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileError, match="there is no folder"):
        FileRecorder(str(tmp_path / "nowhere" / "a.wav")).check()


def test_folder_as_the_file_name_is_an_error(tmp_path):
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(FileError, match="is a folder"):
        FileRecorder(str(tmp_path / "a.wav")).check()


def test_unwritable_folder_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _mode: path != str(tmp_path))
    with pytest.raises(FileError, match="cannot write to the folder"):
        FileRecorder(str(tmp_path / "a.wav")).check()


def test_folder_deleted_after_the_check_is_an_error(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    recorder = FileRecorder(str(folder / "a.wav"))
    recorder.check()
    folder.rmdir()
    with pytest.raises(FileError, match="No such file or directory"):
        recorder.begin("pcm")
    recorder.close(complete=False)
    assert recorder.saved is None


def test_relative_name_is_resolved_at_the_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorder = FileRecorder("a.wav")
    recorder.check()
    recorder.begin("pcm")
    recorder.write_pcm(chunk(10))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    recorder.close(complete=True)
    assert read(tmp_path / "a.wav") == (MONO, chunk(10).data)
    assert recorder.saved == "a.wav"


# Existing files.


@pytest.mark.parametrize("complete", [True, False])
def test_existing_file_is_replaced_only_by_a_complete_one(tmp_path, complete):
    target = tmp_path / "a.wav"
    target.write_bytes(b"old")
    recorder = FileRecorder(str(target))
    recorder.begin("pcm")
    recorder.write_pcm(chunk(100))
    assert target.read_bytes() == b"old"
    recorder.close(complete=complete)
    if complete:
        assert names(tmp_path) == ["a.wav"]
        assert read(target) == (MONO, chunk(100).data)
    else:
        assert target.read_bytes() == b"old"
        assert recorder.saved == str(tmp_path / "a.partial.wav")
        assert read(tmp_path / "a.partial.wav") == (MONO, chunk(100).data)


def test_partial_recording_takes_the_name_if_unused(tmp_path):
    recorder = FileRecorder(str(tmp_path / "a.wav"))
    recorder.begin("pcm")
    recorder.write_pcm(chunk(100))
    recorder.close(complete=False)
    assert names(tmp_path) == ["a.wav"]
    assert recorder.saved == str(tmp_path / "a.wav")


@pytest.mark.parametrize("complete", [True, False])
def test_recording_without_audio_keeps_the_old_file(tmp_path, complete):
    target = tmp_path / "a.wav"
    target.write_bytes(b"old")
    recorder = FileRecorder(str(target))
    recorder.begin("pcm")
    recorder.close(complete=complete)
    assert names(tmp_path) == ["a.wav"]
    assert target.read_bytes() == b"old"
    assert recorder.saved is None


def test_stream_that_never_began_makes_no_file(tmp_path):
    recorder = FileRecorder(str(tmp_path / "a.wav"))
    recorder.check()
    recorder.close(complete=True)
    assert names(tmp_path) == []
    assert recorder.saved is None


@pytest.mark.parametrize("length", [242, 249, 255])
def test_longest_names_are_saved(tmp_path, length):
    name = f"{'n' * (length - 4)}.wav"
    recorder = FileRecorder(str(tmp_path / name))
    recorder.check()
    recorder.begin("pcm")
    recorder.write_pcm(chunk(100))
    recorder.close(complete=True)
    assert names(tmp_path) == [name]
    assert recorder.saved == str(tmp_path / name)


def test_too_long_name_is_refused_by_check(tmp_path):
    with pytest.raises(FileError, match="File name too long"):
        FileRecorder(str(tmp_path / f"{'n' * 252}.wav")).check()


def test_unfinished_file_of_another_run_is_kept(tmp_path):
    (tmp_path / "a.partial.wav").write_bytes(b"another run's")
    (tmp_path / "a.partial2.wav").write_bytes(b"and another's")
    recorder = FileRecorder(str(tmp_path / "a.wav"))
    recorder.begin("pcm")
    recorder.write_pcm(chunk(1))
    assert names(tmp_path) == ["a.partial.wav", "a.partial2.wav", "a.partial3.wav"]
    recorder.close(complete=True)
    assert names(tmp_path) == ["a.partial.wav", "a.partial2.wav", "a.wav"]
    assert (tmp_path / "a.partial.wav").read_bytes() == b"another run's"


def test_mode_of_the_replaced_file_is_kept(tmp_path):
    target = tmp_path / "a.wav"
    target.write_bytes(b"old")
    target.chmod(0o640)
    recorder = FileRecorder(str(target))
    recorder.begin("pcm")
    recorder.write_pcm(chunk(1))
    recorder.close(complete=True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize("dangling", [True, False])
def test_target_of_a_symlink_is_written(tmp_path, dangling):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "b.wav"
    if not dangling:
        target.write_bytes(b"old")
    link = tmp_path / "a.wav"
    link.symlink_to(target)
    recorder = FileRecorder(str(link))
    recorder.check()
    recorder.begin("pcm")
    recorder.write_pcm(chunk(100))
    recorder.close(complete=True)
    assert link.is_symlink()
    assert read(target) == (MONO, chunk(100).data)
    assert names(tmp_path) == ["a.wav", "there"]
    assert recorder.saved == str(link)


def test_second_stream_continues_the_same_file(tmp_path):
    recorder = FileRecorder(str(tmp_path / "a.wav"))
    for value in (1, 2):
        recorder.begin("pcm")
        recorder.write_pcm(chunk(100, value=value))
    recorder.close(complete=True)
    assert read(tmp_path / "a.wav") == (MONO, chunk(100).data + chunk(100, value=2).data)


# Disk errors.


def on(disk, path, monkeypatch):
    """Return a recorder whose file is on `disk`."""
    path.with_name("a.partial.wav").touch()
    monkeypatch.setattr(module, "open", lambda *_args, **_options: disk, raising=False)
    return FileRecorder(str(path))


def test_full_disk_is_an_error_and_the_file_stays_valid(tmp_path, monkeypatch):
    disk = Disk(room=5000)
    recorder = on(disk, tmp_path / "a.wav", monkeypatch)
    recorder.begin("pcm")
    recorder.write_pcm(chunk(2000))
    with pytest.raises(FileError, match="No space left on device"):
        recorder.write_pcm(chunk(2000, value=2))
    closing = disk.close
    monkeypatch.setattr(disk, "close", lambda: None)
    recorder.close(complete=False)
    closing()
    with wave.open(io.BytesIO(disk.data)) as file:
        assert chunk(2000).data == file.readframes(10**6)[:4000]
    assert recorder.saved == str(tmp_path / "a.wav")


def test_disk_full_at_the_first_byte_is_an_error(tmp_path, monkeypatch):
    recorder = on(Disk(room=0), tmp_path / "a.wav", monkeypatch)
    recorder.begin("pcm")
    with pytest.raises(FileError, match="No space left on device"):
        recorder.write_pcm(chunk(10))


def test_disk_error_while_writing_encoded_bytes(tmp_path, monkeypatch):
    recorder = on(Disk(room=10, code=errno.EIO), tmp_path / "a.mp3", monkeypatch)
    recorder.begin("mp3")
    with pytest.raises(FileError, match="Input/output error"):
        recorder.write_encoded(bytes(20))


def test_failed_rename_error_names_the_partial_file(tmp_path, monkeypatch):
    def refuse(*_names):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    recorder = FileRecorder(str(tmp_path / "a.wav"))
    recorder.begin("pcm")
    recorder.write_pcm(chunk(100))
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(FileError) as caught:
        recorder.close(complete=True)
    assert str(tmp_path / "a.partial.wav") in caught.value.hint
    assert read(tmp_path / "a.partial.wav") == (MONO, chunk(100).data)


# Pipes and special files.


def test_pipe_gets_wav_while_it_arrives():
    disk = Disk()
    recorder = PipeRecorder(disk, "standard output")
    recorder.begin("mp3")
    recorder.write_encoded(b"unused")
    assert disk.data == b""
    assert recorder.saved is None
    recorder.write_pcm(chunk(10))
    assert disk.data[44:] == chunk(10).data
    recorder.write_pcm(chunk(10, value=2))
    assert disk.data[44:] == chunk(10).data + chunk(10, value=2).data
    recorder.close(complete=True)
    assert recorder.saved == "standard output"


def test_closed_pipe_interrupts():
    recorder = PipeRecorder(Disk(room=0, code=errno.EPIPE), "standard output")
    with pytest.raises(Interrupted):
        recorder.write_pcm(chunk(10))
    recorder.close(complete=False)
    assert recorder.saved is None


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_full_special_file_is_an_error():
    with open("/dev/full", "wb", buffering=0) as file:
        recorder = PipeRecorder(file, "/dev/full")
        with pytest.raises(FileError, match="No space left on device"):
            recorder.write_pcm(chunk(10))
