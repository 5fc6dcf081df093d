"""espeak-ng's library in this process, by ctypes: `speak_lib.h` of espeak-ng 1.51 and later, whose names are used here.

Its constraints:

- It is not thread-safe: `Library` calls it under a lock.
- `espeak_Cancel` does nothing in synchronous mode. The callback's return value stops a request.
- It ignores a data path that is too long for its buffer: see `_data_path`.
- `espeak_Terminate` is never called: 1.51, Debian 12's, hangs in the second call. The library stays loaded.
- After some 170 clauses of `espeak_TextToPhonemes`, the next request lacks the event of its first word. No engine uses
  both.
- Settings persist after a request, those of embedded commands too: all are set for each request, and U+0001, which
  begins such a command, is removed from the text.
"""

import ctypes
import os
import sys
import threading
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

from voice_cli.audio import AudioFormat
from voice_cli.backends.base import WordEvent
from voice_cli.errors import EngineError

if TYPE_CHECKING:
    from voice_cli.backends.local.espeak_voices import VoiceFile
    from voice_cli.backends.local.worker import Generation

FORMAT = AudioFormat(22050, 1)
"""The format of all voices but MBROLA's."""

_CHUNK_MS = 60
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000  # else missing data exits the process
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_PARAMETER_RATE = 1
_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1
_EVENT_SAMPLERATE = 8

_SAFE_PATH_BYTES = 120
"""espeak-ng's buffer for the data path has 160 bytes, the names of files in it included."""
_BUNDLED = {"darwin": "libespeak-ng.dylib", "win32": "espeak-ng.dll"}.get(sys.platform, "libespeak-ng.so")
_SYSTEM = {
    "darwin": (
        "libespeak-ng.1.dylib",
        "/opt/homebrew/lib/libespeak-ng.1.dylib",
        "/usr/local/lib/libespeak-ng.1.dylib",
    ),
    "win32": ("libespeak-ng.dll",),
}.get(sys.platform, ("libespeak-ng.so.1",))

_UNSPEAKABLE = dict.fromkeys({*range(0x20), 0x7F} - {*b"\t\n\r"}, " ")
"""NUL ends the text, U+0001 begins a command, the others have no sound. Replacing each by a space keeps positions."""


class _Event(ctypes.Structure):
    """espeak_EVENT, with the number of its union `id` of eight bytes."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("rest", ctypes.c_char * 4),
    )


class _VoiceInfo(ctypes.Structure):
    """The first fields of espeak_VOICE."""

    _fields_ = (("name", ctypes.c_char_p), ("languages", ctypes.c_char_p), ("identifier", ctypes.c_char_p))


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class Library:
    """The loaded library. Any thread may call the methods; those that call the library wait for its lock."""

    def __init__(self, library: ctypes.CDLL, path: str | None) -> None:
        """Initialise it with the folder that holds `espeak-ng-data`; None: the one it was built with."""
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_GetCurrentVoice.restype = ctypes.POINTER(_VoiceInfo)
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        rate = library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS,
            _CHUNK_MS,
            None if path is None else os.fsencode(path),
            _INITIALIZE_DONT_EXIT,
        )
        data = ctypes.c_char_p()
        library.espeak_Info(ctypes.byref(data))
        self._data = os.fsdecode(data.value or b"")
        if rate <= 0 or (path is not None and not self._data.startswith(path)):
            raise _missing_data(path or self._data)
        self._library = library
        self._lock = threading.Lock()
        self._format = AudioFormat(rate, FORMAT.channels)
        self._generation: Generation | None = None
        self._fault: BaseException | None = None
        self._dropped = 0
        """Frames of silence at the start of the request's speech, which are not passed on."""
        self._has_begun = False
        self._callback = _Callback(self._spoken)
        library.espeak_SetSynthCallback(self._callback)

    def speak(self, generation: "Generation", voice: str, rate: int) -> None:
        """Synthesize a request at `rate` words a minute; return at its end or when it is cancelled."""
        text = _speakable(generation.request.text)
        with self._lock:
            if generation.cancelled:
                return
            self._choose(voice)
            self._library.espeak_SetParameter(_PARAMETER_RATE, rate, 0)
            generation.format = self._format
            self._generation = generation
            self._fault = None
            self._dropped, self._has_begun = 0, False
            try:
                status = self._library.espeak_Synth(
                    text, ctypes.c_size_t(len(text) + 1), 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
                )
                if not self._has_begun and self._dropped:  # a text that is silence
                    generation.write(bytes(self._dropped * FORMAT.frame_bytes))
            finally:
                self._generation = None
            if self._fault is not None:
                raise self._fault
        if status != 0 and not generation.cancelled:
            raise EngineError(f"espeak-ng failed to speak (status {status})")

    def clauses(self, text: str, voice: str, mode: int) -> list[tuple[str, str]]:
        """Return the text's clauses as (phonemes, text)."""
        with self._lock:
            self._choose(voice)
            # A cancelled synthesis leaves the character that was read ahead; the next text would begin with it.
            self._phonemes(b".", mode)
            clauses = self._phonemes(_speakable(text), mode)
        return [(spoken.decode("utf-8", "replace"), part.decode("utf-8", "replace")) for spoken, part in clauses]

    def _phonemes(self, text: bytes, mode: int) -> list[tuple[bytes, bytes]]:
        buffer = ctypes.create_string_buffer(text)
        address = ctypes.addressof(buffer)
        pointer = ctypes.c_void_p(address)
        start, clauses = 0, []
        while start < len(text):
            phonemes = self._library.espeak_TextToPhonemes(ctypes.byref(pointer), 1, mode) or b""
            end = pointer.value - address if pointer.value else len(text)  # NULL once all is read
            clauses.append((phonemes, text[start:end]))
            if end <= start:  # no progress
                break
            start = end
        return clauses

    def _spoken(self, samples: int | None, frames: int, events: "ctypes._Pointer[_Event]") -> int:
        """Queue a chunk and its words: espeak-ng's callback, which stops it by returning 1 and must not raise."""
        try:
            generation = self._generation
            if generation is None:
                return 1
            data = ctypes.string_at(samples, frames * FORMAT.frame_bytes) if samples and frames > 0 else b""
            if not self._has_begun:
                data = self._without_silence(data)
            index = 0
            while (event := events[index]).type != _EVENT_LIST_TERMINATED:
                if event.type == _EVENT_WORD:
                    seconds = max(0.0, event.audio_position / 1000 - self._format.seconds(self._dropped))
                    generation.words.append(WordEvent(event.text_position - 1, event.length, seconds))
                elif event.type == _EVENT_SAMPLERATE:  # MBROLA's voices have other rates
                    self._format = generation.format = AudioFormat(event.number, FORMAT.channels)
                index += 1
            return int(not generation.write(data)) if data else int(generation.cancelled)
        except BaseException as error:
            self._fault = error
            return 1

    def _without_silence(self, data: bytes) -> bytes:
        """Drop the silence before the speech, which espeak-ng generates in vain."""
        silent = (len(data) - len(data.lstrip(b"\0"))) // FORMAT.frame_bytes
        self._dropped += silent
        data = data[silent * FORMAT.frame_bytes :]
        self._has_begun = bool(data)
        return data

    def _choose(self, wanted: str) -> None:
        if self._set_voice(wanted):
            return
        # It accepts a file's name (case is ignored) or the voice's full name, but not every language (en-gb, fr-fr,
        # zh); a variant only by its file's exact name, and it ignores an unknown one. For languages,
        # espeak_SetVoiceByProperties drops the variant and selects British English for en-zz.
        from voice_cli.backends.local.espeak_voices import find

        base, _, variant = wanted.partition("+")
        files = self.voice_files()
        name = find(base, [file for file in files if not file.is_variant]).identifier
        if variant:
            name += "+" + find(variant, [file for file in files if file.is_variant]).id
        if not self._set_voice(name):
            raise EngineError(f"espeak-ng cannot load its voice {name!r}")

    def _set_voice(self, name: str) -> bool:
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            return False
        if "+" not in name:
            return True
        current = self._library.espeak_GetCurrentVoice()
        return bool(current) and b"+" in (current.contents.identifier or b"")

    def voice_files(self) -> "list[VoiceFile]":
        """Return the voices and variants of the data files. Does not call the library, so takes no lock."""
        from voice_cli.backends.local.espeak_voices import voice_files

        return voice_files(self._data)


def _speakable(text: str) -> bytes:
    text = text.translate(_UNSPEAKABLE)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.translate(dict.fromkeys(range(0xD800, 0xE000), "\ufffd")).encode()


_loading = threading.Lock()
_shared: Library | None = None


def shared_library() -> Library:
    """Return the process's library; load it at the first call. Any thread."""
    global _shared  # noqa: PLW0603
    with _loading:
        if _shared is None:
            _shared = load_library()
        return _shared


def load_library() -> Library:
    """Load espeakng-loader's library, or the system's if that is missing or does not load."""
    # The package itself is not imported, which would take 8 ms.
    spec = PathFinder.find_spec("espeakng_loader")
    folders = (spec.submodule_search_locations if spec is not None else None) or []
    bundled = [(f"{folder}/{_BUNDLED}", folder) for folder in folders[:1]]
    failures = []
    for name, folder in [*bundled, *((name, None) for name in _SYSTEM)]:
        try:
            library = ctypes.CDLL(name)
        except OSError as error:
            failures.append(str(error))
            continue
        return Library(library, None if folder is None else _data_path(folder))
    raise EngineError(
        "the embedded voice is missing: espeak-ng's library is not installed",
        hint="install it: pip install espeakng-loader (or: apt install libespeak-ng1, dnf install espeak-ng, "
        "brew install espeak-ng)",
    ) from OSError("; ".join(failures))


def _data_path(folder: str) -> str:
    """Return a path of `folder` that fits espeak-ng's buffer: its own, or that of a descriptor that stays open."""
    try:
        os.stat(f"{folder}/espeak-ng-data/phontab")
    except OSError as error:
        raise _missing_data(folder) from error
    if len(os.fsencode(folder)) <= _SAFE_PATH_BYTES:
        return folder
    if sys.platform == "linux":
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        path = f"/proc/self/fd/{descriptor}"
        if os.access(path, os.R_OK):
            return path
        os.close(descriptor)
    raise EngineError(
        f"the path of espeak-ng's data is too long for it: {folder}",
        hint=f"install in a folder whose path has at most {_SAFE_PATH_BYTES} bytes",
    )


def _missing_data(path: str) -> EngineError:
    return EngineError(
        f"espeak-ng does not find its data in {path}",
        hint="install it again: pip install --force-reinstall espeakng-loader (apt install espeak-ng-data)",
    )
