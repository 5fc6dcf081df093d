"""`--save`: written while it plays, without touching a file that is already there.

A new file beside the target (`name.partial.mp3`) is written; it is valid at any moment, so that a crash leaves a valid,
shorter file. A complete stream's file is renamed to the target. An incomplete one's takes the target's name only if
there is no such file; otherwise it stays beside it, and the caller is told.

What is written: the stream's own bytes if they are what the target holds; else the decoded frames, as WAV or encoded
with our encoders as they come; and for containers that we do not write, such as .m4a, a WAV that ffmpeg transcodes at
the end (pydub).
"""

import os
import shutil
import stat
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import BinaryIO

from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.codecs import Encoder, open_encoder, table
from voice_cli.codecs.wav import wav_header
from voice_cli.errors import FileError, Interrupted, UsageError
from voice_cli.pcm.convert import Converter

CONTAINERS = {
    ".m4a": "ipod",
    ".mp4": "mp4",
    ".webm": "webm",
    ".mka": "matroska",
    ".aif": "aiff",
    ".aiff": "aiff",
    ".au": "au",
    ".caf": "caf",
}
"""ffmpeg's muxers of the files that we do not write, by suffix."""

PATCH_SECONDS = 0.25
"""How much sound a crash may cost a WAV file: its header is updated that often."""


class Recorder(ABC):
    """Called by the pump, on its thread; made and closed by the thread that plays."""

    saved: str | None = None
    """The file's name, after `close`; None: nothing was kept."""

    def preload(self, codec: str) -> None:
        """Import what saving a stream of `codec` needs, ahead of its first frame. Any thread."""

    @abstractmethod
    def begin(self, codec: str) -> None:
        """Prepare for a stream of `codec`, before its first byte.

        Raises:
            FileError: the file cannot be written.

        """

    def write_encoded(self, data: bytes) -> None:
        """Write bytes as the backend sent them."""

    def write_pcm(self, chunk: PcmChunk) -> None:
        """Write decoded frames."""

    @abstractmethod
    def close(self, *, complete: bool) -> None:
        """Finish the file and rename it. A file without any sound is removed.

        Raises:
            FileError: that failed; the message names what could be kept.

        """


class PcmWriter(ABC):
    """Writes chunks of PCM to a file in one format, the first chunk's; later formats are converted to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._converter: Converter | None = None

    def write(self, chunk: PcmChunk) -> None:
        if self._converter is None:
            self._converter = Converter(chunk.format, self._begin(chunk.format))
        elif self._converter.source != chunk.format:
            self._append(self._converter.flush())
            self._converter = Converter(chunk.format, self._converter.target)
        self._append(self._converter.convert(chunk.data))

    def finish(self) -> None:
        if self._converter is not None:
            self._append(self._converter.flush())
            self._end()

    @abstractmethod
    def _begin(self, audio_format: AudioFormat) -> AudioFormat:
        """Start the file and return the format that `_append` wants."""

    @abstractmethod
    def _append(self, pcm: bytes) -> None: ...

    @abstractmethod
    def _end(self) -> None: ...


class EncodedWriter(PcmWriter):
    """A file in one of our codecs, encoded as the frames come."""

    def __init__(self, file: BinaryIO, codec: str) -> None:
        super().__init__(file)
        self._codec = codec
        self._encoder: Encoder | None = None

    def _begin(self, audio_format: AudioFormat) -> AudioFormat:
        source = audio_format._replace(channels=min(audio_format.channels, 2))
        self._encoder = open_encoder(self._codec, source)
        return source

    def _append(self, pcm: bytes) -> None:
        if self._encoder is not None:
            write_all(self._file, self._encoder.encode(pcm))

    def _end(self) -> None:
        if self._encoder is not None:
            write_all(self._file, self._encoder.finish())


class WavWriter(PcmWriter):
    """WAV. A seekable file is valid at any moment, except for its last 0.25 s; another one declares no length."""

    def __init__(self, file: BinaryIO, *, seekable: bool) -> None:
        super().__init__(file)
        self._seekable = seekable
        self._format: AudioFormat | None = None
        self._bytes = 0
        self._patched = 0

    def _begin(self, audio_format: AudioFormat) -> AudioFormat:
        self._format = audio_format
        write_all(self._file, wav_header(audio_format, 0 if self._seekable else None))
        return audio_format

    def _append(self, pcm: bytes) -> None:
        write_all(self._file, pcm)
        self._bytes += len(pcm)
        if (
            self._format
            and self._bytes - self._patched >= self._format.frames(PATCH_SECONDS) * self._format.frame_bytes
        ):
            self._end()

    def _end(self) -> None:
        if self._seekable and self._format is not None:
            self._file.seek(0)
            write_all(self._file, wav_header(self._format, self._bytes))
            self._file.seek(0, os.SEEK_END)
            self._patched = self._bytes


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of `data` to an unbuffered file, which may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


class PipeRecorder(Recorder):
    """Writes WAV to a pipe or a special file."""

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
            raise Interrupted(f"the reader of {self._name} closed it") from exc
        except OSError as exc:
            raise FileError(f"cannot write to {self._name}: {exc.strerror}") from exc

    def close(self, *, complete: bool) -> None:
        """Leave the pipe to the caller, who closes it."""


class FileRecorder(Recorder):
    """Writes a file that replaces the target when it is complete."""

    def __init__(self, path: str, *, many: bool = False) -> None:
        """Set the target; `many`: there may be several streams, whose own bytes would not make one file.

        Raises:
            UsageError: its suffix names no format.

        """
        self._many = many
        self._path = os.path.realpath(path)
        self._shown = path
        self._suffix = os.path.splitext(self._path)[1]
        suffix = os.path.splitext(path)[1].lower()
        self._muxer = CONTAINERS.get(suffix)
        self._codec = table.by_suffix(suffix) if self._muxer is None else None
        if self._codec is None and self._muxer is None:
            known = " ".join((*(s for codec in table.BUILT_IN.values() for s in codec.suffixes), *CONTAINERS))
            raise UsageError(
                f"{path}: no format has the suffix {suffix!r}" if suffix else f"{path} has no suffix",
                hint=f"the known ones: {known}",
            )
        self._partial = ""
        self._file: BinaryIO | None = None
        self._writer: PcmWriter | None = None
        """None: the stream's own bytes are written."""

    def check(self, codec: str) -> None:
        """Check ahead what would only fail at the end, if the backend sends the codec that it is asked for.

        Raises:
            UsageError: ffmpeg is needed and is missing.
            FileError: the file cannot be made there.

        """
        if self._muxer is not None and not self._is_kept(codec):
            self._require_ffmpeg()
        folder = os.path.dirname(self._path)
        if os.path.isdir(self._path):
            raise FileError(f"{self._shown} is a folder", hint="name a file in it")
        if not os.path.isdir(folder):
            raise FileError(f"there is no folder {folder}", hint="make it first")
        if not os.access(folder, os.W_OK):
            raise FileError(f"the folder {folder} cannot be written to")

    def preload(self, codec: str) -> None:
        if self._codec is not None and self._muxer is None and not self._is_kept(codec):
            with suppress(UsageError):  # raised by the stream that needs the encoder
                open_encoder(self._codec.name, AudioFormat(24_000, 1))

    def begin(self, codec: str) -> None:
        if self._file is not None:
            return
        if self._is_kept(codec):
            self._file = self._create(self._suffix)
        elif self._codec is None or self._muxer is not None or self._codec.name == "wav":
            self._file = self._create(self._suffix if self._muxer is None else ".wav")
            self._writer = WavWriter(self._file, seekable=True)
        else:
            self._file = self._create(self._suffix)
            self._writer = EncodedWriter(self._file, self._codec.name)

    def _is_kept(self, codec: str) -> bool:
        """Return whether a stream's bytes are saved as they come: not a WAV's, whose header may declare no length."""
        return self._codec is not None and self._codec.name == codec != "wav" and not self._many

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
        if self._file is not None and self._writer is None:
            try:
                write_all(self._file, data)
            except OSError as exc:
                raise self._cannot_write(exc) from exc

    def write_pcm(self, chunk: PcmChunk) -> None:
        if self._writer is not None:
            try:
                self._writer.write(chunk)
            except OSError as exc:
                raise self._cannot_write(exc) from exc
            except UsageError as exc:
                raise FileError(f"cannot write {self._shown}: {exc.message}", hint=exc.hint) from exc

    def close(self, *, complete: bool) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            with file:
                if self._writer is not None:
                    self._writer.finish()
                size = file.tell()
            if not size:
                os.unlink(self._partial)
                return
            self.saved = self._partial
            if self._writer is not None and self._muxer is not None:
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
            self._create(self._suffix).close()
            transcode(wav, self._partial, self._muxer)
        except Exception as exc:
            if self._partial != wav:
                os.unlink(self._partial)
            reason = exc.message if isinstance(exc, UsageError) else f"ffmpeg could not make {self._shown}"
            raise FileError(reason, hint=f"the sound is in {wav}") from exc
        os.unlink(wav)
        self.saved = self._partial

    def _require_ffmpeg(self) -> None:
        if shutil.which("ffmpeg") is None:
            raise UsageError(
                f"cannot make {self._shown} without ffmpeg, which is not installed",
                hint="install it (apt install ffmpeg), or save as .wav",
            )

    def _cannot_write(self, exc: OSError) -> FileError:
        kept = f"what arrived is in {self.saved or self._partial}" if self._partial else None
        return FileError(f"cannot write {self._shown}: {exc.strerror}", hint=kept)


def transcode(source: str, target: str, muxer: str | None) -> None:
    """Transcode the WAV file `source` to `target`, with pydub and ffmpeg."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydub's sources have invalid escapes
        from pydub import AudioSegment
    with open(source, "rb") as wav:  # one that pydub opens, it leaves open
        AudioSegment.from_wav(wav).export(target, format=muxer).close()
