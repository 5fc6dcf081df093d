"""Text to phonemes, by espeak-ng: what Piper's, Kokoro's and Matcha's models read, and sherpa-onnx 2 makes no more.

It runs on the embedded voice's worker, in its turn: see `espeak_library`.
"""

import ctypes
import re
import unicodedata

from voice_cli.backends.local import espeak
from voice_cli.backends.local.espeak_library import Job, Library

ENDS = ".!?"
"""Marks that end a sentence, as the models know them."""
PAUSES = ",;:"

_MARKS = {
    **{mark: mark for mark in ENDS + PAUSES},
    **dict(zip("。！？｡।؟", ".!?..?", strict=True)),
    **dict(zip("，；：、،؛—–", ",;:,,;,,", strict=True)),
    "…": ".",
}
_LANGUAGE_SWITCH = re.compile(r"\([a-z-]+\)")
_ABBREVIATION = re.compile(r"\b[b-df-hj-np-tv-xz]{2,4}$", re.IGNORECASE)
"""Dr, Mrs, St, vs: a word without a vowel. espeak-ng says it in full, and its full stop ends nothing."""
_IPA = 0x02


class PhonemeJob(Job):
    """A job of espeak-ng's worker that leaves sentences and no sound."""

    def __init__(self, text: str, voice: str) -> None:
        super().__init__(None, text, voice, 0)
        self.sentences: list[str] = []

    def run(self, library: Library) -> None:
        self.sentences = _sentences(library.clauses(self.text, self.voice, _IPA))


def phonemes(text: str, voice: str) -> list[str]:
    """Give the text's sentences in IPA (NFD, as Piper's phonemizer has it), each with the marks at which it breathes.

    Waits for what the embedded voice speaks just now. Any thread but espeak-ng's own.

    Raises:
        UsageError: espeak-ng has no such voice.
        EngineError: it is missing, or failed.

    """
    job = PhonemeJob(text, voice)
    espeak.begin(job)
    for _ in job.handoff:  # nothing is put in: this waits for its end
        continue
    return job.sentences


def _sentences(clauses: list[tuple[str, str]]) -> list[str]:
    """Put clauses together: each is its IPA and its stretch of text, at whose end its mark is."""
    sentences: list[str] = []
    spoken = read = ""
    for said, stretch in clauses:
        ipa = unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", " ".join(said.split())))
        at = max((stretch.rfind(letter) for letter in _MARKS), default=-1)
        mark = _MARKS[stretch[at]] if at >= 0 else ""
        if mark == "." and _ABBREVIATION.search(read + stretch[:at]):
            mark = ""
        read += stretch
        if not ipa:
            continue
        spoken += f" {ipa}" if spoken else ipa
        if mark in PAUSES:  # the empty string, too: a clause that ends without a mark, or a line
            spoken += mark
        else:
            sentences.append(spoken + mark)
            spoken = ""
    if spoken:
        sentences.append(spoken.rstrip(PAUSES) + ".")
    return sentences


def clauses_of(library: ctypes.CDLL, text: bytes, mode: int) -> list[tuple[str, str]]:
    """Read the text clause by clause with the voice that is set: (phonemes, its stretch of text)."""
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    # A speech that was stopped leaves the letter that it had read ahead, and whoever reads next begins with it.
    _read(library, b".", mode)
    return [
        (said.decode("utf-8", "replace"), part.decode("utf-8", "replace")) for said, part in _read(library, text, mode)
    ]


def _read(library: ctypes.CDLL, text: bytes, mode: int) -> list[tuple[bytes, bytes]]:
    buffer = ctypes.create_string_buffer(text)
    begin = ctypes.addressof(buffer)
    at = ctypes.c_void_p(begin)
    first, found = 0, []
    while first < len(text):
        said = library.espeak_TextToPhonemes(ctypes.byref(at), 1, mode) or b""
        last = at.value - begin if at.value else len(text)  # it is at nothing once all is read
        found.append((said, text[first:last]))
        if last <= first:  # it stands still: better a part of a text than a hung thread
            break
        first = last
    return found
