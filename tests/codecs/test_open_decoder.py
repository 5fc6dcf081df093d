"""Selection of a decoder by the announced type, the requested type and the first bytes."""

import contextlib
import re
import struct
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voice_cli.codecs as voice_codecs
from support import material
from voice_cli.audio import CODECS, AudioFormat, Encoding
from voice_cli.codecs import open_decoder, preload, table
from voice_cli.codecs.media_types import encoding_of
from voice_cli.codecs.sample_types import SAMPLE_TYPES
from voice_cli.codecs.sniff import HEAD_BYTES, UNDECODED
from voice_cli.errors import DecodeError, ServerError

PCM = Encoding("pcm")
UNKNOWN = Encoding(None)
SPEECH = material.speech(material.MONO24, 0.3)
WAV = material.encoded("wav", material.MONO24)
FILES = {codec: material.encoded(codec, material.STEREO48) for codec in ("wav", "mp3", "aac", "flac", "opus")}
BARE_MP3 = material.encode("mp3", SPEECH, material.MONO24, muxer_options={"id3v2_version": "0", "write_xing": "0"})
ID3 = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)


def found(data: bytes, announced: Encoding | None = None, expected: Encoding = PCM, step: int = 1):
    """Return the codec found and the number of bytes needed, adding `step` bytes at a time."""
    for end in [*range(step, len(data), step), len(data)]:
        opened = open_decoder(announced, expected, data[:end], final=end == len(data))
        if opened is not None:
            return opened[0], end
    raise AssertionError("None at the end")


@pytest.mark.parametrize("announced", [None, UNKNOWN, PCM, Encoding("mp3"), Encoding("wav")])
@pytest.mark.parametrize("expected", [PCM, Encoding("mp3"), Encoding("opus")])
@pytest.mark.parametrize("codec", FILES)
def test_the_bytes_override_the_announcement(codec, announced, expected):
    data = FILES[codec]
    assert found(data, announced, expected)[0] == codec
    opened = open_decoder(announced, expected, data, final=True)
    assert opened is not None
    chunks = material.run(opened[1], material.every(1000, data))
    assert {chunk.format for chunk in chunks} == {material.STEREO48}


@pytest.mark.parametrize("announced", [None, UNKNOWN, PCM, Encoding("mp3"), Encoding("aac")])
def test_bare_mp3_frames(announced):
    assert BARE_MP3.startswith(b"\xff\xf3")
    codec, took = found(BARE_MP3, announced)
    assert codec == "mp3"
    # Announced PCM is overridden by two MP3 frames; announced MP3 or AAC is confirmed by one header.
    assert took == HEAD_BYTES if announced in (Encoding("mp3"), Encoding("aac")) else took < 500


def test_bare_aac_frames_override_another_announced_codec():
    assert found(FILES["aac"], PCM)[0] == found(FILES["aac"], Encoding("mp3"))[0] == "aac"


@pytest.mark.parametrize("announced", [None, PCM])
@pytest.mark.parametrize(
    "data",
    [
        SPEECH[SPEECH.index(b"\x01") :],
        b"\xff\xff\x00\x00" * 10,  # -1: a sync word of an unused layer
        b"\xff\x7f\x00\x00" * 10,
        bytes(100),
        b"\x56\xe0\x00" + bytes(100),  # like LATM, but no second frame
    ],
)
def test_short_head_is_enough_for_pcm(data, announced):
    assert found(data, announced) == ("pcm", HEAD_BYTES)
    assert found(data[:4], announced) == ("pcm", 4)


@settings(max_examples=400)
@given(st.binary(min_size=1, max_size=80), st.integers(1, 9))
def test_any_pcm_is_pcm_for_any_cut(data, step):
    try:
        codec, _ = found(data, PCM, PCM, step)
    except ServerError:
        assert data.isascii() or len(data.decode(errors="ignore")) > 0
        return
    assert codec == found(data, PCM, PCM, len(data))[0]


def test_pcm_that_begins_like_mp3_is_pcm():
    data = b"\xff\xfb\x90\x00" + SPEECH
    assert found(data, PCM)[0] == "pcm"
    assert found(b"\xff\xfb\x90\x00", PCM)[0] == "pcm"
    assert found(b"\xff", PCM)[0] == "pcm"


def test_one_whole_frame_is_mp3():
    from voice_cli.codecs.headers import mpeg_header

    length = mpeg_header(BARE_MP3).length
    assert found(BARE_MP3[:length], PCM)[0] == "mp3"
    assert found(BARE_MP3[: length - 1], PCM)[0] == "pcm"


@pytest.mark.parametrize("announced", ["wav", "opus", "mp3", "aac", "flac"])
def test_requested_pcm_overrides_a_constant_content_type(announced):
    assert found(SPEECH[10_000:], Encoding(announced))[0] == "pcm"


@pytest.mark.parametrize("codec", ["wav", "opus", "mp3", "aac", "flac"])
def test_other_data_than_requested_and_announced_is_a_decode_error(codec):
    opened = open_decoder(Encoding(codec), Encoding(codec), SPEECH[10_000:], final=False)
    assert opened is not None
    assert opened[0] == codec
    with pytest.raises(DecodeError):  # noqa: PT012  either call may raise
        opened[1].decode(SPEECH[10_000:])
        opened[1].flush()


@pytest.mark.parametrize(
    ("announced", "expected", "audio_format"),
    [
        (None, PCM, AudioFormat(24_000, 1)),
        (PCM, Encoding("pcm", AudioFormat(16_000, 1)), AudioFormat(16_000, 1)),
        (Encoding("pcm", material.STEREO44), Encoding("pcm", AudioFormat(16_000, 1)), material.STEREO44),
        (PCM, Encoding("mp3", material.STEREO44), AudioFormat(24_000, 1)),
        (Encoding("wav", material.STEREO44), Encoding("pcm", AudioFormat(8_000, 1)), AudioFormat(8_000, 1)),
    ],
)
def test_format_of_pcm(announced, expected, audio_format):
    opened = open_decoder(announced, expected, bytes(20), final=True)
    assert opened is not None
    assert opened[1].decode(bytes(20))[0].format == audio_format


@pytest.mark.parametrize("announced", [None, UNKNOWN, PCM, Encoding("mp3")])
@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n" + b"x" * 100, "<!DOCTYPE html>"),
        (b'{"error": {"message": "no such voice"}}', '{"error": {"message": "no such voice"}}'),
        (b"\n\n  upstream timed out\r\n", "upstream timed out"),
        ("Überlastet … später".encode() * 9, "Überlastet"),
        (b"\xef\xbb\xbf{}", "{}"),
        (b"busy", "busy"),
    ],
)
def test_text_is_a_server_error_with_its_first_line(body, line, announced):
    for step in (1, 7, len(body)):
        with pytest.raises(ServerError) as error:
            found(body, announced, step=step)
        assert line in str(error.value)
        assert not isinstance(error.value, DecodeError)


def test_the_quoted_line_is_short_and_printable():
    with pytest.raises(ServerError) as error:
        found(b"a" * 64 + b"\x1b]0;owned\x07\x9b" + b"b" * 5000)
    text = str(error.value)
    assert len(text) < 320
    assert text.isprintable()


@pytest.mark.parametrize("announced", [None, PCM, Encoding("mp3"), Encoding(None, unsupported="audio/mp4")])
@pytest.mark.parametrize(("name", "at", "magic"), UNDECODED)
def test_formats_without_a_decoder_are_named(name, at, magic, announced):
    with pytest.raises(DecodeError, match=re.escape(f"sent {name}, which")) as error:
        found(b"\0\0\1\x20FORM"[:at].ljust(at, b"\0") + magic + bytes(50), announced)
    assert error.value.hint


TRANSPORT = (b"\x47" + bytes(187)) * 3
LOAS = (b"\x56\xe0\x10" + bytes(16)) * 2


@pytest.mark.parametrize(("data", "name"), [(TRANSPORT, "an MPEG transport stream"), (LOAS, "LATM")])
def test_streams_without_a_decoder_are_named(data, name):
    with pytest.raises(DecodeError, match=name):
        found(data)


@pytest.mark.parametrize("data", [TRANSPORT[:376], LOAS[:19], b"\x47" + bytes(300)])
def test_data_that_only_begins_like_such_a_stream_is_pcm(data):
    assert found(data)[0] == "pcm"


@pytest.mark.parametrize(
    ("media_type", "message"),
    [
        ("text/html", "sent text/html instead of audio: e"),
        ("application/problem+json", "sent application/problem+json instead of audio: e"),
        ("audio/mp4; codecs=mp4a.40.2", "sent audio/mp4; codecs=mp4a.40.2, which voice does not decode"),
        ("multipart/mixed; boundary=x", "sent multipart/mixed; boundary=x, which voice does not decode"),
        ("audio/pcm; encoding=adpcm", "sent audio/pcm; encoding=adpcm, which voice does not decode"),
    ],
)
def test_announced_type_that_is_not_decoded_is_named(media_type, message):
    for step in (1, 7, 500):
        with pytest.raises(ServerError, match=re.escape(message)):
            found(b"e\x1b]0;title\x07\x9b\n" + SPEECH[10_000:], encoding_of(media_type), step=step)


@pytest.mark.parametrize("media_type", ["text/html", "audio/mp4", "multipart/mixed"])
@pytest.mark.parametrize("codec", FILES)
def test_bytes_override_an_undecodable_type(codec, media_type):
    assert found(FILES[codec], encoding_of(media_type))[0] == codec


@pytest.mark.parametrize("media_type", ["", "application/octet-stream", "binary/octet-stream", "audio/*"])
def test_requested_pcm_with_a_generic_type_is_pcm(media_type):
    assert found(SPEECH[10_000:], encoding_of(media_type))[0] == "pcm"


@pytest.mark.parametrize(
    ("media_type", "samples", "audio_format"),
    [
        ("audio/basic", "mulaw", AudioFormat(8000, 1)),
        ("audio/pcm; rate=16000; encoding=float; bits=32", "f32le", AudioFormat(16_000, 1)),
        ("audio/l16; rate=24000; channels=2; endianness=big-endian", "s16be", AudioFormat(24_000, 2)),
        ("audio/PCMU;rate=16000", "mulaw", AudioFormat(16_000, 1)),
    ],
)
def test_announced_sample_types_are_converted(media_type, samples, audio_format):
    raw = bytes(range(256)) * 4
    name, decoder = open_decoder(encoding_of(media_type), PCM, raw, final=True)
    assert material.joined(material.run(decoder, material.every(7, raw))) == [
        (audio_format, SAMPLE_TYPES[samples].convert(raw))
    ], name


def test_unrecognised_data_without_a_content_type_is_an_error():
    with pytest.raises(DecodeError, match="no content type"):
        found(SPEECH[10_000:], UNKNOWN, UNKNOWN)


@pytest.mark.parametrize(
    ("data", "announced", "codec"),
    [
        (ID3 + BARE_MP3, PCM, "mp3"),
        (ID3 + FILES["aac"], PCM, "aac"),
        (ID3 + FILES["aac"], Encoding("aac"), "aac"),
        (ID3 + FILES["flac"], PCM, "flac"),
        (ID3 + bytes(100), PCM, "mp3"),
        (b"ID3", PCM, "mp3"),
        (b"ID3\x04\0\0\x7f\x7f\x7f\x7f", PCM, "mp3"),
    ],
)
def test_the_codec_after_an_id3_tag(data, announced, codec):
    assert found(data, announced)[0] == codec


heads = st.sampled_from([b"RIFF", b"OggS", b"fLaC", b"ID3", b"\xff\xfb\x90", b"\xff\xf1\x50\x80", b"{", b"\0\0"])
encodings = st.sampled_from([None, UNKNOWN, *map(Encoding, CODECS)])


@settings(max_examples=400)
@given(heads, st.binary(max_size=300), encodings, encodings.filter(bool), st.integers(1, 40))
def test_result_does_not_depend_on_the_cut(head, rest, announced, expected, step):
    def answer(step):
        try:
            return found(head + rest, announced, expected, step)[0]
        except ServerError as exc:
            return type(exc)

    assert answer(step) == answer(len(head + rest)) == answer(1)


@given(st.binary(min_size=1, max_size=200), encodings, encodings.filter(bool))
def test_long_head_or_the_end_decides(data, announced, expected):
    for head in (data, data + bytes(8300)):
        with contextlib.suppress(ServerError):
            assert open_decoder(announced, expected, head, final=head is data) is not None


@pytest.mark.parametrize("codec", CODECS)
def test_decoding_after_preload_imports_nothing(codec):
    code = (
        "import sys\n"
        "from voice_cli.audio import Encoding\n"
        "from voice_cli.codecs import open_decoder, preload, table\n"
        "codec, data = sys.argv[1], sys.stdin.buffer.read()\n"
        "preload(codec)\n"
        "loaded = set(sys.modules)\n"
        "name, decoder = open_decoder(Encoding(codec), Encoding(codec), data, final=True)\n"
        "chunks = decoder.decode(data)\n"
        "new = set(sys.modules) - loaded - {'atexit'}\n"  # built in; weakref.finalize imports it
        "print(name, table.BUILT_IN[codec].module in loaded, bool(chunks), *new)\n"
    )
    data = FILES.get(codec, SPEECH[10_000:])
    done = subprocess.run([sys.executable, "-c", code, codec], input=data, capture_output=True, check=True)
    assert done.stdout.decode().split() == [codec, "True", "True"]


def test_preload_of_an_unknown_codec_is_a_value_error():
    with pytest.raises(ValueError, match="no such codec"):
        preload("midi")


def test_no_slow_modules_are_imported_until_needed():
    code = (
        "import sys, voice_cli.codecs as d; from voice_cli.audio import Encoding\n"
        "d.open_decoder(None, Encoding('pcm'), bytes(20), final=False)\n"
        "d.open_decoder(None, Encoding('wav'), b'RIFF', final=False)\n"
        "print([m for m in ('av', 'numpy', 'opuslib', 'ctypes', 'email') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_table_names_existing_classes():
    assert {*table.BUILT_IN} == {*CODECS, "mulaw"}
    for codec in table.BUILT_IN.values():
        assert issubclass(codec.load_class(codec.decoder), voice_codecs.Decoder)
        assert issubclass(codec.load_class(codec.encoder), voice_codecs.Encoder)


def test_wav_is_recognised_by_its_head():
    assert struct.unpack("<I", WAV[24:28]) == (24_000,)
    assert found(WAV, PCM) == ("wav", HEAD_BYTES)
