"""Speeds that a backend does not have: the tempo of its sound is changed, and the pitch is kept."""

from collections.abc import Iterator, Sequence
from typing import Any

from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream, WordEvent

NEAR = 0.001
"""A change of tempo that is left out."""


def synthesize(backend: Backend, request: SpeechRequest) -> SpeechStream:
    """Send a request at any speed, as `Backend.synthesize`, which raises the same."""
    speed = request.speed
    if speed is None or speed == 1:
        return backend.synthesize(request)
    own = 1.0
    if backend.own_speeds is not None:
        slowest, fastest = backend.own_speeds
        own = min(max(speed, slowest), fastest)
    stream = backend.synthesize(request._replace(speed=None if own == 1 else own))
    factor = speed / own
    return stream if abs(factor - 1) < NEAR else ChangedTempo(stream, factor, backend.name)


class ChangedTempo(SpeechStream):
    """The PCM of another stream at another tempo, with the times of its words."""

    def __init__(self, stream: SpeechStream, factor: float, name: str) -> None:
        self._stream = stream
        self._factor = factor
        self._notes = [f"{name} does not have this speed: the tempo of its sound is changed by {factor:.3g}"]
        self.expected = stream.expected
        self.is_external = stream.is_external
        self.timestamps = stream.timestamps

    @property
    def words(self) -> Sequence[WordEvent]:  # type: ignore[override]
        changed = (word._replace(seconds=word.seconds / self._factor) for word in tuple(self._stream.words))
        return tuple(changed)

    @property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        return [*self._stream.notes, *self._notes]

    @property
    def end_is_marked(self) -> bool:  # type: ignore[override]
        return self._stream.end_is_marked

    def cancel(self) -> None:
        self._stream.cancel()

    def __iter__(self) -> Iterator[bytes]:
        tempo: Any = None
        rest, frame_bytes = b"", 1
        for data in self._stream:
            if self.announced is None:
                self.announced = self._stream.announced or self.expected
                audio_format = self.announced.format or self.expected.format
                if self.announced.codec == "pcm" and audio_format is not None:
                    from voice_cli.pcm.tempo import Tempo  # PyAV takes a tenth of a second

                    tempo, frame_bytes = Tempo(audio_format, self._factor), audio_format.frame_bytes
                else:
                    self._notes = ["the speed is not applied: neither the backend nor voice can change this sound"]
                    self._factor = 1.0
            if tempo is None:
                yield data
                continue
            data = rest + data  # noqa: PLW2901
            whole = len(data) - len(data) % frame_bytes
            rest = data[whole:]
            if changed := tempo.process(data[:whole]):
                yield changed
        if tempo is not None and (changed := tempo.flush()):
            yield changed
