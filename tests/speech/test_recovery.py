"""Requests that are sent again before any audio: retries, failover, hedging, and the circuit breaker."""

import json
import threading
import time

import numpy as np
import pytest

from support.jumping_clock import JumpingClock
from support.player import FakeStream
from support.recovery import MONO, TakesBackend, heard, narrate, refused, take
from support.threads import happened, in_thread, wait_until
from voice_cli.audio import Encoding
from voice_cli.backends.remote.failures import refusal, retry_after
from voice_cli.errors import AuthenticationError, Interrupted, NetworkError, RateLimitError, ServerError, UsageError
from voice_cli.speech import recovering_stream as recovery_module
from voice_cli.speech.assembly import Speech
from voice_cli.speech.breaker import FIRST_SECONDS, MOST_SECONDS, SECTION, Breaker
from voice_cli.speech.recovery import Policy
from voice_cli.state_file import read_section

SOUND = (np.arange(1, 4801) % 20_000).astype("<i2")


def failing(error):
    """Return a function that makes a stream that fails before any audio."""
    return lambda: FakeStream(expected=Encoding("pcm", MONO), end=error)


def busy(seconds=None):
    return RateLimitError("busy", is_transient=True, retry_after=seconds)


@pytest.mark.parametrize("error", [refused(), busy(0.01), ServerError("failed (500)", is_transient=True)])
@pytest.mark.parametrize("raised", ["by iteration", "by the request"])
def test_a_transient_error_is_retried(error, raised):
    first = [failing(error)] if raised == "by iteration" else [take(SOUND), error]
    backend = TakesBackend(*first, take(SOUND))
    texts = ["A."] if raised == "by iteration" else ["A.", "B."]  # of the first line, it is raised before the speech
    narration = narrate(backend, *texts)
    sound, ended_by, _ = heard(narration)
    assert ended_by is None
    np.testing.assert_array_equal(sound, np.tile(SOUND, len(texts)))
    assert narration.recovery.retries == 1


@pytest.mark.parametrize(
    "error",
    [AuthenticationError("401"), ServerError("404"), UsageError("no such voice"), NetworkError("bad certificate")],
)
def test_another_error_is_not_retried(error):
    backend = TakesBackend(failing(error))
    _, ended_by, _ = heard(narrate(backend, "A."))
    assert ended_by is error
    assert len(backend.requests) == 1
    assert "tried" not in error.message


def test_the_last_error_says_how_often_it_was_tried():
    backend = TakesBackend(failing(refused()), failing(busy()), failing(ServerError("failed (503)", is_transient=True)))
    _, error, _ = heard(narrate(backend, "A.", policy=Policy(tries=3)))
    assert isinstance(error, ServerError)
    assert error.message == "failed (503); tried 3 times"


def test_a_demanded_wait_beyond_the_limit_is_not_waited_for():
    backend = TakesBackend(failing(busy(30.0)))
    _, error, _ = heard(narrate(backend, "A.", policy=Policy(timeout=20.0)))
    assert isinstance(error, RateLimitError)
    assert len(backend.requests) == 1


def test_the_wait_grows_and_is_random(monkeypatch):
    limits = []
    monkeypatch.setattr("random.uniform", lambda low, high: limits.append((low, high)) or 0.0)
    backend = TakesBackend(failing(refused()), repeats=True)
    heard(narrate(backend, "A.", policy=Policy(tries=8)))
    assert limits == [(0.0, min(8.0, 0.2 * 2**n)) for n in range(7)]


def test_cancel_ends_a_wait():
    backend = TakesBackend(failing(busy(1000.0)))
    narration = narrate(backend, "A.", policy=Policy(timeout=3600.0))
    speech = Speech(narration)
    waits = threading.Event()
    stream = narration.recovery.watch(narration.utterances[0])
    wait = stream._cancelled.wait
    stream._cancelled.wait = lambda seconds: (waits.set(), wait(seconds))[1]
    ended = in_thread(lambda: list(speech))
    happened(waits)
    speech.cancel()
    assert isinstance(ended(), Interrupted)


def test_every_second_request_of_a_hundred_fails():
    kinds = [failing(refused()), failing(busy(0.0)), take(SOUND, until=3000)]
    count = 0

    class Flaky(TakesBackend):
        def synthesize(self, request):
            nonlocal count
            count += 1
            return take(SOUND)() if count % 2 else kinds[count // 2 % 3]()

    narration = narrate(Flaky(), *[f"{n}. " for n in range(100)])
    sound, error, _ = heard(narration)
    assert error is None
    np.testing.assert_array_equal(sound, np.tile(SOUND, 100))
    assert narration.recovery.retries == count - 100 > 50


# Failover.


def test_a_fallback_speaks_the_rest():
    first, other = TakesBackend(failing(refused()), repeats=True), TakesBackend(take(SOUND), repeats=True)
    narration = narrate(first, "A. ", "B. ", "C.", fallbacks=[other])
    sound, error, speech = heard(narration)
    assert error is None
    np.testing.assert_array_equal(sound, np.tile(SOUND, 3))
    assert narration.recovery.fallback == "fallback 1"
    notes = [note for each in speech.utterances for note in each.stream.notes]
    assert notes == ["first failed (the server refused the connection): fallback 1 speaks"]
    assert [request.text for request in other.requests] == ["A.", "B.", "C."]


@pytest.mark.parametrize("error", [AuthenticationError("401"), ServerError("404")])
def test_a_refusal_leads_to_the_fallback_at_once(error):
    first, other = TakesBackend(failing(error)), TakesBackend(take(SOUND))
    narration = narrate(first, "A.", fallbacks=[other])
    sound, ended_by, _ = heard(narration)
    assert ended_by is None
    np.testing.assert_array_equal(sound, SOUND)
    assert len(first.requests) == 1


def test_a_fallback_that_cannot_be_asked_leads_to_the_next_one():
    other = TakesBackend(UsageError("no speed"))
    third = TakesBackend(take(SOUND))
    sound, error, _ = heard(narrate(TakesBackend(failing(ServerError("404"))), "A.", fallbacks=[other, third]))
    assert error is None
    np.testing.assert_array_equal(sound, SOUND)


def test_if_all_fail_the_last_error_is_reported():
    other = TakesBackend(failing(AuthenticationError("the key is wrong")))
    _, error, _ = heard(narrate(TakesBackend(failing(ServerError("404"))), "A.", fallbacks=[other]))
    assert isinstance(error, AuthenticationError)
    assert error.message == "the key is wrong; tried 2 times"


def test_a_server_that_sends_nothing_in_time_is_left():
    silent = FakeStream(expected=Encoding("pcm", MONO))
    first, other = TakesBackend(silent), TakesBackend(take(SOUND))
    narration = narrate(first, "A.", fallbacks=[other], policy=Policy(first_byte_timeout=0.05))
    sound, error, speech = heard(narration)
    assert error is None
    np.testing.assert_array_equal(sound, SOUND)
    assert silent.cancelled
    assert "first sent no audio within 0.05 s" in speech.utterances[0].stream.notes[0]


def test_a_program_that_was_stopped_does_not_leave_a_server_for_that(monkeypatch):
    clock = JumpingClock()
    monkeypatch.setattr("voice_cli.speech.race.time", clock)
    slow = FakeStream(expected=Encoding("pcm", MONO))
    narration = narrate(TakesBackend(slow), "A.", fallbacks=[TakesBackend()], policy=Policy(first_byte_timeout=0.5))
    played = in_thread(lambda: heard(narration))
    wait_until(lambda: clock.calls == 3, "it does not wait")  # for the deadline, the check, and the wait
    clock.ahead = 1000.0
    wait_until(lambda: clock.calls >= 6, "it does not wait again")
    slow.give(SOUND.tobytes())
    slow.end()
    sound, error, _ = played()
    assert error is None
    np.testing.assert_array_equal(sound, SOUND)
    assert narration.recovery.fallback is None


# Hedging.


@pytest.mark.parametrize("has_fallback", [True, False])
def test_the_first_to_send_audio_wins(has_fallback):
    slow = FakeStream(expected=Encoding("pcm", MONO))
    first = TakesBackend(slow, take(SOUND))
    fallbacks = [TakesBackend(take(SOUND))] if has_fallback else []
    narration = narrate(first, "A.", fallbacks=fallbacks, policy=Policy(hedge=0.02))
    sound, error, _ = heard(narration)
    assert error is None
    np.testing.assert_array_equal(sound, SOUND)
    assert slow.cancelled
    assert narration.recovery.fallback == ("fallback 1" if has_fallback else None)


def test_the_hedge_is_cancelled_if_the_first_wins():
    slow, other = FakeStream(expected=Encoding("pcm", MONO)), FakeStream(expected=Encoding("pcm", MONO))
    fallback = TakesBackend(other)
    narration = narrate(TakesBackend(slow), "A.", fallbacks=[fallback], policy=Policy(hedge=0.02))
    played = in_thread(lambda: heard(narration))
    happened(fallback.requested)
    slow.give(SOUND.tobytes())
    slow.end()
    sound, error, _ = played()
    assert error is None
    np.testing.assert_array_equal(sound, SOUND)
    assert other.cancelled
    assert narration.recovery.fallback is None


def test_cancel_ends_a_race():
    streams = [FakeStream(expected=Encoding("pcm", MONO)) for _ in range(2)]
    fallback = TakesBackend(streams[1])
    narration = narrate(TakesBackend(streams[0]), "A.", fallbacks=[fallback], policy=Policy(hedge=0.01))
    played = in_thread(lambda: heard(narration))
    happened(fallback.requested)
    narration.cancel()
    _, error, _ = played()
    assert isinstance(error, Interrupted)
    assert all(stream.cancelled for stream in streams)


# The circuit breaker.


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state" / "learned.json")


def test_a_dead_server_costs_one_timeout_and_not_one_a_speech(path, clock):
    first, other = TakesBackend(failing(refused()), repeats=True), TakesBackend(take(SOUND), repeats=True)
    heard(narrate(first, "A.", fallbacks=[other], breaker=Breaker(path, clock)))
    asked = len(first.requests)
    for _ in range(3):
        narration = narrate(first, "A.", fallbacks=[other], breaker=Breaker(path, clock))
        sound, error, speech = heard(narration)
        assert error is None
        np.testing.assert_array_equal(sound, SOUND)
        assert "first has failed before and is not asked for 10 s" in speech.utterances[0].stream.notes[0]
    assert len(first.requests) == asked


def test_one_trial_is_made_after_a_while_and_a_success_closes(path, clock):
    breaker = Breaker(path, clock)
    breaker.failed("a")
    clock.now += FIRST_SECONDS + 1
    assert Breaker(path, clock).seconds_left("a") == 0, "the trial"
    assert Breaker(path, clock).seconds_left("a") > 0, "another speech meanwhile"
    trial = Breaker(path, clock)
    trial.succeeded("a")
    assert Breaker(path, clock).seconds_left("a") == 0
    assert read_section(path, SECTION) == {}


def test_the_time_grows(path, clock):
    lengths = []
    for _ in range(8):
        Breaker(path, clock).failed("a")
        lengths.append(Breaker(path, clock).seconds_left("a"))
    assert lengths == [min(MOST_SECONDS, FIRST_SECONDS * 2**n) for n in range(8)]


def test_a_clock_that_was_set_back_closes(path, clock):
    Breaker(path, clock).failed("a")
    clock.now -= 3600
    assert Breaker(path, clock).seconds_left("a") == 0


@pytest.mark.parametrize(
    "entry",
    [
        *(None, 1, [], "x", {}, {"failures": 1}, {"failures": "2", "at": 5}, {"failures": [1], "at": 9e5}),
        *({"failures": 1, "at": 10**400}, {"failures": 10**400, "at": "now"}, {"failures": -1, "at": -1e300}),
    ],
)
def test_a_damaged_entry_is_no_failure(path, clock, tmp_path, entry):
    (tmp_path / "state").mkdir()
    with open(path, "w") as file:
        json.dump({"servers": {"a": entry}}, file)
    breaker = Breaker(path, clock)
    assert breaker.seconds_left("a") == 0
    breaker.failed("a")
    assert Breaker(path, clock).seconds_left("a") >= FIRST_SECONDS


def test_a_target_that_works_writes_no_file(path, clock, tmp_path):
    heard(narrate(TakesBackend(take(SOUND)), "A.", fallbacks=[TakesBackend()], breaker=Breaker(path, clock)))
    assert not (tmp_path / "state").exists()


# The classes of errors.


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
def test_transient_statuses(status):
    assert refusal(status, None, where="x", headers={}).is_transient


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 415, 422, 501])
def test_final_statuses(status):
    assert not refusal(status, None, where="x", headers={}).is_transient


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), (" 0 ", 0.0), ("soon", None), ("-1", None), ("9" * 99, 86400)]
)
def test_retry_after_in_seconds(value, seconds):
    assert retry_after(value) == seconds


def test_retry_after_is_a_date():
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 90))
    assert 80 < refusal(503, None, where="x", headers={"retry-after": later}).retry_after < 91
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("Wed, 99 Oct 2015 07:28:00 GMT") is None


def test_the_module_of_the_race_is_imported_late():
    assert "race" not in vars(recovery_module)
