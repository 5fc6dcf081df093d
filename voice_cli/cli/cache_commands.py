"""`voice cache`: the utterances, and the chapters of books, that are kept."""

import time

from voice_cli.books.store import Store
from voice_cli.cli.caching import cache_folder
from voice_cli.cli.console import write_json, write_stdout
from voice_cli.config import load, settle
from voice_cli.errors import FileError
from voice_cli.kept_files import KeptFiles, Usage
from voice_cli.speech.cache import Cache


def _kept() -> dict[str, KeptFiles]:
    cache = Cache(cache_folder(), round(1e6 * settle(load(), {}).defaults.cache_size))
    return {"utterances": cache, "chapters": Store()}


def info(*, as_json: bool) -> None:
    """Print the folders, what is in them, its size and its limit."""
    found = {kind: (kept, kept.usage()) for kind, kept in _kept().items()}
    if as_json:
        _write_json(found)
    else:
        write_stdout("\n\n".join(_described(kind, *each) for kind, each in found.items()))


def clear(*, as_json: bool) -> None:
    """Delete all, and print what was deleted."""
    found = {}
    for kind, kept in _kept().items():
        try:
            found[kind] = kept, kept.clear()
        except OSError as exc:
            raise FileError(f"cannot delete the files in {kept.folder}: {exc.strerror}") from exc
    if as_json:
        _write_json(found)
        return
    counts = [
        f"{usage.files} {kind.removesuffix('s') if usage.files == 1 else kind}, {_megabytes(usage.size)}"
        for kind, (_, usage) in found.items()
    ]
    write_stdout(f"deleted {'; '.join(counts)}")


def _write_json(found: dict[str, tuple[KeptFiles, Usage]]) -> None:
    """Print the object of the utterances, which has that of the chapters as `books`."""
    utterances, chapters = (
        {
            "folder": kept.folder,
            "limit_bytes": kept.limit,
            kind: usage.files,
            "size": usage.size,
            "oldest": usage.oldest,
        }
        for kind, (kept, usage) in found.items()
    )
    write_json({**utterances, "books": chapters})


def _described(kind: str, kept: KeptFiles, usage: Usage) -> str:
    lines = [
        f"{kind:10}  {usage.files}",
        f"size        {_megabytes(usage.size)} of {_megabytes(kept.limit)}",
        f"folder      {kept.folder}",
    ]
    if usage.oldest is not None:
        lines.append(f"oldest use  {time.strftime('%Y-%m-%d %H:%M', time.localtime(usage.oldest))}")
    return "\n".join(lines)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
