"""A backend whose takes fail as a test says, and what is heard of it."""

import threading

import numpy as np

from support.player import FakeStream
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.errors import NetworkError, TruncatedAudio
from voice_cli.script.line import Line
from voice_cli.speech.assembly import Speech
from voice_cli.speech.events import Audio
from voice_cli.speech.narration import Narration
from voice_cli.speech.recovery import Policy, Recovery, Target

MONO = AudioFormat(24_000, 1)
CHUNK = 4096


def refused():
    return NetworkError("the server refused the connection", is_transient=True)


def cut():
    return TruncatedAudio("the connection broke")


def take(sound, *, until=None, error=None, audio_format=MONO):
    """Return a function that makes the stream of a take, which is cut at the byte `until`."""
    data = np.asarray(sound, "<i2").tobytes()

    def make():
        sent = data if until is None else data[:until]
        end = error if error is not None else (True if until is None else cut())
        pieces = [sent[at : at + CHUNK] for at in range(0, len(sent), CHUNK)]
        return FakeStream(*pieces, expected=Encoding("pcm", audio_format), end=end)

    return make


class TakesBackend(Backend):
    """Answers each request with the next take: a function that returns a stream, or an error to raise."""

    name = "takes"
    is_remote = True

    def __init__(self, *takes, repeats=False):
        self._takes = list(takes)
        self._repeats = repeats
        """Whether the last take is used again."""
        self.requests = []
        self.requested = threading.Event()

    def synthesize(self, request):
        self.requests.append(request)
        self.requested.set()
        made = self._takes[0] if self._repeats and len(self._takes) == 1 else self._takes.pop(0)
        if isinstance(made, BaseException):
            raise made
        return made() if callable(made) else made

    def voices(self):
        return []


def narrate(backend, *texts, fallbacks=(), policy=Policy(), breaker=None):  # noqa: B008  a constant
    """Start a narration that recovers."""
    lines = [Line(text, text.strip()) for text in texts]

    def target(name, one):
        return Target(name, lambda: one, lambda line: SpeechRequest(line.spoken))

    targets = [target("first", backend), *(target(f"fallback {n}", each) for n, each in enumerate(fallbacks, 1))]
    narration = Narration(backend, lines, lambda line: SpeechRequest(line.spoken), is_one=len(lines) == 1)
    narration.recovery = Recovery(targets, policy, breaker)
    narration.start(first=True)
    return narration


def heard(narration, *, pause=None):
    """Return the sound of a narration, and the error that ended it."""
    speech = Speech(narration, pause=pause)
    data, error = b"", None
    try:
        for event in speech:
            if isinstance(event, Audio):
                data += event.chunk.data
    except Exception as exc:
        error = exc
    return np.frombuffer(data, "<i2"), error, speech
