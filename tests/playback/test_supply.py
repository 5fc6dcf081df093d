"""Speech that arrives more slowly than it is played, simulated: where playback waits, and that nothing is lost."""

import random
from array import array

import pytest

from support.player import MONO, FakeStream, Rig
from voice_cli.playback.prebuffer import Prebuffer
from voice_cli.playback.supply import BEARABLE_SECONDS, Arrivals

RATE = MONO.rate
SECONDS = 24
CHARS = 15.0
"""A second."""


def phrases(seconds=SECONDS, seed=1):
    """Return s16 samples that are never 0, with pauses of 0.25 to 0.4 s after 1.2 to 2.6 s, and where these are."""
    rng = random.Random(seed)
    samples = array("h", (rng.randrange(2000, 9000) * rng.choice((1, -1)) for _ in range(seconds * RATE)))
    pauses, at = [], 0
    while (at := at + int(RATE * rng.uniform(1.2, 2.6))) < len(samples) - RATE:
        end = at + int(RATE * rng.uniform(0.25, 0.4))
        samples[at:end] = array("h", [1]) * (end - at)
        pauses.append((at / RATE, end / RATE))
        at = end
    return samples, pauses


def steady(rate, chunk=0.05):
    """Return (time, seconds of speech by then) for chunks that arrive at `rate` seconds a second."""
    return [(step * chunk / rate, (step + 1) * chunk) for step in range(round(SECONDS / chunk))]


def bursts(rate, seed=3):
    """Return arrivals of bursts of 0.1 to 1 s of speech, each when its last sample is ready."""
    rng, at, arrivals = random.Random(seed), 0.0, []
    first = None
    while at < SECONDS:
        at = min(SECONDS, at + rng.uniform(0.1, 1.0))
        first = at if first is None else first
        arrivals.append(((at - first) / rate, at))
    return arrivals


def stalled(arrivals, at, seconds):
    """Return the arrivals with a stall at that second of the speech."""
    return [(when + (seconds if arrived > at else 0.0), arrived) for when, arrived in arrivals]


def caught_up(arrivals, at, seconds, until):
    """Return the arrivals with a stall, after which the speech up to the second `until` arrives at once."""
    over = next(when for when, arrived in arrivals if arrived > at) + seconds
    late = stalled(arrivals, at, seconds)
    return [(min(when, over) if arrived <= until else when, arrived) for when, arrived in late]


class Listening:
    """One playback of arrivals."""

    def __init__(self, arrivals, *, knows=True, controls=None, **prebuffer):
        samples, self.pauses = phrases()
        sent = samples.tobytes()
        stream = FakeStream(end=False)
        controls = dict(controls or {})
        given = steps = 0
        with Rig(
            [stream], prebuffer=Prebuffer(**prebuffer), characters=round(SECONDS * CHARS) if knows else None
        ) as rig:
            rig.opened()
            pending = list(arrivals)
            while rig._pump.source is None or rig.source.ended_at is None:
                now = steps / 100
                while pending and pending[0][0] <= now:
                    upto = 2 * round(pending.pop(0)[1] * RATE)
                    rig.give(sent[given:upto])
                    given = upto
                    if not pending:
                        rig.end()
                for at in [at for at in controls if at <= now]:
                    controls.pop(at)(rig.player)
                rig._pump.turn_gate()
                if rig._pump.source is not None:
                    rig.step(0.01)
                steps += 1
            self.result = rig.play_out()
            self.started = rig.source.started_at - rig.sink.latency
            self.waits = [(gap.position, gap.seconds) for gap in rig.source.underruns]
            self.rebuffers = rig.source.rebuffer_count
            played = rig.played()
        self.sent, self.played = sent, played
        self.least = max(when - before for (when, _), (_, before) in zip(arrivals[1:], arrivals, strict=False))
        self.metrics = self.result.metrics

    def is_in_pause(self, position):
        return any(start - 0.001 <= position <= end for start, end in self.pauses)

    def __repr__(self):
        shown = [(round(at, 2), round(seconds, 2), self.is_in_pause(at)) for at, seconds in self.waits]
        return f"start {self.started:.2f}, least {self.least:.2f}, waits {shown}, {self.metrics.arrival_rate}"


def learned(first):
    """Return what a second run knows."""
    metrics = first.metrics
    rate = metrics.audio_ms / (metrics.audio_ms + metrics.arrival_lag_ms)
    return {"rate": rate, "chars_per_second": metrics.chars_per_second}


@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95])
def test_steady_slow_speech_has_one_wait_at_most_and_none_when_its_rate_is_known(rate):
    first = Listening(steady(rate))
    assert first.played == first.sent
    assert len(first.waits) <= 1
    assert all(first.is_in_pause(at) for at, _ in first.waits)
    assert first.rebuffers == len(first.waits)
    second = Listening(steady(rate), smooth="start", **learned(first))
    assert second.played == second.sent
    assert second.waits == []
    assert second.least <= second.started <= 1.2 * second.least


@pytest.mark.parametrize("seed", [3, 4, 5])
@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95])
def test_bursts_of_slow_speech_have_one_wait_at_most_and_none_when_its_rate_is_known(rate, seed):
    first = Listening(bursts(rate, seed))
    assert first.played == first.sent
    assert len(first.waits) <= 1
    second = Listening(bursts(rate, seed), smooth="start", **learned(first))
    assert second.played == second.sent
    assert second.waits == []
    assert second.least <= second.started <= 1.25 * second.least


@pytest.mark.parametrize("rate", [1.05, 1.2, 2.0])
def test_speech_that_is_fast_enough_is_not_delayed(rate):
    smooth, before = Listening(steady(rate)), Listening(steady(rate), smooth="off")
    assert smooth.started == before.started
    assert smooth.waits == before.waits == []


@pytest.mark.parametrize(
    ("rate", "at"),
    [
        *((0.8, 12), (0.95, 12), (1.05, 12), (1.2, 3), (1.2, 12), (2.0, 3)),
        *((1.3, 6.3), (2.0, 3.5), (2.0, 4.2), (2.0, 6.3)),  # more than what is needed to go on is behind the pause
    ],
)
def test_a_stall_is_one_wait_in_a_pause(rate, at):
    heard = Listening(stalled(steady(rate), at, 4.0))
    assert heard.played == heard.sent
    assert len(heard.waits) == heard.rebuffers == 1
    assert heard.is_in_pause(heard.waits[0][0])
    assert heard.waits[0][1] < 4.2


@pytest.mark.parametrize(("rate", "at", "until"), [(1.6, 2.2, 4.9), (1.6, 2.8, 4.9), (2.0, 6.3, 8.0)])
def test_a_stall_whose_delay_is_made_up_for_is_one_wait(rate, at, until):
    """The rest of a sentence arrives at once, and the next one follows only when it is due."""
    heard = Listening(caught_up(steady(rate), at, 4.0, until))
    assert heard.played == heard.sent
    assert len(heard.waits) == 1
    assert heard.waits[0][1] < 4.2


def test_off_waits_where_the_ring_runs_empty():
    heard = Listening(steady(0.8), smooth="off")
    assert heard.played == heard.sent
    assert heard.started < 0.3
    assert len(heard.waits) > 1
    assert heard.rebuffers == 0


def test_pauses_start_with_the_first_phrase():
    heard = Listening(steady(0.8), smooth="pauses")
    assert heard.started < 3
    assert len(heard.waits) == heard.rebuffers == 1


def test_the_start_is_not_delayed_for_longer_than_is_bearable():
    assert Listening(steady(0.75), rate=0.75, chars_per_second=CHARS).started == pytest.approx(8, rel=0.1)
    heard = Listening(steady(0.65), rate=0.65, chars_per_second=CHARS)  # would be 12.9 s
    assert heard.started < BEARABLE_SECONDS / 2
    assert len(heard.waits) == heard.rebuffers == 1


@pytest.mark.parametrize("smooth", ["auto", "start", "pauses"])
def test_speech_of_unknown_length_waits_only_in_pauses(smooth):
    heard = Listening(steady(0.8), knows=False, smooth=smooth)
    assert heard.played == heard.sent
    assert heard.started < 3
    assert 1 <= len(heard.waits) <= 5
    assert all(heard.is_in_pause(at) for at, _ in heard.waits)


def test_a_faster_speed_needs_a_reserve_too():
    heard = Listening(steady(1.2), controls={3.0: lambda player: player.set_speed(1.7)})
    assert heard.metrics.rebuffers == heard.metrics.underruns >= 1
    assert heard.result.heard == pytest.approx(SECONDS, abs=0.05)


def test_a_pause_and_skips_while_playback_waits():
    controls = {
        9.0: lambda player: player.pause(),
        10.0: lambda player: player.resume(),
        12.0: lambda player: player.skip(-1),
    }
    heard = Listening(stalled(steady(1.2), 6, 8.0), controls=controls)
    assert heard.result.heard == pytest.approx(SECONDS, abs=0.001)
    assert heard.result.spans[-1] == (0.0, pytest.approx(SECONDS, abs=0.001))
    assert heard.metrics.paused_ms is not None


def test_the_rate_within_a_burst_is_that_before_it():
    arrivals = Arrivals()
    arrivals.note(0.0, 0.0, 0.0)
    for burst in range(1, 5):
        for part in range(10):
            arrivals.note(1.25 * burst + 0.001 * part, burst + part / 10, burst + part / 10)
        assert arrivals.low == pytest.approx(0.8, abs=0.03)


def test_time_in_which_text_is_awaited_is_not_measured():
    arrivals = Arrivals()
    for start, audio in ((10.0, 0.0), (100.0, 2.0)):
        for step in range(5):
            arrivals.note(start + step, audio + 0.5 * step, audio + 0.5 * step)
        arrivals.rest()
    assert arrivals.rate == pytest.approx(0.5)
    assert arrivals.lag == pytest.approx(2.0)
    assert arrivals.waited(1000.0) == 8.0
