"""`--save`: written while it plays, and never in the way of a file that is already there.

What is written goes to a file of its own beside the target (`name.partial.wav`), whose header is kept true as it
grows, so that a crash leaves a valid, shorter file. When the speech is whole, that file is renamed to the target. When
it is not, it takes the target's name only if nothing stands there; else it stays beside it, and the caller is told.

Three kinds of file: WAV, at the stream's own rate, from the decoded frames; the stream's own codec, its bytes
untouched; and anything else, which ffmpeg makes of the WAV after the end (pydub).
"""

import os
import shutil
import stat
from abc import ABC, abstractmethod
from typing import BinaryIO

from voice_cli.audio import PcmChunk
from voice_cli.codecs.wav import wav_header
from voice_cli.errors import FileError, Interrupted, UsageError
from voice_cli.pcm.convert import Converter

SUFFIXES = {
    ".wav": "wav",
    ".wave": "wav",
    ".pcm": "pcm",
    ".raw": "pcm",
    ".opus": "opus",
    ".ogg": "opus",
    ".mp3": "mp3",
    ".aac": "aac",
    ".flac": "flac",
}
"""Which codec of ours a file of that suffix holds."""

MUXERS = {
    "pcm": "s16le",
    "opus": "opus",
    "mp3": "mp3",
    "aac": "adts",
    "flac": "flac",
    ".m4a": "ipod",
    ".mp4": "mp4",
    ".webm": "webm",
    ".mka": "matroska",
    ".aif": "aiff",
    ".aiff": "aiff",
    ".au": "au",
    ".caf": "caf",
}
"""What ffmpeg calls them, by codec of ours or by suffix."""

PATCH_SECONDS = 0.25
"""How much sound a crash may cost a WAV file: its header is made true that often."""


class Recorder(ABC):
    """Takes what the pump gives, on its thread; made and closed by the thread that plays."""

    saved: str | None = None
    """Where it is, after `close`; None: nothing was kept."""

    @abstractmethod
    def begin(self, codec: str) -> None:
        """Hear of a stream's codec, before its first byte.

        Raises:
            FileError: the file cannot be written.

        """

    def write_encoded(self, data: bytes) -> None:
        """Take bytes as the backend sent them."""

    def write_pcm(self, chunk: PcmChunk) -> None:
        """Take frames as they were decoded."""

    @abstractmethod
    def close(self, *, complete: bool) -> None:
        """Make the file whole and give it its name; nothing is kept where nothing came.

        Raises:
            FileError: that failed; what could be kept is named.

        """


class WavWriter:
    """Chunks of PCM as one WAV, at the first one's format. A seekable file is valid at any moment, bar the last 0.25 s.

    An unseekable one says an unknown length.
    """

    def __init__(self, file: BinaryIO, *, seekable: bool) -> None:
        self._file = file
        self._seekable = seekable
        self._converter: Converter | None = None
        self._bytes = 0
        self._patched = 0

    def write(self, chunk: PcmChunk) -> None:
        if self._converter is None:
            self._converter = Converter(chunk.format, chunk.format)
            write_all(self._file, wav_header(chunk.format, 0 if self._seekable else None))
        elif self._converter.source != chunk.format:
            self._append(self._converter.flush())
            self._converter = Converter(chunk.format, self._converter.target)
        self._append(self._converter.convert(chunk.data))
        target = self._converter.target
        if self._bytes - self._patched >= target.frames(PATCH_SECONDS) * target.frame_bytes:
            self._patch()

    def finish(self) -> None:
        if self._converter is not None:
            self._append(self._converter.flush())
            self._patch()

    def _append(self, data: bytes) -> None:
        write_all(self._file, data)
        self._bytes += len(data)

    def _patch(self) -> None:
        if self._seekable and self._converter is not None:
            self._file.seek(0)
            write_all(self._file, wav_header(self._converter.target, self._bytes))
            self._file.seek(0, os.SEEK_END)
            self._patched = self._bytes


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write to an unbuffered file, which may take less than it is given."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


class PipeRecorder(Recorder):
    """WAV to a pipe or a special file, as it comes."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._writer = WavWriter(file, seekable=False)
        self._name = name

    def begin(self, codec: str) -> None:
        pass

    def write_pcm(self, chunk: PcmChunk) -> None:
        try:
            self.saved = self._name
            self._writer.write(chunk)
        except BrokenPipeError as exc:
            self.saved = None
            raise Interrupted(f"the reader of {self._name} has gone") from exc
        except OSError as exc:
            raise FileError(f"cannot write to {self._name}: {exc.strerror}") from exc

    def close(self, *, complete: bool) -> None:
        """The pipe is the caller's to close, and its end is all that says where the sound ends."""


class FileRecorder(Recorder):
    """A file that replaces the target when it is whole."""

    def __init__(self, path: str, *, many: bool = False) -> None:
        """Take the target; `many`: there may be several streams, whose bytes would not make one file.

        Raises:
            UsageError: its suffix names no format.

        """
        self._many = many
        self._path = os.path.realpath(path)
        self._shown = path
        suffix = os.path.splitext(path)[1].lower()
        self._codec = SUFFIXES.get(suffix)
        self._muxer = MUXERS.get(self._codec or suffix)
        if self._codec is None and self._muxer is None:
            known = " ".join((*SUFFIXES, *(name for name in MUXERS if name.startswith("."))))
            raise UsageError(
                f"{path}: no format is known by the suffix {suffix!r}" if suffix else f"{path} has no suffix",
                hint=f"the known ones: {known}",
            )
        self._partial = ""
        self._file: BinaryIO | None = None
        self._wav: WavWriter | None = None

    def check(self, codec: str) -> None:
        """Find out now what would only fail at the end, if the backend sends the codec that it is asked for.

        Raises:
            UsageError: ffmpeg would be needed and is missing.
            FileError: the file cannot be made where it should be.

        """
        if not (self._codec == "wav" or self._is_untouched(codec)):
            self._require_ffmpeg()
        folder = os.path.dirname(self._path)
        if os.path.isdir(self._path):
            raise FileError(f"{self._shown} is a folder", hint="name a file in it")
        if not os.path.isdir(folder):
            raise FileError(f"there is no folder {folder}", hint="make it first")
        if not os.access(folder, os.W_OK):
            raise FileError(f"the folder {folder} cannot be written to")

    def begin(self, codec: str) -> None:
        if self._file is None:
            untouched = self._is_untouched(codec)
            self._file = self._create(os.path.splitext(self._path)[1] if untouched else ".wav")
            self._wav = None if untouched else WavWriter(self._file, seekable=True)

    def _is_untouched(self, codec: str) -> bool:
        return self._codec == codec and codec != "wav" and not self._many

    def _create(self, suffix: str) -> BinaryIO:
        stem = os.path.splitext(self._path)[0]
        for number in range(1, 1000):
            self._partial = f"{stem}.partial{'' if number == 1 else number}{suffix}"
            try:
                return open(self._partial, "x+b", buffering=0)
            except FileExistsError:
                continue
            except OSError as exc:
                raise self._cannot_write(exc) from exc
        raise FileError(f"there are too many unfinished files beside {self._shown}")

    def write_encoded(self, data: bytes) -> None:
        if self._file is not None and self._wav is None:
            try:
                write_all(self._file, data)
            except OSError as exc:
                raise self._cannot_write(exc) from exc

    def write_pcm(self, chunk: PcmChunk) -> None:
        if self._wav is not None:
            try:
                self._wav.write(chunk)
            except OSError as exc:
                raise self._cannot_write(exc) from exc

    def close(self, *, complete: bool) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            with file:
                if self._wav is not None:
                    self._wav.finish()
                size = file.tell()
            if not size:
                os.unlink(self._partial)
                return
            self.saved = self._partial
            if self._wav is not None and self._codec != "wav":
                self._transcode()
            if complete or not os.path.exists(self._path):
                self._replace()
        except OSError as exc:
            raise self._cannot_write(exc) from exc

    def _replace(self) -> None:
        if os.path.exists(self._path):
            os.chmod(self._partial, stat.S_IMODE(os.stat(self._path).st_mode))
        os.replace(self._partial, self._path)
        self.saved = self._shown

    def _transcode(self) -> None:
        wav = self._partial
        try:
            self._require_ffmpeg()
            self._create(os.path.splitext(self._path)[1]).close()
            transcode(wav, self._partial, self._muxer)
        except Exception as exc:
            if self._partial != wav:
                os.unlink(self._partial)
            reason = exc.message if isinstance(exc, UsageError) else f"ffmpeg could not make {self._shown}"
            raise FileError(reason, hint=f"the sound itself is in {wav}") from exc
        os.unlink(wav)
        self.saved = self._partial

    def _require_ffmpeg(self) -> None:
        if shutil.which("ffmpeg") is None:
            raise UsageError(
                f"making {self._shown} takes ffmpeg, which is not installed",
                hint="install it (apt install ffmpeg), save as .wav, or ask for that --format",
            )

    def _cannot_write(self, exc: OSError) -> FileError:
        kept = f"what came is in {self.saved or self._partial}" if self._partial else None
        return FileError(f"cannot write {self._shown}: {exc.strerror}", hint=kept)


def transcode(source: str, target: str, muxer: str | None) -> None:
    """Make `target` of the WAV file `source`, with pydub and ffmpeg."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydub's sources have invalid escapes
        from pydub import AudioSegment
    with open(source, "rb") as wav:  # one that pydub opens, it leaves open
        AudioSegment.from_wav(wav).export(target, format=muxer).close()
