"""`voice say` with the streams of servers that other programs get wrong."""

import struct
import wave

import numpy as np
import pytest

from support import material
from support.server import Answer
from support.sound import speech
from voice_cli.audio import AudioFormat
from voice_cli.pcm import g711

# PCM at another rate than OpenAI's.

VOICE_RATE = 22_050
SECONDS = 0.5
MODEL = "speaches-ai/piper-en_US-amy-low"


def frames(rate):
    return round(rate * SECONDS)


def samples(count):
    return np.resize(speech(SECONDS), count).astype("<i2").tobytes()


def resampling(request):
    """Answer as speaches does: at the requested rate, or at the voice's own, and without saying which."""
    return Answer(samples(frames(request.json.get("sample_rate", VOICE_RATE))), "audio/pcm")


def at_the_voice_s_rate(_request):
    return Answer(samples(frames(VOICE_RATE)), "audio/pcm")


def with_a_header(_request):
    return Answer(samples(frames(VOICE_RATE)), "audio/pcm", headers={"X-Sample-Rate": str(VOICE_RATE)})


NOTE = "the server did not say the sample rate: 24000 Hz is assumed; the format wav contains it"


@pytest.mark.parametrize(
    ("answer", "rate", "notes"),
    [(resampling, 24_000, [NOTE]), (at_the_voice_s_rate, 24_000, [NOTE]), (with_a_header, VOICE_RATE, [])],
)
def test_the_rate_of_bare_pcm_is_requested_read_from_a_header_or_assumed_with_a_note(
    voice, serve, tmp_path, answer, rate, notes
):
    arguments = ["say", "Hello", "--no-play", "-o", "a.wav", "--model", MODEL, "--base-url", serve(answer).url]
    done = voice(*arguments, "--json")
    assert (done.code, done.json["notes"]) == (0, notes)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getframerate() == rate
        assert file.getnframes() == frames(VOICE_RATE if answer is not resampling else rate)
    done = voice(*arguments)
    assert done.err.splitlines() == [f"voice: {note}" for note in notes]


# Files that other programs played as noise, cut short, or refused, with what is right.

SIZE = 48_000
PCM = samples(SIZE)
LIST = b"LIST" + struct.pack("<I", 1000) + b"INFOISFT" + struct.pack("<I", 988) + bytes(988)
MP3 = material.encoded("mp3", AudioFormat(24_000, 1), seekable=False)
MP3_FRAMES = len(material.reference(MP3, "mp3")[1]) // 2
OPUS = material.encoded("opus", AudioFormat(48_000, 1))
MP4 = struct.pack(">I", 28) + b"ftypiso5" + bytes(16) + struct.pack(">I", 5000) + b"moov" + bytes(4992)


def wav(size, data, *, rate=24_000, channels=1, bits=16, block=2, valid=None, magic=b"RIFF", ds64=b""):
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * block & 0xFFFFFFFF, block, valid or bits)
    return magic + b"\xff\xff\xff\xffWAVE" + ds64 + b"fmt \x10\0\0\0" + form + b"data" + struct.pack("<I", size) + data


def without_last_page(data):
    """Return an Ogg stream whose last page is not marked as the last."""
    at = data.rindex(b"OggS")
    page = bytearray(data[at:])
    page[5] &= ~4
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", material.ogg_crc(bytes(page)))
    return data[:at] + bytes(page)


ID3V1 = b"TAG" + b"x" * 125
FILES = {
    # name: (media types, bytes, rate, frames)
    "placeholder of 2,000,000,000": (["audio/wav"], wav(2_000_000_000, PCM), 24_000, SIZE),
    "24 bits in blocks of 4 bytes": (
        ["audio/wav"],
        wav(4 * SIZE, b"".join(b"\0\0" + PCM[at : at + 2] for at in range(0, len(PCM), 2)), bits=32, block=4, valid=24),
        24_000,
        SIZE,
    ),
    "RF64 with a chunk after the data": (
        ["audio/wav"],
        wav(
            0xFFFFFFFF,
            PCM + LIST,
            magic=b"RF64",
            ds64=b"ds64" + struct.pack("<IQQQI", 28, 0, len(PCM), SIZE, 0),
        ),
        24_000,
        SIZE,
    ),
    "size 0 and a chunk after the data": (["audio/wav"], wav(0, PCM + LIST), 24_000, SIZE),
    "Lyrics3 with a wrong size": (
        ["audio/mpeg"],
        MP3 + b"LYRICSBEGINLYR00011hello there000033LYRICS200" + ID3V1,
        24_000,
        MP3_FRAMES,
    ),
    "enhanced ID3v1": (["audio/mpeg"], MP3 + b"TAG+" + b"x" * 223 + ID3V1, 24_000, MP3_FRAMES),
    "raw µ-law": (["audio/basic"], g711.encode(samples(16_000)), 8_000, 16_000),
}
REFUSED = {
    "64 channels": (["audio/wav"], wav(len(PCM), PCM, channels=64, block=128), "64 channels"),
    "a rate of 4,294,967,295": (["audio/wav"], wav(len(PCM), PCM, rate=0xFFFFFFFF), "4294967295 Hz"),
    "fragmented MP4": (["audio/mpeg", "audio/pcm", "audio/mp4"], MP4, "MP4"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_others_get_wrong_is_complete(voice, serve, tmp_path, name):
    media_types, data, rate, count = FILES[name]
    for media_type in media_types:
        server = serve(Answer(data, media_type))
        done = voice("say", "x", "--no-play", "-o", "a.wav", "--base-url", server.url)
        assert (done.code, done.err) == (0, "")
        with wave.open(str(tmp_path / "a.wav")) as file:
            assert (file.getframerate(), file.getnframes()) == (rate, count)


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_played_is_a_server_error_that_names_it(voice, serve, tmp_path, name):
    media_types, data, words = REFUSED[name]
    for media_type in media_types:
        server = serve(Answer(data, media_type))
        done = voice("say", "x", "--no-play", "-o", "a.wav", "--base-url", server.url)
        assert done.code == 7
        assert words in done.line
        assert not (tmp_path / "a.wav").exists()


def test_an_opus_stream_without_a_last_page_is_complete_with_a_note(voice, serve):
    server = serve(Answer(without_last_page(OPUS), "audio/ogg"))
    done = voice("say", "x", "--no-play", "-o", "a.wav", "--base-url", server.url)
    assert (done.code, done.line) == (0, "the Opus stream has no last page; it is complete by its transport")
