"""Recording: save a speech to a file while it plays.

The recorder writes a new file beside the target (`name.partial.mp3`), which is valid at any moment, so a crash leaves a
valid, shorter file. At the end it is renamed to the target; an incomplete recording never replaces an existing file.

If the stream has the codec of the target, its bytes are saved unchanged. Otherwise the decoded frames are written as
WAV or encoded; for containers that we do not write, such as .m4a, ffmpeg transcodes a WAV at the end (pydub).
"""

import errno
import os
import stat
from abc import ABC, abstractmethod
from contextlib import nullcontext, suppress
from typing import BinaryIO

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs import Encoder, open_decoder, open_encoder, table
from voice_cli.codecs.wav import HEADER_BYTES, wav_header
from voice_cli.errors import EngineError, FileError, Interrupted, TruncatedAudio, UsageError, is_closed_pipe
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
"""ffmpeg's muxers for the containers that we do not write, by suffix."""

PATCH_SECONDS = 0.25
"""Seconds of audio between two updates of the length in a WAV header, which a crash may lose."""


class Recorder(ABC):
    """Saves a speech. The pump calls it on its thread; the thread that plays opens and closes it."""

    saved: str | None = None
    """The name of the saved file, after `close`; None: nothing was saved."""
    kept_codec: str | None = None
    """The codec whose bytes are saved unchanged; of others, the PCM is saved."""

    def preload(self, codec: str) -> None:
        """Import what saving a stream of `codec` needs, before its first frame. Any thread."""

    @abstractmethod
    def begin(self, codec: str) -> None:
        """Prepare for a stream of `codec`, before its first byte.

        Raises:
            FileError: the file cannot be written.

        """

    def write_encoded(self, data: bytes) -> None:
        """Write encoded bytes from the backend."""

    def splice(self) -> None:
        """Save PCM from here on: the encoded bytes that follow are of another stream.

        Raises:
            FileError: the file cannot be written.

        """

    def write_pcm(self, chunk: PcmChunk) -> None:
        """Write decoded frames."""

    @abstractmethod
    def close(self, *, complete: bool) -> None:
        """Finish the file and rename it; remove a file without audio.

        Raises:
            FileError: that failed; the hint names the file that has the audio.

        """


class EncodedWriter:
    """Encodes PCM of one format with one of our encoders, mixed to stereo if it has more channels."""

    def __init__(self, file: BinaryIO, codec: str) -> None:
        self._file = file
        self._codec = codec
        self._open: tuple[Converter, Encoder] | None = None

    def write(self, chunk: PcmChunk) -> None:
        if self._open is None:
            source = chunk.format._replace(channels=min(chunk.format.channels, 2))
            self._open = Converter(chunk.format, source), open_encoder(self._codec, source)
        converter, encoder = self._open
        write_all(self._file, encoder.encode(converter.convert(chunk.data)))

    def finish(self) -> None:
        if self._open is not None:
            converter, encoder = self._open
            write_all(self._file, encoder.encode(converter.flush()) + encoder.finish())


class WavWriter:
    """Writes PCM of one format as WAV. If the file is not seekable, the header declares no length."""

    def __init__(self, file: BinaryIO, *, seekable: bool) -> None:
        self._file = file
        self._seekable = seekable
        self._format: AudioFormat | None = None
        self._bytes = 0
        self._declared_bytes = 0

    def write(self, chunk: PcmChunk) -> None:
        if self._format is None:
            self._format = chunk.format
            write_all(self._file, wav_header(chunk.format, 0 if self._seekable else None))
        write_all(self._file, chunk.data)
        self._bytes += len(chunk.data)
        if self._bytes - self._declared_bytes >= chunk.format.frames(PATCH_SECONDS) * chunk.format.frame_bytes:
            self.finish()

    def finish(self) -> None:
        """Update the length in the header, and drop what a failed write has left."""
        if self._seekable and self._format is not None:
            self._file.truncate(HEADER_BYTES + self._bytes if self._bytes else 0)
            self._file.seek(0)
            if not self._bytes:
                return
            write_all(self._file, wav_header(self._format, self._bytes))
            self._file.seek(0, os.SEEK_END)
            self._declared_bytes = self._bytes


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of `data` to an unbuffered file, whose `write` may be partial."""
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
        except OSError as exc:
            self.saved = None
            if is_closed_pipe(exc):
                raise Interrupted(f"the reader of {self._name} closed it") from exc
            raise FileError(f"cannot write to {self._name}: {exc.strerror}") from exc

    def close(self, *, complete: bool) -> None:
        """Do nothing: the caller closes the pipe."""


class FileRecorder(Recorder):
    """Writes a file that is renamed to the target when it is complete."""

    def __init__(self, path: str, *, many: bool = False) -> None:
        """Set the target; `many`: there may be several streams, whose bytes cannot be joined to one file.

        Raises:
            UsageError: no format has the suffix.
            FileError: the path is relative, and there is no working directory.

        """
        try:
            self._path = os.path.realpath(path)
        except OSError as exc:  # the working directory was deleted
            raise FileError(f"cannot write {path}: {exc.strerror}") from exc
        self._shown = path
        self._suffix = os.path.splitext(self._path)[1]
        suffix = os.path.splitext(path)[1].lower()
        self._muxer = CONTAINERS.get(suffix)
        self._codec = table.by_suffix(suffix) if self._muxer is None else None
        if self._codec is None and self._muxer is None:
            known = " ".join((*(s for codec in table.BUILT_IN.values() for s in codec.suffixes), *CONTAINERS))
            raise UsageError(
                f"{path}: no format has the suffix {suffix!r}" if suffix else f"{path} has no suffix",
                hint=f"the known suffixes: {known}",
            )
        if self._codec is not None and self._codec.name != "wav" and not many:  # a WAV's header may have no length
            self.kept_codec = self._codec.name
        self._partial = ""
        self._file: BinaryIO | None = None
        self._writer: EncodedWriter | WavWriter | None = None
        """None: the bytes of the stream are saved unchanged."""
        self._is_full = False
        """Whether a write has failed."""

    def check(self) -> None:
        """Check that the file can be written.

        Raises:
            UsageError: ffmpeg is needed and is missing.
            FileError: the file cannot be written there.

        """
        if self._codec is None:
            self._require_ffmpeg()
        folder = os.path.dirname(self._path)
        try:
            if stat.S_ISDIR(os.stat(self._path).st_mode):
                raise FileError(f"{self._shown} is a folder", hint="name a file in it")
        except FileNotFoundError:
            pass
        except OSError as exc:  # such as that the name is too long
            raise self._cannot_write(exc) from exc
        if not os.path.isdir(folder):
            raise FileError(f"there is no folder {folder}", hint="create it first")
        if not os.access(folder, os.W_OK):
            raise FileError(f"cannot write to the folder {folder}")

    def preload(self, codec: str) -> None:
        if self._codec is not None and not self._is_kept(codec):
            with suppress(UsageError, EngineError):  # raised by the stream that needs the encoder
                open_encoder(self._codec.name, AudioFormat(24_000, 1))

    def begin(self, codec: str) -> None:
        if self._file is not None:
            return
        self._file = self._create(self._suffix if self._codec is not None else ".wav")
        if self._codec is None or self._codec.name == "wav":
            self._writer = WavWriter(self._file, seekable=True)
        elif not self._is_kept(codec):
            self._writer = EncodedWriter(self._file, self._codec.name)

    def _is_kept(self, codec: str) -> bool:
        return codec == self.kept_codec

    def _create(self, suffix: str) -> BinaryIO:
        stem = os.path.splitext(self._path)[0]
        for number in range(1, 1000):
            path = f"{stem}.partial{'' if number == 1 else number}{suffix}"
            try:
                file = open(path, "x+b", buffering=0)  # noqa: SIM115  `close` closes it
            except FileExistsError:
                continue
            except OSError as exc:
                if exc.errno != errno.ENAMETOOLONG:
                    raise self._cannot_write(exc) from exc
                stem = os.path.join(os.path.dirname(self._path), "voice")
            else:
                self._partial = path
                return file
        raise FileError(f"there are too many partial files beside {self._shown}")

    def splice(self) -> None:
        """Decode the bytes that were saved, and encode them again, with what follows."""
        self.kept_codec = None
        if self._file is None or self._writer is not None or self._codec is None:
            return
        begun = self._file
        try:
            begun.seek(0)
            chunks = _decoded(begun.read(), self._codec.name)
            begun.seek(0)
            begun.truncate()
        except OSError as exc:
            raise self._cannot_write(exc) from exc
        self._writer = EncodedWriter(begun, self._codec.name)
        for chunk in chunks:
            self.write_pcm(chunk)

    def write_encoded(self, data: bytes) -> None:
        if self._file is not None and self._writer is None:
            try:
                write_all(self._file, data)
            except OSError as exc:
                self._is_full = True
                raise self._cannot_write(exc) from exc

    def write_pcm(self, chunk: PcmChunk) -> None:
        if self._writer is not None:
            try:
                self._writer.write(chunk)
            except OSError as exc:
                self._is_full = True
                raise self._cannot_write(exc) from exc
            except UsageError as exc:
                raise FileError(f"cannot write {self._shown}: {exc.message}", hint=exc.hint) from exc

    def close(self, *, complete: bool) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            with file:
                with suppress(OSError) if self._is_full else nullcontext():
                    if self._writer is not None:
                        self._writer.finish()
                size = file.tell()
            if not size:
                os.unlink(self._partial)
                return
            self.saved = self._partial
            if self._codec is None:
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
            reason = exc.message if isinstance(exc, UsageError) else f"ffmpeg cannot convert to {self._shown}"
            raise FileError(reason, hint=f"the audio is in {wav}") from exc
        os.unlink(wav)
        self.saved = self._partial

    def _require_ffmpeg(self) -> None:
        import shutil

        if shutil.which("ffmpeg") is None:
            from voice_cli.system_packages import install_hint

            raise UsageError(
                f"cannot write {self._shown} without ffmpeg, which is not installed",
                hint=f"save as .wav, or {install_hint('ffmpeg')}",
            )

    def _cannot_write(self, exc: OSError) -> FileError:
        hint = f"the audio is in {self.saved}" if self.saved else None
        return FileError(f"cannot write {self._shown}: {exc.strerror}", hint=hint)


def _decoded(data: bytes, codec: str) -> list[PcmChunk]:
    """Return the PCM of a stream that was cut."""
    found = open_decoder(Encoding(codec), Encoding(codec), data, final=True)
    if found is None:
        return []
    _, decoder = found
    chunks = decoder.decode(data)
    with suppress(TruncatedAudio):
        chunks += decoder.flush()
    return chunks


def transcode(source: str, target: str, muxer: str | None) -> None:
    """Transcode the WAV file `source` to `target`, with pydub and ffmpeg."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydub has invalid escape sequences
        from pydub import AudioSegment
    with open(source, "rb") as wav:  # pydub does not close a file that it opens
        AudioSegment.from_wav(wav).export(target, format=muxer).close()
