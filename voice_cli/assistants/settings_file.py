"""Add hooks to a program's JSON settings and remove them, and leave every other byte of the file as it is.

The text is edited, not written anew. An entry is put after the last one of its list, or directly after the bracket of
an empty list. A list that is missing is made, with a line break after its bracket: so removal knows which lists were
made for the entry, and removes these too.
"""

import json
import os
import re
import stat
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from voice_cli.errors import ConfigError, FileError
from voice_cli.folders import write_atomically

Group = Mapping[str, Any]
"""An entry of an event."""
IsOurs = Callable[[str], bool]
"""Returns whether a command line is one that was installed."""

_decode = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\r\n]*")


def install(path: str, groups: Mapping[str, Group], is_ours: IsOurs) -> bool:
    """Add an entry to each event, in place of entries from earlier; return whether the file changed.

    Raises:
        ConfigError: the file is not such settings.
        FileError: it cannot be read or written.

    """
    text = _read(path)
    if text is not None:
        before = _tree(path, text)
        ours = [(event, before["hooks"][event][index]) for event, index, _ in _ours(before, is_ours)]
        if len(ours) == len(groups) and dict(ours) == groups:
            return False
    kept = text and _removed(path, text, is_ours)
    _write(path, _added(path, kept, groups))
    return True


def uninstall(path: str, is_ours: IsOurs) -> bool:
    """Remove all entries that were installed; return whether there were any. Raises as `install`."""
    text = _read(path)
    kept = text and _removed(path, text, is_ours)
    if kept == text:
        return False
    _write(path, kept)
    return True


def commands(path: str, is_ours: IsOurs) -> list[str]:
    """Return the command lines that are installed, without duplicates. Raises as `install`."""
    text = _read(path)
    tree = _tree(path, text) if text is not None else {}
    found = (
        handler["command"]
        for event, index, _ in _ours(tree, is_ours)
        for handler in tree["hooks"][event][index]["hooks"]
        if _is_handler(handler, is_ours)
    )
    return list(dict.fromkeys(found))


def _read(path: str) -> str | None:
    """Return the text of the file; None: there is none."""
    try:
        with open(path, "rb") as file:
            return file.read().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is not UTF-8") from exc
    except OSError as exc:
        raise FileError(f"cannot read {path}: {exc.strerror}") from exc


def _write(path: str, text: str | None) -> None:
    """Write the file that the path or its links lead to; None: delete it."""
    path = os.path.realpath(path)
    try:
        if text is None:
            os.unlink(path)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        mode = None
        if os.path.exists(path):
            mode = stat.S_IMODE(os.stat(path).st_mode)
            if not os.access(path, os.W_OK):
                raise FileError(f"cannot write {path}: it is read-only")
        write_atomically(path, text.encode(), mode)
    except OSError as exc:
        raise FileError(f"cannot write {path}: {exc.strerror}") from exc


def _tree(path: str, text: str) -> dict[str, Any]:
    """Parse the settings, and check what is edited in them."""
    try:
        tree = json.loads(text.removeprefix("\ufeff"))
    except RecursionError as exc:
        raise ConfigError(f"{path} is nested too deeply") from exc
    except ValueError as exc:
        raise ConfigError(f"{path} is not JSON: {exc}", hint="correct it, or remove its comments") from exc
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} must be a JSON object")
    hooks = tree.get("hooks", {})
    if not isinstance(hooks, dict):
        raise ConfigError(f"{path}: hooks must be an object")
    return tree


def _ours(tree: Mapping[str, Any], is_ours: IsOurs) -> list[tuple[str, int, list[int]]]:
    """Return the entries with our handlers: event, index, and the indexes of these handlers if there are others too."""
    found = []
    for event, groups in tree.get("hooks", {}).items():
        for index, group in enumerate(groups if isinstance(groups, list) else ()):
            handlers = group.get("hooks") if isinstance(group, dict) else None
            handlers = handlers if isinstance(handlers, list) else []
            ours = [at for at, handler in enumerate(handlers) if _is_handler(handler, is_ours)]
            if ours:
                found.append((event, index, ours if len(ours) < len(handlers) else []))
    return found


def _is_handler(handler: Any, is_ours: IsOurs) -> bool:
    command = handler.get("command") if isinstance(handler, dict) else None
    return isinstance(command, str) and is_ours(command)


def _removed(path: str, text: str, is_ours: IsOurs) -> str | None:
    """Return the text without our entries; None: nothing is left of a file that was made for them."""
    for event, index, handlers in reversed(_ours(_tree(path, text), is_ours)):
        entry = ("hooks", event, index)
        for keys in [(*entry, "hooks", handler) for handler in reversed(handlers)] if handlers else [entry]:
            kept = _without(text, *keys)
            if kept is None:
                return None
            text = kept
    return text


def _added(path: str, text: str | None, groups: Mapping[str, Group]) -> str:
    """Return the text with the entries."""
    if text is None:
        return _json({"hooks": {event: [group] for event, group in groups.items()}}, 0) + "\n"
    hooks = _tree(path, text).get("hooks", {})
    for event, group in groups.items():
        if not isinstance(hooks.get(event, []), list):
            raise ConfigError(f"{path}: hooks.{event} must be a list")
        for keys, item in (
            (("hooks", event), _json(group, 3)),
            (("hooks",), f"{json.dumps(event)}: {_json([group], 2)}"),
            ((), f'"hooks": {_json({event: [group]}, 1)}'),
        ):
            at = _find(text, *keys)
            if at is not None:
                text = _with(text, at, item, len(keys) + 1)
                break
    return text


def _json(value: object, depth: int) -> str:
    return json.dumps(value, indent=2).replace("\n", "\n" + "  " * depth)


class _Item(NamedTuple):
    """A member of an object or an element of an array, with offsets in the text."""

    key: str | int
    start: int
    value: int
    end: int


def _space(text: str, at: int) -> int:
    """Return the offset after white space."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches anywhere


def _items(text: str, at: int) -> list[_Item]:
    """Return the items of the container that begins there. The text is valid JSON."""
    items: list[_Item] = []
    is_object = text[at] == "{"
    at = _space(text, at + 1)
    while text[at] not in "]}":
        start, key = at, len(items)
        if is_object:
            key, at = _decode(text, at)
            at = _space(text, _space(text, at) + 1)
        _, end = _decode(text, at)
        items.append(_Item(key, start, at, end))
        at = _space(text, end)
        if text[at] == ",":
            at = _space(text, at + 1)
    return items


def _find(text: str, *keys: str | int) -> int | None:
    """Return the offset of a value; of several members with one name the last, as parsers do. None: there is none."""
    at = _space(text, 1 if text.startswith("\ufeff") else 0)
    for key in keys:
        values = [item.value for item in _items(text, at) if item.key == key]
        if not values:
            return None
        at = values[-1]
    return at


def _with(text: str, at: int, item: str, depth: int) -> str:
    """Return the text with an item added to the container that begins there."""
    items = _items(text, at)
    if not items:
        return text[: at + 1] + item + text[at + 1 :]
    end = items[-1].end
    return f"{text[:end]},\n{'  ' * depth}{item}{text[end:]}"


def _without(text: str, *keys: str | int) -> str | None:
    """Return the text without an item, and without the containers that were made for it; None: all of it was."""
    *parents, key = keys
    at = _find(text, *parents)
    assert at is not None  # noqa: S101  the caller has found the item
    items = _items(text, at)
    index = max(number for number, item in enumerate(items) if item.key == key)
    item = items[index]
    if index:
        return text[: items[index - 1].end] + text[item.end :]
    if len(items) > 1:
        return text[: item.start] + text[items[1].start :]
    if item.start == at + 1:
        return text[: at + 1] + text[item.end :]
    return _without(text, *parents) if parents else None
