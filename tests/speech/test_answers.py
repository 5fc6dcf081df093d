"""Generated answers of servers: types, codecs and cuts that agree, or are wrong in every way.

No answer that is not audio is played as complete, and no valid one is refused.
"""

import gzip
import random

import pytest

from support import material
from support.player import FakeStream
from voice_cli.audio import Encoding
from voice_cli.codecs.media_types import encoding_of
from voice_cli.codecs.sniff import UNDECODED
from voice_cli.errors import TruncatedAudio, VoiceError
from voice_cli.speech.assembly import Speech
from voice_cli.speech.events import Audio

ANSWERS = 2500
"""Of each kind; there are four."""
SPEECH = material.speech(material.MONO24, 0.4)
FILES = {codec: material.encoded(codec, material.MONO24, 0.4) for codec in ("wav", "mp3", "opus", "aac", "flac")}
RIGHT_TYPES = {
    "wav": ("audio/wav", "audio/x-wav"),
    "mp3": ("audio/mpeg", "audio/mp3"),
    "opus": ("audio/ogg", "audio/ogg; codecs=opus", "audio/opus"),
    "aac": ("audio/aac",),
    "flac": ("audio/flac", "audio/x-flac"),
    "pcm": ("audio/pcm", "audio/pcm; rate=24000; channels=1", "audio/L16; rate=24000"),
}
NEUTRAL_TYPES = ("", "application/octet-stream", "binary/octet-stream", "audio/*")
AUDIO_TYPES = tuple(kind for kinds in RIGHT_TYPES.values() for kind in kinds)
OTHER_TYPES = ("text/html", "text/plain; charset=utf-8", "application/json", "multipart/mixed; boundary=x", "audio/mp4")
"""Types of which no body is decoded by its type."""
TEXTS = (
    b'{"error": {"message": "voice zed is not loaded"}}',
    b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
    "Überlastet, bitte später noch einmal".encode(),
    b"event: error\ndata: {}\n\n",
)


def cut(rng, data):
    """Return the data in random pieces."""
    pieces = []
    at = 0
    while at < len(data):
        size = rng.choice((1, 7, 100, 1000, 10_000))
        pieces.append(data[at : at + size])
        at += size
    return pieces


def play(rng, data, media_type, codec, *, is_marked=True):
    """Return the PCM of an answer, and the error that ended it."""
    stream = FakeStream(*cut(rng, data), end=True)
    stream.announced, stream.expected = encoding_of(media_type), Encoding(codec)
    stream.end_is_marked = is_marked
    pcm = b""
    try:
        for event in Speech.of([stream]):
            if isinstance(event, Audio):
                pcm += event.chunk.data
    except VoiceError as exc:
        return pcm, exc
    return pcm, None


@pytest.fixture(scope="module")
def reference():
    rng = random.Random(1)
    return {codec: play(rng, data, "", codec)[0] for codec, data in FILES.items()} | {"pcm": SPEECH}


def test_valid_answers_are_played(reference):
    rng = random.Random(2)
    for _ in range(ANSWERS):
        codec = rng.choice(list(RIGHT_TYPES))
        data = FILES.get(codec, SPEECH)
        wrong = () if codec == "pcm" else (*AUDIO_TYPES, *OTHER_TYPES)
        media_type = rng.choice((*RIGHT_TYPES[codec], *NEUTRAL_TYPES, *wrong))
        expected = "pcm" if codec == "pcm" else rng.choice(("pcm", codec, "mp3", "wav"))
        if codec == "pcm" and rng.random() < 0.3:
            data = data[: 2 * rng.randrange(1, len(data) // 2)]
        pcm, error = play(rng, data, media_type, expected, is_marked=rng.random() < 0.5)
        assert error is None, (codec, media_type, expected, error)
        assert pcm == (data if codec == "pcm" else reference[codec]), (codec, media_type, expected)


def no_audio(rng):
    """Return a body that is not audio, and the types under which it may be announced."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(TEXTS) * rng.randrange(1, 5), (*AUDIO_TYPES, *NEUTRAL_TYPES, *OTHER_TYPES)
    if kind == 1:
        name, at, magic = rng.choice(UNDECODED)
        del name
        return b"\0\0\1\x20FORM"[:at].ljust(at, b"\0") + magic + rng.randbytes(3000), (*AUDIO_TYPES, *NEUTRAL_TYPES)
    body = rng.randbytes(rng.randrange(5000, 20_000))
    if kind == 2:
        body = gzip.compress(SPEECH[: rng.randrange(10_000, len(SPEECH))])[10:]
    return body, (*RIGHT_TYPES["pcm"], *NEUTRAL_TYPES)


def test_what_is_not_audio_is_never_complete():
    rng = random.Random(3)
    for _ in range(ANSWERS):
        data, media_types = no_audio(rng)
        media_type = rng.choice(media_types)
        pcm, error = play(rng, data, media_type, rng.choice(("pcm", "mp3", "wav", "opus")) if media_type else "pcm")
        assert error is not None, (data[:20], media_type)
        assert len(pcm) < 4096, (data[:20], media_type)


def test_pcm_under_a_type_of_something_else_is_refused():
    rng = random.Random(4)
    for _ in range(ANSWERS):
        begin = 2 * rng.randrange(2000, len(SPEECH) // 4)
        pcm, error = play(rng, SPEECH[begin:], rng.choice(OTHER_TYPES), "pcm")
        assert (pcm, error is not None) == (b"", True)


def test_a_part_of_an_answer_is_truncated_or_ends_between_frames(reference):
    rng = random.Random(5)
    for _ in range(ANSWERS):
        codec = rng.choice(list(FILES))
        data = FILES[codec][: rng.randrange(1, len(FILES[codec]))]
        pcm, error = play(rng, data, RIGHT_TYPES[codec][0], codec, is_marked=False)
        assert reference[codec].startswith(pcm[: len(pcm) // 2 * 2]) or codec in ("mp3", "opus")
        if error is None:
            assert codec in ("mp3", "aac"), "their frames have no last one"
        elif len(data) > 4000:
            assert isinstance(error, TruncatedAudio), (codec, error)
