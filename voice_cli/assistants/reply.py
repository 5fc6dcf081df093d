"""What is spoken of an assistant's reply."""

import json
import os
import re
import stat
from typing import Any

from voice_cli.script.markdown import SpokenMarkdown

LIMIT = 800
"""The most characters that are spoken: about a minute."""
_READ = 1 << 16
"""Characters of a reply that are read, with its code blocks."""
_TAIL = 1 << 18
"""Bytes at the end of a transcript that are read."""
_WHOLE = re.compile(r".*(?:\n|[.!?…](?=\s)|[。！？])", re.DOTALL)
"""Everything up to the last end of a sentence or a line."""


def spoken(markdown: str) -> str:
    """Return the text of a reply without Markdown and code blocks: its first sentences, at most `LIMIT` characters."""
    reader = SpokenMarkdown("on")
    valid = markdown[:_READ].encode(errors="replace").decode()  # JSON may contain halves of surrogate pairs
    text = (reader.feed(valid) + reader.finish()).strip()
    if len(text) <= LIMIT:
        return text
    head = text[:LIMIT]
    whole = _WHOLE.match(head)
    return (whole.group() if whole else head.rpartition(" ")[0] or head).strip()


def last_reply(path: str) -> str:
    """Return the last reply in a transcript of Claude Code (JSON lines); empty: there is none near its end."""
    try:
        with open(os.path.expanduser(path), "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return ""
            file.seek(max(0, status.st_size - _TAIL))
            lines = file.read(_TAIL).split(b"\n")
    except (OSError, ValueError):
        return ""
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue  # an empty line, or the end of one that began before the tail
        text = _text_of(entry)
        if text:
            return text
    return ""


def _open_at_once(path: str, flags: int) -> int:
    """Open a file that may be a pipe without a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _text_of(entry: Any) -> str:
    """Return the text of an entry of the assistant; empty: it is another one, or has none."""
    if not isinstance(entry, dict) or entry.get("type") != "assistant" or entry.get("isSidechain"):
        return ""
    message = entry.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    blocks = content if isinstance(content, list) else []
    texts = [block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
    return "\n\n".join(text for text in texts if isinstance(text, str)).strip()
