"""A backend behind the cache: what is kept, what is not, and that a cached utterance opens nothing."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest

from support.player import FakeStream
from support.recovery import MONO, TakesBackend, cut, heard, refused, take
from voice_cli.audio import Encoding
from voice_cli.backends.base import SpeechRequest, WordEvent
from voice_cli.errors import Interrupted, ServerError, TruncatedAudio
from voice_cli.script.line import Line
from voice_cli.speech.assembly import Speech
from voice_cli.speech.cache import Cache
from voice_cli.speech.caching import CachingBackend, key_of
from voice_cli.speech.events import Audio, EncodedData
from voice_cli.speech.narration import Narration
from voice_cli.speech.recovery import Policy, Recovery, Target

SOUND = (np.arange(1, 48_001) % 20_000).astype("<i2")


class Opened:
    """Opens a backend in a context, and counts."""

    def __init__(self, backend):
        self.backend = backend
        self.opened = self.closed = 0

    @contextmanager
    def __call__(self):
        self.opened += 1
        yield self.backend
        self.closed += 1


@pytest.fixture
def cache(tmp_path):
    return Cache(str(tmp_path / "speech"), 10_000_000)


def caching(cache, *takes, settings=("http",)):
    opened = Opened(TakesBackend(*takes))
    return CachingBackend("takes", cache, settings, opened, is_remote=True), opened


def narrate(backend, *texts, policy=None):
    narration = Narration(
        backend, [Line(text, text) for text in texts], lambda line: SpeechRequest(line.spoken), is_one=len(texts) == 1
    )
    if policy is not None:
        target = Target("first", lambda: backend, lambda line: SpeechRequest(line.spoken))
        narration.recovery = Recovery([target], policy)
    narration.start(first=True)
    return narration


def cancelled_at(kind, narration):
    """Cancel the speech at its first event of a kind, and return the error that ended it."""
    speech = Speech(narration)
    seen = []
    try:
        for event in speech:
            if isinstance(event, kind):
                seen.append(event)
                speech.cancel()
    except Interrupted as exc:
        assert len(seen) == 1
        return exc
    return None


def test_the_second_time_the_backend_is_not_opened(cache):
    first, opened = caching(cache, take(SOUND))
    sound, error, speech = heard(narrate(first, "A."))
    first.close()
    assert error is None
    assert (opened.opened, opened.closed) == (1, 1)
    assert not speech.utterances[0].stream.is_cached
    again, not_opened = caching(cache)
    sound_again, error, speech = heard(narrate(again, "A."))
    assert again.expected("pcm") == Encoding("pcm", MONO)
    again.close()
    assert error is None
    np.testing.assert_array_equal(sound, SOUND)
    np.testing.assert_array_equal(sound_again, SOUND)
    stream = speech.utterances[0].stream
    assert stream.is_cached
    assert "request_sent" not in stream.timestamps
    assert not_opened.opened == 0


def test_some_utterances_of_a_speech_may_be_cached(cache):
    first, _ = caching(cache, take(SOUND[:100]), take(SOUND[200:300]))
    heard(narrate(first, "A.", "C."))
    again, opened = caching(cache, take(SOUND[100:200]))
    sound, error, speech = heard(narrate(again, "A.", "B.", "C."))
    assert error is None
    np.testing.assert_array_equal(sound, SOUND[:300])
    assert [each.stream.is_cached for each in speech.utterances] == [True, False, True]
    assert [request.text for request in opened.backend.requests] == ["B."]


def test_words_are_kept(cache):
    stream = take(SOUND)()
    stream.words = [WordEvent(0, 1, 0.5), WordEvent(2, 1, 0.75, estimated=True)]
    heard(narrate(caching(cache, lambda: stream)[0], "A b."))
    _, _, speech = heard(narrate(caching(cache)[0], "A b."))
    assert list(speech.utterances[0].stream.words) == stream.words


def unmarked():
    stream = take(SOUND)()
    stream.end_is_marked = False
    return stream


@pytest.mark.parametrize(
    "made",
    [
        take(SOUND, until=3000),
        take(SOUND, until=3000, error=ServerError("failed")),
        take(SOUND, until=0, error=refused()),
        unmarked,
        lambda: FakeStream(expected=Encoding("pcm", MONO), end=True),
        lambda: FakeStream(b"RIFF\0\0\0\0WAVE", expected=Encoding("wav"), end=True),
        lambda: FakeStream(b"ID3 no audio" * 100, expected=Encoding("mp3"), end=True),
        lambda: FakeStream(SOUND.tobytes()[:3], expected=Encoding("pcm", MONO), end=True),
    ],
    ids=["cut", "failed", "refused", "end not marked", "empty", "header only", "no audio", "half a frame"],
)
def test_a_stream_that_is_not_whole_leaves_nothing(cache, made):
    heard(narrate(caching(cache, made)[0], "A."))
    assert cache.usage().files == 0


def test_a_stream_that_is_too_short_for_its_text_leaves_nothing(cache):
    text = "many words " * 20
    _, error, _ = heard(narrate(caching(cache, take(SOUND[:2400]))[0], text))
    assert error is None
    assert cache.usage().files == 0


def test_a_cancelled_stream_leaves_nothing(cache):
    assert isinstance(cancelled_at(EncodedData, narrate(caching(cache, take(SOUND))[0], "A.")), Interrupted)
    assert cache.usage().files == 0


def test_of_a_resumed_utterance_the_whole_take_is_kept(cache):
    backend, opened = caching(cache, take(SOUND, until=48_000), take(SOUND))
    sound, error, _ = heard(narrate(backend, "A.", policy=Policy()))
    assert error is None
    assert len(opened.backend.requests) == 2
    np.testing.assert_array_equal(sound, SOUND)
    again, error, speech = heard(narrate(caching(cache)[0], "A.", policy=Policy()))
    assert error is None
    assert speech.utterances[0].stream.is_cached
    np.testing.assert_array_equal(again, SOUND)


def test_an_error_of_the_backend_is_raised_as_without_the_cache(cache):
    backend, _ = caching(cache, take(SOUND, error=cut(), until=100))
    sound, error, _ = heard(narrate(backend, "A."))
    assert isinstance(error, TruncatedAudio)
    np.testing.assert_array_equal(sound, SOUND[:50])


def test_a_cached_stream_is_cancelled(cache):
    heard(narrate(caching(cache, take(SOUND))[0], "A."))
    assert isinstance(cancelled_at(Audio, narrate(caching(cache)[0], "A.")), Interrupted)


def test_after_close_the_backend_is_not_opened(cache):
    backend, opened = caching(cache, take(SOUND))
    backend.close()
    with pytest.raises(Interrupted):
        backend.synthesize(SpeechRequest("A."))
    assert opened.opened == 0


def test_threads_open_one_backend(cache):
    backend, opened = caching(cache)
    threads = [threading.Thread(target=lambda: backend.backend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened.opened == 1


REQUEST = SpeechRequest("Hello", voice="a")


@pytest.mark.parametrize(
    "other",
    [
        REQUEST._replace(text="Hello "),
        REQUEST._replace(voice=None),
        REQUEST._replace(model="m"),
        REQUEST._replace(codec="mp3"),
        REQUEST._replace(speed=1.5),
        REQUEST._replace(instructions="calm"),
        REQUEST._replace(options={"steps": 3}),
    ],
)
def test_the_key_has_all_of_the_request(other):
    assert key_of(("http",), REQUEST) != key_of(("http",), other)
    assert key_of(("http",), REQUEST) == key_of(("http",), REQUEST._replace(due=5.0))
    assert key_of(("http", "there"), REQUEST) != key_of(("http",), REQUEST)


def test_a_key_of_any_text():
    assert len(key_of((), SpeechRequest("\ud800 \0 é \U0001f600"))) == 64
