"""`voice cache`: what is in the cache."""

import time

from voice_cli.cli.caching import cache_folder
from voice_cli.cli.console import write_json, write_stdout
from voice_cli.config import load, settle
from voice_cli.errors import FileError
from voice_cli.speech.cache import Cache


def _cache() -> Cache:
    return Cache(cache_folder(), round(1e6 * settle(load(), {}).defaults.cache_size))


def info(*, as_json: bool) -> None:
    """Print the folder, the number of utterances, their size and its limit."""
    cache = _cache()
    found = cache.usage()
    if as_json:
        write_json({"folder": cache.folder, "limit_bytes": cache.limit, **found._asdict()})
        return
    lines = [f"folder      {cache.folder}", f"utterances  {found.utterances}"]
    lines.append(f"size        {_megabytes(found.size)} of {_megabytes(cache.limit)}")
    if found.oldest is not None:
        lines.append(f"oldest use  {time.strftime('%Y-%m-%d %H:%M', time.localtime(found.oldest))}")
    write_stdout("\n".join(lines))


def clear(*, as_json: bool) -> None:
    """Delete all, and print what was deleted."""
    cache = _cache()
    try:
        found = cache.clear()
    except OSError as exc:
        raise FileError(f"cannot delete the files in {cache.folder}: {exc.strerror}") from exc
    if as_json:
        write_json({"folder": cache.folder, "utterances": found.utterances, "size": found.size})
    else:
        utterances = "1 utterance" if found.utterances == 1 else f"{found.utterances} utterances"
        write_stdout(f"deleted {utterances}, {_megabytes(found.size)}")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
