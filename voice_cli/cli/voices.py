"""`voice voices`: what is installed, what can be downloaded, and a voice's download, removal, sample and choice."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from voice_cli.backends import BACKENDS, is_remote
from voice_cli.backends.base import Voice
from voice_cli.cli.config_edit import with_default_voice
from voice_cli.cli.console import is_watched, print_message, print_note
from voice_cli.cli.listings import print_rows
from voice_cli.cli.options import SayOptions
from voice_cli.cli.say import make_backend, say, with_engine
from voice_cli.config import load, parse, settle
from voice_cli.errors import ConfigError, FileError, UsageError, nearest
from voice_cli.folders import config_path, write_atomically
from voice_cli.voices.catalogue import Entry, RemoteFile, catalogue, choose
from voice_cli.voices.download import Progress, download
from voice_cli.voices.installed import InstalledVoice, engine_of, find_voice, installed_voices, speakers
from voice_cli.voices.named import is_of_espeak
from voice_cli.voices.store import entry_of, remove
from voice_cli.voices.store import get as get_voice

SAMPLES = {
    "de": "Guten Tag. So klingt diese Stimme.",
    "es": "Hola. Así suena esta voz.",
    "fr": "Bonjour. Voici comment sonne cette voix.",
    "it": "Buongiorno. Ecco come suona questa voce.",
    "ja": "こんにちは。これがこの声です。",
    "nl": "Goedendag. Zo klinkt deze stem.",
    "pl": "Dzień dobry. Tak brzmi ten głos.",
    "pt": "Olá. É assim que esta voz soa.",
    "ru": "Здравствуйте. Так звучит этот голос.",
    "zh": "你好。这个声音听起来是这样的。",
}
"""By language; in others, a voice speaks `SAMPLE`."""
SAMPLE = "Hello there. This is how the voice sounds."


def list_voices(*, every: bool, language: str | None, as_json: bool, **flags: Any) -> None:
    """Print the voices of the configured backend; without one, all that are installed. `every`: the downloadable."""
    if every:
        rows = _downloadable(as_json=as_json)
    else:
        settings = settle(load(), flags, backend_names=BACKENDS)
        is_named = "backend" in settings.origins or is_remote(str(settings.profile.backend))
        settings = settings if is_named else settings._replace(profile=settings.profile._replace(voice=None))
        with closing(make_backend(with_engine(settings))) as backend:
            voices = backend.voices()
        rows = [voice._asdict() for voice in voices]
        if not is_named:
            here = [_installed_row(voice, as_json=as_json) for voice in installed_voices().values()]
            rows = [*here, *({**row, **_facts("espeak", {}, as_json=as_json)} for row in rows)]
    if language is not None:
        rows = [row for row in rows if row["language"].lower().replace("_", "-").startswith(language.lower())]
    print_rows(rows, as_json=as_json)


def _installed_row(voice: InstalledVoice, *, as_json: bool) -> dict[str, Any]:
    row = Voice(voice.name, ", ".join(speakers(voice)[:60]), str(voice.about.get("language") or ""))._asdict()
    return {**row, **_facts(voice.engine, voice.about, as_json=as_json)}


def _facts(engine: str, about: Any, *, as_json: bool) -> dict[str, Any]:
    size = about.get("size")
    shown = size if as_json else f"{size / 1e6:.0f} MB" if size else ""
    return {
        "engine": engine,
        "quality": about.get("quality") or "",
        "size": shown,
        "licence": about.get("licence") or "",
    }


def _downloadable(*, as_json: bool) -> list[dict[str, Any]]:
    here = installed_voices()
    return [
        {
            "id": entry.name,
            "language": ", ".join(entry.languages),
            "speakers": entry.speakers,
            **_facts(entry.engine, entry._asdict(), as_json=as_json),
            "licence": entry.licence or "see its model card",
            "installed": entry.name in here if as_json else "yes" if entry.name in here else "",
        }
        for entry in catalogue().values()
    ]


def get(*, voice: str, name: str | None, sha256: str | None) -> None:
    """Download a voice, or copy it from a file."""
    entry = entry_of(voice, catalogue(), name, (sha256 or "").lower())
    with _progress(entry.name) as on_progress:
        got = get_voice(voice, entry, on_progress=on_progress)
    print_message(f"got {got.name}: voice say -v {got.name} TEXT")
    if licence := got.about.get("licence"):
        print_note(f"licence: {licence}")
    elif entry.engine == "piper":
        print_note(f"its licence is in {os.path.join(os.path.dirname(got.model), 'MODEL_CARD')}")
    engine_of(got)


def remove_voice(*, voice: str) -> None:
    """Delete a downloaded voice."""
    found = choose(voice, installed_voices().items())
    if found is None:
        raise _unknown(voice)
    remove(found)
    print_message(f"removed {found.name}")
    with suppress(ConfigError):
        default = settle(load(), {}).profile.voice or ""
        if choose(default.partition("/")[0], [(found.name, found)]) is not None:
            print_note("it is still the default: voice voices use NAME chooses another one")


def play(*, voice: str, text: str | None) -> int:
    """Speak a sample with a voice. Of a Piper voice that is not installed, play the sample that its project has."""
    found = find_voice(voice)
    if found is None:
        entry = choose(voice, catalogue().items())
        if entry is None:
            return say(SayOptions(text=(text or SAMPLE,), voice=voice))
        return _play_published(entry)
    language = str(found[0].about.get("language") or "").partition("-")[0]
    return say(SayOptions(text=(text or SAMPLES.get(language, SAMPLE),), voice=voice))


def _play_published(entry: Entry) -> int:
    if entry.engine != "piper":
        raise UsageError(f"the voice {entry.name} is not installed", hint=f"voice voices get {entry.name}")
    from voice_cli.cli import play

    sample = f"{entry.files[0].url.rpartition('/')[0]}/samples/speaker_0.mp3"
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sample.mp3")
        download(RemoteFile(sample), path)
        return play.play([path], SayOptions())


def use(*, voice: str) -> None:
    """Make a voice the default, in the config file."""
    found = find_voice(voice)
    if found is None and not is_of_espeak(voice):
        raise _unknown(voice)
    path = config_path()
    before = ""
    if os.path.exists(path):
        load()  # a wrong file is reported, and left as it is
        with open(path, encoding="utf-8") as file:
            before = file.read()
    after, profile = with_default_voice(before, voice, backend=None if found else "espeak")
    parse(path, after.encode())
    _write_config(path, after)
    print_message(f"{voice} is the default: profile {profile} in {path}")


def _write_config(path: str, text: str) -> None:
    """Replace the config file; if it is a link, what it leads to."""
    target = os.path.realpath(path)
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else None
        write_atomically(target, text.encode(), mode)
    except OSError as exc:
        raise FileError(f"cannot write {path}: {exc.strerror}") from exc


def _unknown(voice: str) -> UsageError:
    entry = choose(voice, catalogue().items())
    if entry is not None:
        return UsageError(f"the voice {entry.name} is not installed", hint=f"voice voices get {entry.name}")
    known = [*installed_voices(), *catalogue()]
    return UsageError(
        f"there is no voice {voice!r}{nearest(voice, known)}",
        hint="'voice voices' lists them, 'voice voices --all' more",
    )


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """Yield a function that draws a progress bar on standard error, if that is a terminal."""
    if not is_watched():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    bar = Bar(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(file=sys.stderr), transient=True)
    with bar:
        task = bar.add_task(name, total=None)
        update: Callable[[int, int | None], object] = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        yield update
