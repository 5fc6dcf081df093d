"""The outcome of `voice say`: as JSON (`--json`) and as a latency report (`--debug`)."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict

from voice_cli.cli import interrupts
from voice_cli.cli.console import is_watched, print_message, print_note, write_json
from voice_cli.cli.options import SayOptions, words
from voice_cli.config import Settings
from voice_cli.errors import Dropped, Interrupted, TruncatedAudio, VoiceError
from voice_cli.playback.player import Outcome, PlaybackResult
from voice_cli.playback.timeline import TIMESTAMPS, PlaybackMetrics
from voice_cli.printable import escaped, one_line
from voice_cli.speech.narration import Narration
from voice_cli.speech.spoken import sort_text, was_heard, words_of

if TYPE_CHECKING:
    from rich.table import Table

    from voice_cli.cli.event_lines import EventLines

NOT_IN_JSON = frozenset(
    {"underrun_positions_ms", "device_underflow_ms", "device_underflow_positions_ms", "buffer_peak_ms"}
)
"""The metrics that only the latency report has."""

LEAST_BAR, MOST_BAR = 12, 60
"""Columns of the waterfall's bars, of which those after the first sound get a quarter."""


class Account(TypedDict):
    """All that is reported of a speech, as values that JSON has."""

    json: dict[str, Any]
    """The object that `--json` prints."""
    device_error: str | None
    """Why nothing was played, if only a file was needed."""
    debug: dict[str, Any] | None
    """What the latency report shows, besides the outcome: `described`, `timestamps`, `metrics` and `recovered`."""


def account_of(
    settings: Settings | None,
    narration: Narration | None,
    result: PlaybackResult | None,
    error: BaseException | None,
    *,
    queued: float | None = None,
) -> Account:
    """Return the account of a speech, or of its failure before the playback.

    `queued`: seconds that it waited for other speeches; None: it does not wait.
    """
    debug = None
    recovery = recovered(narration)
    if result is not None and settings is not None:
        described = " ".join(filter(None, (settings.profile.backend, result.codec, str(result.format or ""))))
        if cached := _cached(result):
            described += f" · {cached} of {len(result.utterances)} utterances from the cache"
        debug = {
            "described": described,
            "timestamps": dict(result.timestamps),
            "metrics": result.metrics._asdict(),
            "recovered": recovery,
        }
    return {
        "json": outcome_object(settings, result, error)
        | {"queued_ms": _ms(queued)}
        | recovery
        | _spoken(narration, result),
        "device_error": result.device_error.message if result is not None and result.device_error is not None else None,
        "debug": debug,
    }


def fail(account: Account, error: BaseException, *, of_file: bool) -> None:
    """Set an error of this process's output. `of_file`: of the saved file, without which the speech has failed."""
    account["json"]["error"] = _error_object(error)
    if of_file:
        account["json"]["outcome"] = Outcome.FAILED.value


def report(
    options: SayOptions,
    account: Account,
    *,
    saved: str | None = None,
    noise: BinaryIO | None = None,
    lines: "EventLines | None" = None,
) -> None:
    """Print the outcome of `voice say`: notes and failures, and what the options request.

    `saved`: the name of the saved file. `noise`: the output of the sound libraries. `lines`: where the events were
    written; None: there was none before the end.
    """
    tree, has_failed = account["json"], account["json"]["error"] is not None
    if has_failed and tree["error"]["kind"] == Interrupted.kind:
        tree["error"]["exit_code"] = interrupts.exit_code()
    if account["device_error"] is not None and not has_failed:
        print_message(f"{account['device_error']}; nothing was played")
    is_complete = tree["outcome"] == Outcome.COMPLETE.value
    if saved is not None and has_failed and not (is_complete or options.quiet):
        print_message(f"the sound up to the error is in {saved}")
    if not options.quiet:
        for note in tree["notes"] or ():
            print_note(note)
    if options.json:
        write_json(tree | {"saved": saved})
    if options.events:
        from voice_cli.cli.event_lines import EventLines

        (lines or EventLines()).send("end", **tree | {"saved": saved})
    with suppress(OSError, ValueError):  # standard error is full, or closed
        if noise is not None:
            print_noise(noise)
        if options.debug and account["debug"] is not None:
            print_report(tree["outcome"], **account["debug"])


def _cached(result: PlaybackResult) -> int:
    """Return how many utterances were read from the cache."""
    return sum(utterance.stream.is_cached for utterance in result.utterances)


def notes_of(result: PlaybackResult) -> list[str]:
    """Return the notes of the streams and of the device, each once."""
    notes = [note for utterance in result.utterances for note in (*utterance.stream.notes, *utterance.notes)]
    notes += [
        f"the output device stopped and was reopened after {away:.1f} s; at most {1000 * repeated:.0f} ms were repeated"
        for away, repeated in result.reopenings
    ]
    return list(dict.fromkeys(notes))


def recovered(narration: Narration | None) -> dict[str, Any]:
    """Return which requests were sent again, where new takes were joined, and which fallback spoke."""
    recovery = narration.recovery if narration is not None else None
    if recovery is None:
        return {"retries": 0, "resumed": [], "fallback": None}
    return {
        "retries": recovery.retries,
        "resumed": [{"at_ms": _ms(resumed.at), "by": resumed.by} for resumed in recovery.resumed],
        "fallback": recovery.fallback,
    }


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
            {
                "word": word.text.strip(),
                "start_ms": _ms(word.start),
                "end_ms": _ms(word.end),
                **({"estimated": True} if word.estimated else {}),
            }
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
    settings: Settings | None, result: PlaybackResult | None, error: BaseException | None
) -> dict[str, Any]:
    """Return the object that `--json` prints, except the text and the saved file; None: not measured."""
    outcome = result.outcome if result is not None else _outcome(error)
    metrics = result.metrics if result is not None else None
    audio_format = result.format if result is not None else None
    return {
        "outcome": outcome.value,
        **{name: getattr(metrics, name, None) for name in PlaybackMetrics._fields if name not in NOT_IN_JSON},
        "heard_ms": _ms(result.heard) if result is not None else None,
        "backend": settings.profile.backend if settings is not None else None,
        "format": result.codec if result is not None else None,
        "rate": audio_format.rate if audio_format is not None else None,
        "channels": audio_format.channels if audio_format is not None else None,
        "cached": _cached(result) if result is not None else None,
        "saved": None,
        "notes": notes_of(result) if result is not None else None,
        "error": _error_object(error),
    }


def _outcome(error: BaseException | None) -> Outcome:
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return Outcome.CANCELLED
    if isinstance(error, Dropped):
        return Outcome.DROPPED
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


def print_report(
    outcome: str,
    *,
    described: str,
    timestamps: Mapping[str, float],
    metrics: Mapping[str, Any],
    recovered: Mapping[str, Any],
) -> None:
    """Print the latency report to standard error, as wide as the terminal."""
    from rich.console import Console

    console = Console(file=sys.stderr, highlight=False)
    console.print(f"[bold]{outcome}[/bold] · {described}")
    if timestamps:
        for line in _waterfall(timestamps, console.width):
            console.print(line, soft_wrap=True)
    console.print(_figures(PlaybackMetrics(**metrics), recovered))


def _waterfall(at_moment: Mapping[str, float], width: int) -> Iterator[str]:
    """Yield a line with a bar for each phase, and a header.

    The phases after the first sound are much longer, so they have a scale of their own, on the right.
    """
    timestamps = sorted(((at_moment[name], name) for name in TIMESTAMPS if name in at_moment), key=itemgetter(0))
    start, last = timestamps[0][0], timestamps[-1][0]
    audible = at_moment.get("first_audible", last)
    name_width = max(len(TIMESTAMPS[name]) for _, name in timestamps)
    number_width = max(len("took, ms"), len(f"{1000 * (last - start):.1f}"))
    bar = min(max(width - name_width - 2 * number_width - 3, LEAST_BAR), MOST_BAR)
    right = bar // 4 if audible < last else 0
    scales = (start, audible, 0, bar - right - (right > 0)), (audible, last, bar - right, right)
    yield f"{'phase':<{name_width}} {'at, ms':>{number_width}} {'took, ms':>{number_width}}"
    before = start
    for at, name in timestamps:
        is_later = at > audible
        first, final, offset, columns = scales[is_later]
        left, stop = (
            offset + round(columns * (moment - first) / max(final - first, 1e-6)) for moment in (max(before, first), at)
        )
        bars = " " * min(left, offset + columns - 1) + ("┄" if is_later else "━") * max(stop - left, 1)
        times = (f"{1000 * seconds:>{number_width}.1f}" for seconds in (at - start, at - before))
        yield " ".join((f"{TIMESTAMPS[name]:<{name_width}}", *times, bars))
        before = at


def _figures(metrics: PlaybackMetrics, recovered: Mapping[str, Any]) -> "Table":
    """Return what was measured, and TTFA and TTFB in any case."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False, show_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")

    def row(name: str, value: float | None, unit: str = "", extra: str = "") -> None:
        if value is not None:
            table.add_row(name, f"{value:g}{unit}{extra}")
        elif name.startswith("TTF"):
            table.add_row(name, "not measured")

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
    known = "" if metrics.learned_rate is None else f" (in earlier runs {metrics.learned_rate:g})"
    row("seconds of audio that arrived a second", metrics.arrival_rate, "", known)
    row("least delay of the start without underruns", metrics.arrival_lag_ms, " ms")
    row("start delayed for audio that arrives slowly", metrics.start_delay_ms, " ms")
    row("characters a second", metrics.chars_per_second)
    row("underruns", metrics.underruns, "", _where(metrics.underrun_ms, metrics.underrun_positions_ms))
    row("of these in pauses of the speech", metrics.rebuffers, "", f" ({metrics.rebuffer_ms or 0:g} ms in all)")
    row(
        "device underflows",
        metrics.device_underflows,
        "",
        _where(metrics.device_underflow_ms, metrics.device_underflow_positions_ms),
    )
    if recovered["retries"]:
        row("requests sent again", recovered["retries"])
    if recovered["resumed"]:
        row(
            "continued after a cut",
            len(recovered["resumed"]),
            "",
            " times" if len(recovered["resumed"]) > 1 else " time",
        )
    if recovered["fallback"]:
        table.add_row("spoken by the fallback", escaped(recovered["fallback"]))
    if metrics.device_reopened:
        row("device reopened", metrics.device_reopened)
        row("without a device", metrics.device_away_ms, " ms")
        row("repeated after that, at most", metrics.device_repeated_ms, " ms")
    return table


def _where(milliseconds: float | None, positions: Sequence[float]) -> str:
    if not positions:
        return ""
    shown = ", ".join(f"{position:g}" for position in positions[:8])
    return f" ({milliseconds:g} ms in all; at {shown}{', …' if len(positions) > 8 else ''} ms)"


def print_noise(noise: BinaryIO) -> None:
    """Print what the sound libraries have printed: to a terminal as one line, else every line once with its count."""
    noise.seek(0)
    lines = Counter(noise.read(1 << 20).decode("utf-8", "replace").splitlines())
    if is_watched() and len(lines) > 1:
        from shutil import get_terminal_size

        words = f"libraries: {lines.total()} lines (all of them with 2>FILE), the last: "
        sys.stderr.write(words + one_line(list(lines)[-1], max(get_terminal_size().columns - len(words), 20)) + "\n")
        return
    for line, count in lines.items():
        sys.stderr.write(f"library: {escaped(line)}{f' ({count} times)' if count > 1 else ''}\n")
