"""`voice history` and `voice replay`.

A speech is spoken again by the agent, which has the texts of its last speeches in memory; otherwise from its text, if
the history has it; otherwise from the cache, by the keys of its utterances.
"""

import time
from contextlib import closing
from typing import Any

from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream, Voice
from voice_cli.cli.agent_client import replay_through_agent
from voice_cli.cli.caching import cache_folder
from voice_cli.cli.console import report_error, silence_libraries
from voice_cli.cli.history import entries_of, history_path, remember
from voice_cli.cli.listings import print_rows
from voice_cli.cli.options import SayOptions
from voice_cli.cli.say import load_device, say, wait_for_turn
from voice_cli.clock import process_start
from voice_cli.config import Profile, Settings, load, settle
from voice_cli.errors import FileError, UsageError
from voice_cli.script.line import Line
from voice_cli.speech.cache import Cache
from voice_cli.speech.caching import CachedStream
from voice_cli.speech.narration import Narration
from voice_cli.state_file import as_dict


def history(*, as_json: bool) -> None:
    """Print the last speeches."""
    entries = entries_of(history_path())
    if as_json:
        print_rows([{"id": number, **entry} for number, entry in entries.items()], as_json=True)
        return
    print_rows(
        [
            {
                "n": place,
                "id": number,
                "time": time.strftime("%Y-%m-%d %H:%M", time.localtime(_number(entry.get("time")))),
                "profile": entry.get("profile") or entry.get("backend") or "",
                "voice": entry.get("voice") or "",
                "heard": f"{_number(entry.get('heard_ms')) / 1000:.1f} s",
                "outcome": entry.get("outcome") or "",
                "text": " ".join(str(entry.get("text") or "").split())[:80],
            }
            for place, (number, entry) in enumerate(entries.items(), 1)
        ],
        as_json=False,
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def replay(which: str | None = None) -> int:
    """Speak a speech again, and return the exit code. `which`: the number in the list, 1 is the last, or its id."""
    entries = entries_of(history_path())
    place = int(which or 1) if which is None or which.isdecimal() else None
    number: str | None = None
    if place is None:
        number = which or ""
        if number not in entries:
            raise UsageError(f"there is no speech {number!r} in the history", hint="'voice history' lists them")
    elif entries:
        if not 1 <= place <= len(entries):
            raise UsageError(f"the history has {len(entries)} speeches", hint="'voice history' lists them")
        number = list(entries)[place - 1]
    code = replay_through_agent({"count": place} if number is None else {"history": number})
    if code is not None:
        return code
    if number is None:
        raise UsageError("the history is empty, and the agent has no such speech")
    return _speak_again(number, entries[number])


def _speak_again(number: str, entry: dict[str, Any]) -> int:
    if isinstance(entry.get("text"), str):
        known = SayOptions()._asdict()
        options = {name: value for name, value in as_dict(entry.get("options")).items() if name in known}
        return say(SayOptions(**options | {"text": (entry["text"],)}))
    settings = settle(load(), {})
    cache = Cache(cache_folder(), round(1e6 * settings.defaults.cache_size))
    lines = [Line("", "…", key, pause) for key, pause in entry.get("utterances") or ()]
    if not lines or not all(cache.has(line.speaker or "") for line in lines):
        raise UsageError(
            f"the sound of speech {number} is not kept",
            hint='with history = "texts" in the config file, later speeches keep their text',
        )
    profile = Profile(backend=str(entry.get("backend")), voice=entry.get("voice"))
    return _speak_kept(cache, lines, settings._replace(profile=profile))


class KeptSpeech(Backend):
    """The utterances of the cache, by their keys."""

    def __init__(self, name: str, cache: Cache) -> None:
        self.name = name  # type: ignore[misc]  # of the backend that has made them
        self._cache = cache

    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        entry = self._cache.read(request.text)
        if entry is None:
            raise FileError("an utterance is not in the cache any more")
        return CachedStream(request.text, entry)

    def voices(self) -> list[Voice]:
        return []


def _speak_kept(cache: Cache, lines: list[Line], settings: Settings) -> int:
    """Speak utterances of the cache, and return the exit code."""
    from voice_cli.cli.playing import play
    from voice_cli.cli.report import account_of

    options = SayOptions()
    backend = KeptSpeech(str(settings.profile.backend), cache)
    turn, queued = wait_for_turn(options, None)
    try:
        silence_libraries()
        load_device(options, settings)
        narration = Narration(
            backend, lines, lambda line: SpeechRequest(line.speaker or ""), total=0, is_one=len(lines) == 1
        )
        with closing(backend):
            narration.start(first=True)
            try:
                result = play(narration, backend, settings, options, None, process_start(), turn)
            finally:
                narration.cancel()
    finally:
        if turn is not None:
            turn.release()
    remember(settings, options, narration, account_of(settings, narration, result, result.error, queued=queued))
    return report_error(result.error, debug=False) if result.error is not None else 0
