"""AAC in MP4: a file a chapter, and all of them in one file with chapters, without encoding again.

A chapter's packets are independent of the other chapters', so the joined file is the same however often the work was
interrupted. PyAV is used directly, since the files are whole ones on the disk.
"""

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.errors import FileError
from voice_cli.pcm.convert import Converter, layout_of, to_av

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

SUFFIXES = (".m4b", ".m4a", ".mp4")

SILENCE_SECONDS = 1.5
"""At the end of a chapter."""
BIT_RATE = 64_000
"""Bits a second and channel."""
_OPTIONS = {"aac_coder": "fast"}
"""As `codecs.aac`."""
_LOWEST_RATE = 16_000
"""Hertz; some players refuse less."""

MAX_COVER_PIXELS = 8000
"""Of its width and of its height."""
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of a frame header."""


class Marked(NamedTuple):
    """A chapter's file, and its title."""

    path: str
    title: str


@contextmanager
def _errors(path: str) -> Iterator[None]:
    """Raise errors of the system and of libavformat as FileError."""
    from av.error import FFmpegError

    try:
        yield
    except (OSError, FFmpegError) as exc:
        raise FileError(f"cannot write {path}: {exc.strerror}") from exc


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """Return a path beside `path` to write to; rename it at the end, or remove it after an error.

    Raises:
        FileError: it cannot be written.

    """
    partial = f"{path}.{os.getpid()}.partial"
    with _errors(path):
        try:
            yield partial
            with open(partial, "r+b") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise


class ChapterWriter:
    """Encodes a chapter. One thread."""

    def __init__(self, path: str, audio_format: AudioFormat | None = None) -> None:
        """Set the path, and the format; None: that of the first chunk, mono or stereo."""
        self._path = path
        self._format = audio_format
        self._output: OutputContainer | None = None
        self._stream: Any = None
        self._converter: Converter | None = None
        self._frames = 0

    @property
    def seconds(self) -> float:
        """How much was written."""
        return self._frames / self._format.rate if self._format is not None else 0.0

    def write(self, chunk: PcmChunk) -> None:
        """Write PCM; all of it has one format. Raises FileError if it cannot be written."""
        with _errors(self._path):
            converter = self._converter or self._begin(chunk.format)
            self._encode(converter.convert(chunk.data))

    def close(self) -> None:
        """Write what is left, and the silence at the end. Raises FileError if that fails or there was no audio."""
        if self._converter is None or self._output is None or self._format is None:
            raise FileError(f"cannot write {self._path}: there is no audio")
        silence = bytes(self._format.frames(SILENCE_SECONDS) * self._format.frame_bytes)
        with _errors(self._path):
            self._encode(self._converter.flush() + silence)
            self._output.mux(self._stream.encode(None))
            self._output.close()

    def _begin(self, source: AudioFormat) -> Converter:
        import av

        if self._format is None:
            self._format = AudioFormat(_rate_for(source.rate), min(source.channels, 2))
        self._converter = Converter(source, self._format)
        self._output = av.open(self._path, "w", format="mp4")
        self._stream = self._output.add_stream("aac", rate=self._format.rate, layout=layout_of(self._format.channels))
        self._stream.bit_rate = BIT_RATE * self._format.channels
        self._stream.codec_context.options = _OPTIONS
        return self._converter

    def _encode(self, pcm: bytes) -> None:
        if pcm and self._output is not None and self._format is not None:
            frame = to_av(pcm, self._format)
            frame.pts, frame.time_base = self._frames, Fraction(1, self._format.rate)
            self._frames += frame.samples
            self._output.mux(self._stream.encode(frame))


def _rate_for(rate: int) -> int:
    """Return the rate of AAC that is at least the source's, or the highest."""
    from voice_cli.codecs.av_codec import rates

    known = [each for each in rates("aac") if each >= _LOWEST_RATE]
    return min((each for each in known if each >= rate), default=max(known))


def format_of(path: str) -> AudioFormat | None:
    """Return the format of a chapter's file; None: it is missing or damaged."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(path) as container:
            stream = container.streams.audio[0]
            return AudioFormat(stream.rate, stream.channels)
    except (OSError, FFmpegError, IndexError):
        return None


def join(
    path: str,
    chapters: Sequence[Marked],
    tags: Mapping[str, str],
    cover: bytes | None = None,
    note: Callable[[int], object] = lambda _: None,
) -> float:
    """Write one file with the sound of chapters, and return its seconds.

    Args:
        path: the target, which is replaced when it is complete.
        chapters: their files, all of one format. With a single one, no chapter is marked.
        tags: metadata, such as `title`, `artist`, `track`.
        cover: a JPEG or a PNG.
        note: is called with the number of chapters that are written.

    Raises:
        FileError: a file cannot be read or written.

    """
    import av

    with replacing(path) as partial, ExitStack() as opened:
        lengths = [_packets(chapter.path) for chapter in chapters]
        first: InputContainer = opened.enter_context(av.open(chapters[0].path))
        # The list of packets is moved to the front, so that a player can begin before it has the whole file.
        options = {"movflags": "+faststart", "brand": "M4B " if len(chapters) > 1 else "M4A "}
        output = opened.enter_context(av.open(partial, "w", format="mp4", options=options))
        source = first.streams.audio[0]
        base = Fraction(1, source.rate)
        frame = source.codec_context.frame_size or 1024
        stream = output.add_stream_from_template(source)
        output.metadata.update({name: value for name, value in tags.items() if value})
        if len(chapters) > 1:
            ends = [frame * sum(lengths[: index + 1]) for index in range(len(lengths))]
            output.set_chapters(
                [
                    {"id": index, "start": start, "end": end, "time_base": base, "metadata": {"title": chapter.title}}
                    for index, (chapter, start, end) in enumerate(zip(chapters, [0, *ends], ends, strict=False))
                ]
            )
        if cover is not None:
            _add_cover(output, cover)
        at = 0
        for number, chapter in enumerate(chapters, 1):
            with av.open(chapter.path) as container:
                for found in container.demux(audio=0):
                    if found.size:
                        packet = av.Packet(bytes(found))  # without the note to cut a chapter's last frame
                        packet.stream, packet.is_keyframe = stream, True
                        packet.time_base, packet.duration = base, frame
                        packet.pts = packet.dts = at
                        at += frame
                        output.mux(packet)
            note(number)
    return float(at * base)


def _packets(path: str) -> int:
    import av

    with av.open(path) as container:
        return sum(1 for packet in container.demux(audio=0) if packet.size)


def _add_cover(output: "OutputContainer", cover: bytes) -> None:
    """Add a picture, unless it is damaged or very large."""
    import av
    from av.error import FFmpegError
    from av.stream import Disposition

    if not 0 < min(size := picture_size(cover)) <= max(size) <= MAX_COVER_PIXELS:
        return
    try:
        with av.open(io.BytesIO(cover), "r") as picture:
            packet = next(picture.demux(video=0))
            stream = output.add_stream_from_template(picture.streams.video[0])
            stream.disposition = Disposition.attached_pic
            packet.stream = stream
            packet.pts = packet.dts = 0
            output.mux(packet)
    except (OSError, FFmpegError, IndexError, StopIteration):
        return


def picture_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG (its first chunk) or a JPEG (ISO 10918-1, B.2.2); zeros: it is neither."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) > 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    at = 2
    while data.startswith(b"\xff\xd8") and data[at : at + 1] == b"\xff" and at + 9 < len(data):
        if data[at + 1] in _FRAME_HEADERS:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0, 0
