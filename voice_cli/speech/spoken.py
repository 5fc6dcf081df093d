"""The text that was heard: by word if the backend sends word times, otherwise by utterance.

Positions are seconds of the speech. After a jump, several parts of it were heard: its spans.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from voice_cli.script.line import Line
from voice_cli.speech.events import Utterance

CUE_CHARS = 80
"""Maximum length of a subtitle: two lines on a screen."""


NEAR = 0.001
"""Seconds by which positions may differ."""


class Word(NamedTuple):
    """A piece of the text and when it is heard, in seconds of the speech."""

    text: str
    """The slice of the line's text from the end of the word before."""
    start: float
    end: float
    estimated: bool = False
    """The backend does not know its time (`WordEvent.estimated`)."""


def words_of(utterance: Utterance) -> list[Word] | None:
    """Return the line's words; None if the backend sent no times, or speaks other words than the text has.

    The last one has all text after it.
    """
    words = told_words(utterance)
    at = sum(len(word.text) for word in words)
    if words and at < len(utterance.line.text):
        words[-1] = words[-1]._replace(text=words[-1].text + utterance.line.text[at:])
    return words or None


def told_words(utterance: Utterance) -> list[Word]:
    """Return the line's words whose times have been told so far, as `words_of`."""
    line, events = utterance.line, tuple(utterance.stream.words)
    if not events or utterance.start is None or line.spoken.split() != line.text.split():
        return []
    ends = _ends(line, [event.text_start + event.text_length for event in events])
    starts = [utterance.start + max(0.0, event.seconds - utterance.lead) for event in events]
    finish = utterance.end if utterance.end is not None else math.inf  # without an end, the last word was not spoken
    words: list[Word] = []
    at = 0
    for index, (end, start, event) in enumerate(zip(ends, starts, events, strict=True)):
        until = max(start, starts[index + 1] if index + 1 < len(starts) else finish)
        if end > at:
            words.append(Word(line.text[at:end], start, until, event.estimated))
            at = end
        elif words:  # several words may be spoken for one word of the text
            words[-1] = words[-1]._replace(end=until)
    return words


def _ends(line: Line, spoken_ends: list[int]) -> list[int]:
    """Map positions of the spoken text to the text, which has the same words but other white space."""
    places = [index + 1 for index, character in enumerate(line.text) if not character.isspace()]
    counts = [0]
    for character in line.spoken:
        counts.append(counts[-1] + (not character.isspace()))
    ends = []
    highest = 0
    for end in spoken_ends:
        count = counts[min(end, len(line.spoken))]
        highest = max(highest, places[count - 1] if 0 < count <= len(places) else 0)
        while highest < len(line.text) and not (line.text[highest].isspace() or line.text[highest].isalnum()):
            highest += 1  # punctuation belongs to the word before
        ends.append(highest)
    return ends


def pieces_of(utterance: Utterance) -> list[Word]:
    """Return the words of the line, or the whole line if their times are not known. The end of the last may be inf."""
    end = math.inf if utterance.end is None else utterance.end
    return words_of(utterance) or [Word(utterance.line.text, utterance.start or 0.0, end)]


def sentence_starts(utterance: Utterance) -> list[float]:
    """Return where an utterance begins, and where each later sentence of it does, if word times are known.

    If its stream has marks, those that have arrived replace the sentences.
    """
    starts = [utterance.start or 0.0]
    if marks := utterance.stream.marks:
        return starts + [starts[0] + mark for mark in marks if 0 < mark <= utterance.decoded_seconds]
    words, places, at = pieces_of(utterance), [], 0
    if len(words) == 1:
        return starts
    from voice_cli.script.ends import Boundary
    from voice_cli.script.splitter import Splitter

    for word in words:
        places.append((at + len(word.text) - len(word.text.lstrip()), word.start))
        at += len(word.text)
    splitter = Splitter(every=Boundary.SENTENCE)
    for end in accumulate(map(len, splitter.feed(utterance.line.text) + splitter.finish())):
        start = next((start for first, start in places if first >= end), starts[-1])
        if start > starts[-1]:
            starts.append(start)
    return starts


def was_heard(start: float, end: float, spans: Sequence[tuple[float, float]]) -> bool:
    """Return whether all of that part of the speech was heard, at once or in several spans."""
    at = start
    for first, last in sorted(spans):
        if first <= at + NEAR:
            at = max(at, last)
    return end <= at + NEAR


def sort_text(utterances: Sequence[Utterance], spans: Sequence[tuple[float, float]]) -> tuple[str, str, str]:
    """Return the text that was heard, the text before the last position that was not, and the rest, each in order."""
    heard: list[str] = []
    skipped: list[str] = []
    remaining: list[str] = []
    here = spans[-1][1]
    for utterance in utterances:
        for word in pieces_of(utterance):
            if was_heard(word.start, word.end, spans):
                heard.append(word.text)
            else:
                (skipped if word.end <= here + NEAR else remaining).append(word.text)
    return "".join(heard), "".join(skipped), "".join(remaining)


def cues(utterances: Sequence[Utterance], heard: float) -> Iterator[Word]:
    """Yield subtitles for the first `heard` seconds."""
    for utterance in utterances:
        end = min(utterance.end if utterance.end is not None else heard, heard)
        if utterance.start is None or utterance.start >= heard:
            return
        words = words_of(utterance) or _evenly(utterance.line, utterance.start, end)
        cue: Word | None = None
        for word in words:
            if word.start >= heard:
                break
            if cue is not None and len(cue.text) + len(word.text) > CUE_CHARS:
                yield cue._replace(text=" ".join(cue.text.split()))
                cue = None
            cue = word if cue is None else Word(cue.text + word.text, cue.start, word.end)
        if cue is not None:
            yield Word(" ".join(cue.text.split()), cue.start, min(cue.end, end))


def _evenly(line: Line, start: float, end: float) -> list[Word]:
    """Estimate the times of the words from their lengths."""
    pieces = line.text.split()
    letters = sum(map(len, pieces)) or 1
    words = []
    at = start
    for piece in pieces:
        until = at + (end - start) * len(piece) / letters
        words.append(Word(f"{piece} ", at, until))
        at = until
    return words


def subtitles(found: Iterator[Word], *, vtt: bool) -> str:
    """Return subtitles as SubRip, or as WebVTT (W3C)."""
    blocks = ["WEBVTT\n"] if vtt else []
    for number, cue in enumerate(found, 1):
        text = cue.text.replace("-->", "→")
        if vtt:
            text = text.replace("&", "&amp;").replace("<", "&lt;")
        blocks.append(f"{number}\n{_stamp(cue.start, vtt=vtt)} --> {_stamp(cue.end, vtt=vtt)}\n{text}\n")
    return "\n".join(blocks)


def _stamp(seconds: float, *, vtt: bool) -> str:
    milliseconds = round(1000 * seconds)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{'.' if vtt else ','}{rest % 1000:03}"
