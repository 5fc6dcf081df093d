"""What happens in a speech, found by looking at its player every few milliseconds (`--events`)."""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from voice_cli.cli.event_lines import milliseconds
from voice_cli.playback.history import Stretch
from voice_cli.playback.player import Outcome, PlaybackResult, Player
from voice_cli.speech.events import Utterance
from voice_cli.speech.narration import Narration
from voice_cli.speech.spoken import NEAR, told_words, words_of


class Event(NamedTuple):
    at: float
    """On `time.monotonic`."""
    kind: str
    fields: dict[str, Any]


class Hearing:
    """A part of an utterance that was heard without a break, and what was told of it."""

    def __init__(self, stretch: Stretch) -> None:
        self.stretch = stretch
        self.told: set[object] = set()

    def continues(self, stretch: Stretch) -> bool:
        """Extend it by a stretch, if that follows at once."""
        mine = self.stretch
        follows = abs(stretch.began - mine.ended) < NEAR and abs(stretch.start - mine.end) < NEAR
        if follows:
            self.stretch = mine._replace(ended=stretch.ended, end=stretch.end)
        return follows

    def time_of(self, seconds: float) -> float:
        """Return when a position of the speech was heard."""
        began, ended, start, end = self.stretch
        share = (seconds - start) / (end - start) if end > start else 0.0
        return began + min(max(share, 0.0), 1.0) * (ended - began)


class EventWatch:
    """Sends the events of one speech, in the order of their times. Call `update` often, and `finish` at the end."""

    def __init__(self, send: Callable[[dict[str, Any]], object], narration: Narration, started: float) -> None:
        """`send` is called with each event. `started`: the time from which `at_ms` counts, on `time.monotonic`."""
        self._send = send
        self._narration = narration
        self._started = started
        self._asked: dict[int, set[str]] = {}
        """The steps that were told, of each utterance whose audio has not begun."""
        self._seen = 0
        self._heard_until = -math.inf
        self._position = 0.0
        self._hearings: dict[int, list[Hearing]] = {}
        self._has_begun = False
        self._is_paused = False
        self._jumps = self._waits = self._rebuffers = self._retries = self._resumed = 0
        self._fallback: str | None = None

    def update(self, player: Player) -> None:
        """Send what has happened since the last call."""
        self._look(player, time.monotonic())

    def finish(self, player: Player, result: PlaybackResult) -> None:
        """Send the rest."""
        self._look(player, math.inf if result.outcome is Outcome.COMPLETE else time.monotonic())

    def _look(self, player: Player, until: float) -> None:
        now = time.monotonic()
        found = [
            *self._requests(),
            *self._recoveries(now),
            *self._controls(player, now),
            *self._device(player, until),
            *self._sound(player, until, now),
        ]
        for event in sorted(found, key=lambda event: event.at):
            self._send({"event": event.kind, "at_ms": milliseconds(event.at - self._started), **event.fields})

    def _requests(self) -> Iterator[Event]:
        utterances = self._narration.utterances
        for index in range(self._seen, len(utterances)):
            self._asked[index] = set()
        self._seen = len(utterances)
        for index, told in list(self._asked.items()):
            utterance = utterances[index]
            stream, is_over = utterance.stream, utterance.end is not None
            times, is_cached = dict(stream.timestamps), stream.is_cached
            at = times.get("cached" if is_cached else "request_sent")
            if at is not None and "request" not in told:
                told.add("request")
                fields = {"utterance": index, "text": utterance.line.text.strip(), "cached": is_cached}
                yield Event(at, "request", fields)
            at = times.get("first_byte")
            if at is not None and "first_byte" not in told:
                told.add("first_byte")
                yield Event(at, "first_byte", {"utterance": index})
            if is_over:
                del self._asked[index]

    def _recoveries(self, now: float) -> Iterator[Event]:
        recovery = self._narration.recovery
        if recovery is None:
            return
        if recovery.retries > self._retries:
            self._retries = recovery.retries
            yield Event(now, "retry", {"retries": self._retries})
        if recovery.fallback != self._fallback:
            self._fallback = recovery.fallback
            yield Event(now, "fallback", {"profile": self._fallback})
        for resumed in recovery.resumed[self._resumed :]:
            self._resumed += 1
            yield Event(now, "continued", {"position_ms": milliseconds(resumed.at), "by": resumed.by})

    def _controls(self, player: Player, now: float) -> Iterator[Event]:
        if player.is_paused != self._is_paused:
            self._is_paused = player.is_paused
            kind = "pause" if self._is_paused else "resume"
            yield Event(now, kind, {"position_ms": milliseconds(player.heard)})
        spans = player.spans
        if len(spans) - 1 > self._jumps:
            self._jumps = len(spans) - 1
            yield Event(now, "jump", {"position_ms": milliseconds(spans[-1][0])})

    def _device(self, player: Player, until: float) -> Iterator[Event]:
        source, audible = player.source, player.timeline.audible_seconds
        if source is None:
            return
        if not self._has_begun and audible is not None:
            at = source.history.first_time_of(audible)
            if at is not None and at <= until:
                self._has_begun = True
                yield Event(at, "first_audio", {"position_ms": milliseconds(audible)})
        count, rebuffers = source.underrun_count, source.rebuffer_count
        for gap in list(source.underruns)[len(source.underruns) - (count - self._waits) :]:
            in_pause = self._rebuffers < rebuffers
            self._rebuffers += in_pause
            at = source.history.time_of(gap.frame)
            fields = {"position_ms": milliseconds(gap.position), "duration_ms": milliseconds(gap.seconds)}
            yield Event(at or time.monotonic(), "rebuffer" if in_pause else "underrun", fields)
        self._waits = count

    def _sound(self, player: Player, until: float, now: float) -> Iterator[Event]:
        """Yield utterances and words as they are heard; without a device, as they are decoded."""
        source = player.source
        if source is not None:
            stretches = source.history.between(self._heard_until, until)
        else:
            position = player.heard
            began = now if math.isinf(self._heard_until) else self._heard_until
            stretches = [Stretch(began, now, self._position, position)] if position > self._position else []
            self._position = position
        self._heard_until = max([stretch.ended for stretch in stretches], default=self._heard_until)
        utterances = player.utterances
        for stretch in stretches:
            first = bisect_right(utterances, stretch.start - NEAR, key=lambda each: each.start or 0.0) - 1
            for index in range(max(0, first), len(utterances)):
                if (utterances[index].start or 0.0) > stretch.end:
                    break
                known = self._hearings.setdefault(index, [])
                if not (known and known[-1].continues(stretch)):
                    known.append(Hearing(stretch))
        for index in list(self._hearings):
            yield from self._of_utterance(index, utterances[index])
            if utterances[index].end is not None and self._is_past(utterances[index], index):
                del self._hearings[index]

    def _is_past(self, utterance: Utterance, index: int) -> bool:
        end = utterance.end or 0.0
        return self._hearings[index][-1].stretch.end > end + NEAR

    def _of_utterance(self, index: int, utterance: Utterance) -> Iterator[Event]:
        # Times may be known after they were heard: each part is looked at until the utterance is over.
        places: list[tuple[object, str, float, dict[str, Any]]] = []
        fields: dict[str, Any]
        if utterance.start is not None:
            fields = {"text": utterance.line.text.strip()}
            places.append(("begin", "utterance_begin", utterance.start + NEAR, fields))
        # Before the end, the times of the text after the last word may still come.
        words = told_words(utterance) if utterance.end is None else words_of(utterance) or []
        for number, word in enumerate(words):
            fields = {"word": word.text.strip()} | ({"estimated": True} if word.estimated else {})
            places.append((number, "word", word.start + NEAR, fields))
        if utterance.end is not None:
            places.append(("end", "utterance_end", utterance.end - NEAR, {}))
        for hearing in self._hearings[index]:
            start, end = hearing.stretch.start, hearing.stretch.end
            for key, kind, place, fields in places:
                if start <= place < end and key not in hearing.told:
                    hearing.told.add(key)
                    exact = place + NEAR if kind == "utterance_end" else place - NEAR
                    all_fields = {"utterance": index, **fields, "position_ms": milliseconds(exact)}
                    yield Event(hearing.time_of(exact), kind, all_fields)
