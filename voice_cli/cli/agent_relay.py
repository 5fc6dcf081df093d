"""What a speech of the agent does, sent to its client: what is recorded, what is heard, and the state."""

import time
from bisect import bisect_right
from typing import TYPE_CHECKING

from voice_cli.agent.messages import MAX_BYTES, Message
from voice_cli.agent.session import Session
from voice_cli.audio import PcmChunk
from voice_cli.cli.status import TextDisplay
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.recording.recorder import Recorder
from voice_cli.speech.spoken import sort_text

if TYPE_CHECKING:
    from voice_cli.cli.event_watch import EventWatch
    from voice_cli.speech.narration import Narration


WATCH_SECONDS = 0.05
"""Seconds between two messages `progress`."""


class RelayRecorder(Recorder):
    """Sends what is to be saved to the client, which writes the file."""

    def __init__(self, session: Session, kept: str | None) -> None:
        """`kept`: the codec whose bytes are saved unchanged; of others, the PCM is sent."""
        self._session = session
        self._kept = kept
        self._is_kept = False

    def begin(self, codec: str) -> None:
        self._is_kept = codec == self._kept
        self._session.send({"type": "recording", "codec": codec})

    def splice(self) -> None:
        self._is_kept, self._kept = False, None
        self._session.send({"type": "spliced"})

    def write_encoded(self, data: bytes) -> None:
        if self._is_kept:
            self._send({"type": "recorded"}, data)

    def write_pcm(self, chunk: PcmChunk) -> None:
        if not self._is_kept:
            self._send({"type": "recorded", "rate": chunk.format.rate, "channels": chunk.format.channels}, chunk.data)

    def _send(self, message: Message, data: bytes) -> None:
        size = MAX_BYTES // 12 * 12  # whole frames
        for at in range(0, len(data), size):
            self._session.send(message, data[at : at + size])

    def close(self, *, complete: bool) -> None:
        """Do nothing: the client closes the file."""


class Relay:
    """Sends what a speech does to the client, as it happens."""

    def __init__(
        self,
        session: Session,
        narration: "Narration",
        *,
        shows: bool,
        watches: bool,
        events_since: float | None = None,
    ) -> None:
        """Set what is sent.

        Args:
            session: of the client.
            narration: the speech.
            shows: the text, as it is heard.
            watches: the state, for the status line.
            events_since: the events, with their times since that; None: no events.

        """
        self._events: EventWatch | None = None
        if events_since is not None:
            from voice_cli.cli import event_watch

            self._events = event_watch.EventWatch(self._send_event, narration, events_since)
        self._session = session
        self._narration = narration
        self._watches = watches
        self._display = TextDisplay(lambda text: session.send({"type": "shown", "text": text})) if shows else None
        self._has_started = False
        self._sent = (-1, 0)
        self._watched_at = 0.0

    def update(self, player: Player) -> None:
        """Send what has changed since the last call; later, if the client does not read now."""
        if not self._session.is_writable:
            return
        if not self._has_started and player.position:
            self._has_started = True
            self._session.send({"type": "started"})
        if self._display is not None:
            self._display.update(player)
        self._send_heard(player)
        if self._events is not None:
            self._events.update(player)
        if self._watches and time.monotonic() - self._watched_at > WATCH_SECONDS:
            self._watched_at = time.monotonic()
            self._send_progress(player)

    def _send_heard(self, player: Player) -> None:
        utterances, spans = player.utterances, player.spans
        here = spans[-1][1]
        index = bisect_right(utterances, here, key=lambda utterance: utterance.start or 0.0) - 1
        if index < 0 or not self._has_started:
            return
        line = utterances[index].line
        _, _, rest = sort_text([utterances[index]], [(0.0, here)])
        if (sent := (index, len(rest))) != self._sent:
            self._sent = sent
            self._session.send({"type": "heard", "rest": rest, "end": line.end})

    def _send_progress(self, player: Player) -> None:
        self._session.send(
            {
                "type": "progress",
                "state": player.state.value,
                "position": player.position,
                "made": player.timeline.audio_seconds,
                "done": self._narration.progress(),
                "total": self._narration.total,
                "fallback": self._narration.recovery.fallback if self._narration.recovery is not None else None,
                "paused": player.is_paused,
                "volume": player.volume,
                "speed": player.speed,
            }
        )

    def _send_event(self, fields: dict[str, object]) -> None:
        self._session.send({"type": "event", "fields": fields})

    def finish(self, player: Player, result: PlaybackResult) -> None:
        """Send the rest."""
        if self._events is not None:
            self._events.finish(player, result)
        if self._display is not None:
            self._display.finish(result)
