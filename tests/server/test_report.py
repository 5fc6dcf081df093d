"""The outcome of a stream, and the latency of its stages."""

import pytest

from voice_cli.errors import DecodeError, EngineError, TruncatedAudio
from voice_cli.server import report
from voice_cli.server.report import STAGES, Report


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock with one that the test sets."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(report, "time", clock)
    return clock


def test_latency_is_measured_between_first_marks(clock):
    one = Report("test", "pcm")
    for stage, at in zip(STAGES, (100.001, 100.003, 100.010, 100.020, 100.050), strict=True):
        clock.now = at
        one.mark(stage)
    clock.now = 101
    one.mark("sent")
    assert one.latency() == {
        "voice": 1.0,
        "queued": 2.0,
        "generated": 7.0,
        "encoded": 10.0,
        "sent": 30.0,
        "total": 1000.0,
    }
    assert one.first_byte_seconds == pytest.approx(0.05)


def test_stages_that_were_not_reached_are_left_out(clock):
    one = Report("test", "pcm")
    assert one.latency() == {"total": 0.0}
    assert one.first_byte_seconds is None
    assert one.real_time_factor is None


def test_an_engine_ready_before_the_voice_has_no_queue_time(clock):
    one = Report("test", "pcm")
    clock.now = 100.5
    one.mark("voice")
    one.mark("queued", 100.2)
    one.mark("generated", 100.6)
    assert one.latency() == {"voice": 500.0, "queued": 0.0, "generated": 100.0, "total": 500.0}


def test_only_complete_utterances_count_in_the_real_time_factor(clock):
    one = Report("test", "pcm")
    one.ended_utterance({"engine_ready": 100.0, "last_byte": 100.5}, 5.0)
    one.ended_utterance({"engine_ready": 100.0}, 7.0)
    assert (one.utterances, one.generation_seconds, one.generated_seconds) == (2, 0.5, 5.0)
    assert one.real_time_factor == 0.1


@pytest.mark.parametrize(
    ("error", "sent", "outcome", "reason"),
    [
        (EngineError("broken"), 0, "failed", "engine"),
        (EngineError("broken"), 10, "truncated", "engine"),
        (TruncatedAudio("cut"), 0, "truncated", "truncated"),
        (DecodeError("strange"), 0, "failed", "decode"),
    ],
)
def test_the_reason_of_a_failure_is_the_errors_kind(error, sent, outcome, reason):
    one = Report("test", "pcm")
    one.bytes = sent
    one.fail(error)
    assert (one.outcome, one.reason) == (outcome, reason)


def test_the_first_outcome_is_kept():
    one = Report("test", "pcm")
    one.stop("asked")
    one.stop("left")
    one.fail(EngineError("broken"))
    assert (one.outcome, one.reason) == ("cancelled", "asked")
    other = Report("test", "pcm")
    other.fail(EngineError("broken"))
    other.stop("left")
    assert (other.outcome, other.reason) == ("failed", "engine")


def test_the_lead_is_the_audio_not_yet_played(clock):
    one = Report("test", "pcm")
    one.audio_seconds = 3.0
    assert one.lead == 0.0
    one.mark("sent")
    assert one.lead == 3.0
    clock.now += 2
    assert one.lead == 1.0
    clock.now += 2
    assert one.lead == 0.0
