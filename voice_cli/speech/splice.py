"""Joins a new take of an utterance to the audio of one that was cut, so that each word is heard once.

What was yielded cannot be withdrawn, so the new take continues exactly behind it. Its place is found in this order:

1. *By length.* If the new take begins with the same samples, it continues at the same frame: nothing is missing, and
   nothing can be heard of the joint. The last 100 ms need not agree, because a decoder may make other samples of the
   end of a stream that was cut.
2. *By the signal.* Otherwise, `pcm.align` looks for the place that corresponds to the cut: by correlation if the takes
   have the same timing, else by time warping; in the same pause if the cut was in one.

If the joint is not by length, the first 4 ms are bent to begin at the last sample, which is a cross-fade with that
sample, so that there is no click.

The new take may have another encoding: it is converted to the format of the audio before the cut.
"""

from array import array
from collections.abc import Sequence

from voice_cli.audio import FULL_SCALE, PcmChunk
from voice_cli.pcm.convert import Converter

TAIL_SECONDS = 0.1
"""Seconds before the cut whose samples may differ."""
BENT_SECONDS = 0.004
FIRST_WAIT, STEP, LEAST_STEP = 0.8, 0.1, 0.5
"""When the signal is compared: after so much of the heard audio (a factor) and a second of the new take; then after
each such part of it, but not less than so many seconds."""


class Splicer:
    """The new take of one utterance."""

    def __init__(self, heard: Sequence[PcmChunk]) -> None:
        """Set the audio of the utterance so far; at least one chunk."""
        self.format = heard[-1].format
        self.position: float | None = None
        """Seconds of the new take at which it continues; None: not found yet."""
        self.is_noted = False
        """Whether the position was noted, by the one who pushes."""
        self._heard = b"".join([chunk.data for chunk in heard if chunk.format == self.format])
        tail = self._bytes(TAIL_SECONDS)
        self._compared = len(self._heard) - tail if len(self._heard) > 3 * tail else len(self._heard)
        self._is_same = True
        self._take = bytearray()
        self._needed = int(FIRST_WAIT * len(self._heard)) + self._bytes(1.0)
        self._converter: Converter | None = None

    def _bytes(self, seconds: float) -> int:
        return self.format.frames(seconds) * self.format.frame_bytes

    def push(self, chunk: PcmChunk) -> list[PcmChunk]:
        """Process frames of the new take; return those that continue the utterance."""
        data = chunk.data
        if self._converter is not None or chunk.format != self.format:
            if self._converter is None or self._converter.source != chunk.format:
                self._converter = Converter(chunk.format, self.format)
            data = self._converter.convert(data)
        return self._add(data)

    def finish(self) -> list[PcmChunk]:
        """Return the rest of the new take, after its last chunk."""
        rest = self._add(self._converter.flush()) if self._converter is not None else []
        if self.position is None:
            self._find(is_whole=True)
            rest = self._joined()
        return rest

    def _add(self, data: bytes) -> list[PcmChunk]:
        if self.position is not None:
            return [PcmChunk(self.format, data)] if data else []
        begin = len(self._take)
        self._take += data
        if self._is_same:
            end = min(len(self._take), self._compared)
            self._is_same = self._heard[begin:end] == self._take[begin:end]
        if self._is_same:
            if len(self._take) >= len(self._heard):
                self._set(len(self._heard))
        elif len(self._take) >= self._needed:
            self._needed = len(self._take) + max(int(STEP * len(self._heard)), self._bytes(LEAST_STEP))
            self._find(is_whole=False)
        return self._joined()

    def _find(self, *, is_whole: bool) -> None:
        if self._is_same and is_whole:  # the take is no longer than what was heard
            self._set(len(self._take))
            return
        from voice_cli.pcm.align import find_end

        frame = find_end(self._heard, bytes(self._take), self.format, is_whole=is_whole)
        if frame is not None:
            self._set(frame * self.format.frame_bytes)

    def _set(self, at: int) -> None:
        self.position = self.format.seconds(at // self.format.frame_bytes)
        rest = bytes(self._take[at:])
        self._take = bytearray(rest if self._heard[at - 2 : at] == self._take[at - 2 : at] else self._bent(rest))

    def _joined(self) -> list[PcmChunk]:
        """Return what was buffered, once the position is known."""
        if self.position is None or not self._take:
            return []
        data, self._take = bytes(self._take), bytearray()
        return [PcmChunk(self.format, data)]

    def _bent(self, data: bytes) -> bytes:
        """Return the frames, whose first ones begin at the last frame before them."""
        channels = self.format.channels
        samples, last = array("h", data), array("h", self._heard[-self.format.frame_bytes :])
        count = min(self.format.frames(BENT_SECONDS), len(samples) // channels)
        steps = [last[channel] - samples[channel] for channel in range(channels)] if count else []
        for frame in range(count):
            for channel, step in enumerate(steps):
                at = frame * channels + channel
                bent = samples[at] + round(step * (1.0 - (frame + 1) / (count + 1)))
                samples[at] = min(FULL_SCALE - 1, max(-FULL_SCALE, bent))
        return samples.tobytes()
