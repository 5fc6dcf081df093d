"""The outcome of `voice say`: as JSON (`--json`) and as a latency report (`--debug`)."""

import sys
from collections import Counter
from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, BinaryIO

from voice_cli.cli.console import print_message, print_note, write_json
from voice_cli.cli.options import SayOptions, words
from voice_cli.config import Settings
from voice_cli.errors import Interrupted, TruncatedAudio, VoiceError
from voice_cli.playback.player import Outcome, PlaybackResult
from voice_cli.playback.timeline import TIMESTAMPS, PlaybackMetrics
from voice_cli.printable import escaped
from voice_cli.speech.narration import Narration
from voice_cli.speech.spoken import sort_text, was_heard, words_of

if TYPE_CHECKING:
    from rich.table import Table

NOT_IN_JSON = frozenset(
    {"underrun_positions_ms", "device_underflow_ms", "device_underflow_positions_ms", "buffer_peak_ms"}
)
"""The metrics that only the latency report has."""

BAR = 40
"""Columns of the waterfall."""


def report(
    options: SayOptions,
    settings: Settings | None,
    narration: Narration | None,
    result: PlaybackResult | None,
    error: BaseException | None,
    *,
    saved: str | None = None,
    noise: BinaryIO | None = None,
) -> None:
    """Print the outcome of `voice say`: notes and failures, and what the options request.

    `saved`: the name of the saved file. `noise`: the output of the sound libraries.
    """
    if result is not None and result.device_error is not None and error is None:
        print_message(f"{result.device_error.message}; nothing was played")
    is_complete = result is not None and result.outcome is Outcome.COMPLETE
    if saved is not None and error is not None and not (is_complete or options.quiet):
        print_message(f"the sound up to the error is in {saved}")
    if result is not None and not options.quiet:
        for note in notes_of(result):
            print_note(note)
    if options.json:
        write_json(outcome_object(settings, result, error, saved) | _spoken(narration, result))
    if noise is not None:
        print_noise(noise)
    if options.debug and result is not None and settings is not None:
        print_report(settings, result)


def notes_of(result: PlaybackResult) -> list[str]:
    """Return the notes of the streams, each once."""
    notes = [note for utterance in result.utterances for note in (*utterance.stream.notes, *utterance.notes)]
    return list(dict.fromkeys(notes))


def _spoken(narration: Narration | None, result: PlaybackResult | None) -> dict[str, Any]:
    """Return the text that was spoken and that was not, with the times of words and utterances."""
    if narration is None or result is None:
        return dict.fromkeys(("text_spoken", "text_skipped", "text_remaining", "words", "utterances"))
    unasked = "" if result.outcome is Outcome.COMPLETE else narration.unspoken()
    spoken, skipped, rest = sort_text(narration.utterances, result.spans)
    words = [words_of(utterance) for utterance in result.utterances]
    return {
        "text_spoken": spoken.strip(),
        "text_skipped": skipped.strip(),
        "text_remaining": (rest + unasked).strip(),
        "words": [
            {"word": word.text.strip(), "start_ms": _ms(word.start), "end_ms": _ms(word.end)}
            for of_utterance in words
            for word in of_utterance or ()
            if was_heard(word.start, word.end, result.spans)
        ]
        if any(words)
        else None,
        "utterances": [
            {"text": utterance.line.text.strip(), "start_ms": _ms(utterance.start), "end_ms": _ms(utterance.end)}
            for utterance in result.utterances
            if utterance.line.text
        ],
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)


def outcome_object(
    settings: Settings | None, result: PlaybackResult | None, error: BaseException | None, saved: str | None
) -> dict[str, Any]:
    """Return the object that `--json` prints, except the text; None: not measured."""
    outcome = result.outcome if result is not None else _outcome(error)
    metrics = result.metrics if result is not None else None
    audio_format = result.format if result is not None else None
    return {
        "outcome": outcome.value,
        **{name: getattr(metrics, name, None) for name in PlaybackMetrics._fields if name not in NOT_IN_JSON},
        "backend": settings.profile.backend if settings is not None else None,
        "format": result.codec if result is not None else None,
        "rate": audio_format.rate if audio_format is not None else None,
        "channels": audio_format.channels if audio_format is not None else None,
        "saved": saved,
        "notes": notes_of(result) if result is not None else None,
        "error": _error_object(error),
    }


def _outcome(error: BaseException | None) -> Outcome:
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return Outcome.CANCELLED
    return Outcome.TRUNCATED if isinstance(error, TruncatedAudio) else Outcome.FAILED


def _error_object(error: BaseException | None) -> dict[str, Any] | None:
    if error is None:
        return None
    if isinstance(error, KeyboardInterrupt):
        error = Interrupted("interrupted")
    if not isinstance(error, VoiceError):
        error = VoiceError(f"{type(error).__name__}: {error}")
    return {
        "kind": error.kind,
        "message": error.message,
        "hint": words(error.hint) if error.hint else None,
        "exit_code": error.exit_code,
    }


def print_report(settings: Settings, result: PlaybackResult) -> None:
    """Print the latency report to standard error."""
    from rich.console import Console

    console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
    described = " ".join(filter(None, (settings.profile.backend, result.codec, str(result.format or ""))))
    console.print(f"[bold]{result.outcome.value}[/bold] · {described}")
    console.print(_waterfall(result.timestamps))
    console.print(_figures(result))


def _waterfall(at_moment: Mapping[str, float]) -> "Table":
    from rich.table import Table

    timestamps = sorted(((at_moment[name], name) for name in TIMESTAMPS if name in at_moment), key=itemgetter(0))
    start = timestamps[0][0]
    # The phases after the first sound are much longer; bars end at it.
    end = at_moment.get("first_audible", at_moment.get("first_byte", timestamps[-1][0]))
    scale = BAR / max(end - start, 1e-6)
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.add_column("phase")
    table.add_column("at, ms", justify="right")
    table.add_column("took, ms", justify="right")
    table.add_column("")
    before = start
    for at, name in timestamps:
        left, right = (min(BAR, round((moment - start) * scale)) for moment in (before, at))
        bar = " " * left + ("━" * (right - left) or "╸" if at <= end else "→")
        table.add_row(TIMESTAMPS[name], f"{1000 * (at - start):.1f}", f"{1000 * (at - before):.1f}", bar)
        before = at
    return table


def _figures(result: PlaybackResult) -> "Table":
    from rich.table import Table

    metrics = result.metrics
    table = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    table.add_column(style="dim")
    table.add_column()

    def row(name: str, value: float | None, unit: str = "", extra: str = "") -> None:
        table.add_row(name, "not measured" if value is None else f"{value:g}{unit}{extra}")

    row("TTFA (process start to first audible frame)", metrics.ttfa_ms, " ms")
    row("TTFB (request sent to first byte)", metrics.ttfb_ms, " ms")
    row("leading silence from the backend", metrics.leading_silence_ms, " ms")
    row("generation", metrics.generation_ms, " ms")
    row("playback", metrics.playback_ms, " ms")
    row("paused", metrics.paused_ms, " ms")
    row("audio", metrics.audio_ms, " ms")
    row("real-time factor of the backend", metrics.real_time_factor)
    row("bytes received", metrics.bytes_received)
    row("chunks received", metrics.chunks_received)
    row("chunks played", metrics.chunks_played)
    row("most in the buffer", metrics.buffer_peak_ms, " ms")
    row("underruns", metrics.underruns, "", _where(metrics.underrun_ms, metrics.underrun_positions_ms))
    row(
        "device underflows",
        metrics.device_underflows,
        "",
        _where(metrics.device_underflow_ms, metrics.device_underflow_positions_ms),
    )
    return table


def _where(milliseconds: float | None, positions: tuple[float, ...]) -> str:
    if not positions:
        return ""
    shown = ", ".join(f"{position:g}" for position in positions[:8])
    return f" ({milliseconds:g} ms in all; at {shown}{', …' if len(positions) > 8 else ''} ms)"


def print_noise(noise: BinaryIO) -> None:
    """Print the lines of the sound libraries, each once with its count."""
    noise.seek(0)
    for line, count in Counter(noise.read(1 << 20).decode("utf-8", "replace").splitlines()).items():
        sys.stderr.write(f"library: {escaped(line)}{f' ({count} times)' if count > 1 else ''}\n")
