"""Text to phonemes, by espeak-ng: the input of Piper's, Kokoro's and Matcha's models.

sherpa-onnx 2 no longer generates them.
"""

import re
import unicodedata

from voice_cli.backends.local.espeak_library import shared_library

ENDS = ".!?"
"""The marks that end a sentence in the models' alphabets."""
PAUSES = ",;:"

_MARKS = {
    **{mark: mark for mark in ENDS + PAUSES},
    **dict(zip("。！？｡।؟", ".!?..?", strict=True)),
    **dict(zip("，；：、،؛—–", ",;:,,;,,", strict=True)),
    "…": ".",
}
_LANGUAGE_SWITCH = re.compile(r"\([a-z-]+\)")
_ABBREVIATION = re.compile(r"\b[b-df-hj-np-tv-xz]{2,4}$", re.IGNORECASE)
"""Dr, Mrs, St, vs: words without a vowel, whose full stop does not end a sentence."""
_IPA = 0x02


def phonemes(text: str, voice: str) -> list[str]:
    """Return the text's sentences in IPA (NFD, as in Piper's phonemizer), each with its punctuation marks.

    Waits while espeak-ng is in use. Any thread.
    """
    sentences: list[str] = []
    spoken = read = ""
    for clause_phonemes, clause in shared_library().clauses(text, voice, _IPA):
        ipa = unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", " ".join(clause_phonemes.split())))
        at = max((clause.rfind(letter) for letter in _MARKS), default=-1)
        mark = _MARKS[clause[at]] if at >= 0 else ""
        if mark == "." and _ABBREVIATION.search(read + clause[:at]):
            mark = ""
        read += clause
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
