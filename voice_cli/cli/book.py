"""`voice book`: make an audio book from an EPUB, a web page, Markdown, plain text or a PDF.

Each chapter is made by a process (`book_worker`) and kept in the store. A run that was stopped, by Ctrl-C, an error or
a crash, continues with the first chapter that is not in the store.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from voice_cli.backends import open_backend
from voice_cli.books.book import Book
from voice_cli.books.reading import read_book
from voice_cli.books.sound import SUFFIXES, Marked, format_of, join, replacing
from voice_cli.books.store import Store, key_of
from voice_cli.cli.book_worker import PROGRAM, book_settings
from voice_cli.cli.caching import SILENT_SETTINGS
from voice_cli.cli.console import is_watched, print_above, print_message, print_note, write_json
from voice_cli.cli.options import check_values
from voice_cli.config import Defaults, Profile, Settings
from voice_cli.errors import FileError, UsageError, VoiceError, error_of

if TYPE_CHECKING:
    from voice_cli.audio import AudioFormat

MEASURED_CHARACTERS = 5000
"""Before the time that is left is estimated."""


def book(
    *,
    source: str,
    output: str | None,
    listing: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **flags: Any,
) -> int:
    """Make the book, or list its chapters, and return the exit code. `flags`: the options of `voice say`."""
    check_values(flags, Profile, Defaults)
    settings = book_settings(flags)
    text = read_book(source)
    if text.language and settings.profile.voice is None and settings.profile.backend in (None, "espeak"):
        flags["voice"] = _voice_of(text.language)
        settings = book_settings(flags)
    if listing:
        _list(text, as_json=as_json)
        return 0
    target = output or os.path.splitext(os.path.basename(source))[0] + ".m4b"
    is_folder = _is_folder(target)
    store = Store()
    store.create()
    sounding = sounding_settings(settings)
    keys = [key_of(chapter, sounding) for chapter in text.chapters]
    made: list[bool] = []
    """Whether each chapter is a new one, and was not found in the store."""
    try:
        with _progress(text, quiet=quiet) as progress:
            audio_format: AudioFormat | None = None
            for number, (chapter, key) in enumerate(zip(text.chapters, keys, strict=True)):
                # All chapters get the format of the first one, since one file has one format.
                found = format_of(store.path(key)) if store.use(key) else None
                is_new = found is None or audio_format not in (None, found)
                if is_new:
                    job = {"flags": flags, "text": chapter.text, "markdown": chapter.markdown, "debug": debug}
                    with replacing(store.path(key)) as partial:
                        _run(job | {"path": partial, "format": audio_format}, progress, number)
                    found = format_of(store.path(key))
                audio_format = audio_format or found
                made.append(is_new)
                progress.ended(number)
        saved = [Marked(store.path(key), chapter.title) for key, chapter in zip(keys, text.chapters, strict=True)]
        seconds = _save_folder(target, saved, text) if is_folder else join(target, saved, _tags(text), text.cover)
    except (VoiceError, KeyboardInterrupt) as exc:
        if made or isinstance(exc, KeyboardInterrupt):
            print_message(f"{len(made)} of {len(keys)} chapters are made; the same command continues with the rest")
        if isinstance(exc, VoiceError):
            raise
        from voice_cli.cli.interrupts import exit_code

        return exit_code()
    store.trim(keep=keys if is_folder else ())
    if as_json:
        write_json(_object(target, text, made, seconds))
    elif not quiet:
        old = made.count(False)
        reused = f", {old} of them made before" if old else ""
        print_note(f"saved {target}: {len(keys)} chapters{reused}, {_clock(seconds)}")
    return 0


def _voice_of(language: str) -> str | None:
    """Return the embedded voice of a language tag; None: it has none, or the default one is of that language."""
    tags = language.lower(), language.lower().partition("-")[0]
    if tags[1] == "en" and tags[0] in ("en", "en-us"):
        return None
    known = {voice.language.lower() for voice in open_backend("espeak").voices()}
    return next((tag for tag in tags if tag in known), None)


def sounding_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that the sound of a chapter depends on."""
    profile = {name: value for name, value in settings.profile._asdict().items() if name not in SILENT_SETTINGS}
    return {**profile, "pause": settings.defaults.pause, "pronounce": dict(settings.pronounce)}


def _is_folder(target: str) -> bool:
    """Return whether the target is a folder, for a file a chapter, and create it; check that it can be written.

    Raises:
        UsageError: no book has the suffix.
        FileError: it cannot be written there.

    """
    suffix = os.path.splitext(target)[1].lower()
    is_folder = os.path.isdir(target) or target.endswith(("/", os.sep)) or not suffix
    folder = target if is_folder else os.path.dirname(os.path.abspath(target))
    if is_folder:
        try:
            os.makedirs(target, exist_ok=True)
        except OSError as exc:
            raise FileError(f"cannot create the folder {target}: {exc.strerror}") from exc
    elif suffix not in SUFFIXES:
        raise UsageError(
            f"{target}: a book has the suffix {', '.join(SUFFIXES)}", hint="or name a folder, such as: out/"
        )
    elif not os.path.isdir(folder):
        raise FileError(f"there is no folder {folder}", hint="create it first")
    if not os.access(folder, os.W_OK):
        raise FileError(f"cannot write to the folder {folder}")
    return is_folder


def _list(text: Book, *, as_json: bool) -> None:
    from voice_cli.cli.listings import print_rows

    print_rows(
        [
            {
                "chapter": number,
                "title": chapter.title,
                "words": len(chapter.text.split()),
                "characters": len(chapter.text),
            }
            for number, chapter in enumerate(text.chapters, 1)
        ],
        as_json=as_json,
    )


def _run(job: Mapping[str, Any], progress: "_Progress", number: int) -> None:
    """Make a chapter in a process, which ends with this one or at an exception.

    Raises:
        VoiceError: as in the process, or it ended unexpectedly.

    """
    process = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, "-P", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None  # noqa: S101  both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()  # it stays open: its end tells the process that this one has ended
        for line in process.stdout:
            message = json.loads(line)
            if "error" in message:
                raise error_of(**message["error"])
            if "note" in message:
                progress.note(message["note"])
            elif "done" in message:
                progress.at(number, message["done"])
            elif "seconds" in message:
                return
        raise VoiceError(f"the process of a chapter has ended (exit code {process.wait()})")
    except (BrokenPipeError, ValueError) as exc:
        raise VoiceError(f"the process of a chapter has ended (exit code {process.wait()})") from exc
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()


class _Progress:
    """Shows how much is made, on standard error: a bar on a terminal, else a line a chapter."""

    def __init__(self, text: Book, bar: Any, *, quiet: bool) -> None:
        self._chapters = text.chapters
        self._starts = [0]
        for chapter in text.chapters:
            self._starts.append(self._starts[-1] + len(chapter.text))
        self._bar = bar
        self._quiet = quiet
        self._began: tuple[float, int] | None = None
        """When the first new chapter was begun, and what was made before."""
        self._notes: set[str] = set()
        self._task = bar.add_task("", total=self._starts[-1], left="") if bar is not None else None
        self._drawn = 0.0

    def at(self, number: int, done: int) -> None:
        """Note that `done` characters of a chapter are made."""
        at = self._starts[number] + done
        if self._began is None:
            self._began = time.monotonic(), self._starts[number]
        now = time.monotonic()
        if self._bar is not None and now - self._drawn > 0.1:
            self._drawn = now
            chapter = self._chapters[number]
            described = f"{number + 1}/{len(self._chapters)} {chapter.title[:30]}"
            self._bar.update(self._task, completed=at, description=described, left=self._left(at), refresh=True)

    def ended(self, number: int) -> None:
        """Note that a chapter is made, or was found."""
        if self._bar is not None:
            self._bar.update(self._task, completed=self._starts[number + 1], refresh=True)
        elif self._began is not None and not self._quiet:
            share = 100 * self._starts[number + 1] // self._starts[-1]
            left = self._left(self._starts[number + 1])
            print_message(
                f"chapter {number + 1} of {len(self._chapters)}: {self._chapters[number].title} "
                f"({', '.join(filter(None, (f'{share} %', left)))})"
            )

    def note(self, line: str) -> None:
        if line not in self._notes and not self._quiet:
            self._notes.add(line)
            if self._bar is not None:
                print_above(self._bar, line)
            else:
                print_message(line)

    def _left(self, at: int) -> str:
        if self._began is None or at - self._began[1] < MEASURED_CHARACTERS:
            return ""
        rate = (at - self._began[1]) / max(time.monotonic() - self._began[0], 1e-3)
        return f"{_clock((self._starts[-1] - at) / rate)} left"


@contextmanager
def _progress(text: Book, *, quiet: bool) -> Iterator[_Progress]:
    if quiet or not is_watched():
        yield _Progress(text, None, quiet=quiet)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(
        *columns, console=Console(file=sys.stderr, highlight=False), auto_refresh=False, transient=True
    ) as bar:
        yield _Progress(text, bar, quiet=quiet)


def _tags(text: Book) -> dict[str, str]:
    return {
        "title": text.title,
        "album": text.title,
        "artist": text.author,
        "album_artist": text.author,
        "genre": "Audiobook",
    }


def _save_folder(folder: str, saved: Sequence[Marked], text: Book) -> float:
    """Write a file a chapter: `01 Title.m4a`."""
    width = len(str(len(saved)))
    seconds = 0.0
    for number, chapter in enumerate(saved, 1):
        name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', " ", chapter.title)[:80].strip(" .")
        path = os.path.join(folder, f"{number:0{width}} {name}".strip() + ".m4a")
        tags = _tags(text) | {"title": chapter.title, "track": f"{number}/{len(saved)}"}
        seconds += join(path, [chapter], tags, text.cover)
    return seconds


def _object(target: str, text: Book, made: Sequence[bool], seconds: float) -> dict[str, Any]:
    return {
        "saved": target,
        "title": text.title,
        "author": text.author,
        "seconds": round(seconds, 1),
        "chapters": [
            {"title": chapter.title, "characters": len(chapter.text), "new": is_new}
            for chapter, is_new in zip(text.chapters, made, strict=True)
        ],
    }


def _clock(seconds: float) -> str:
    """Return seconds as `1:02:03` or `2:03`."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
