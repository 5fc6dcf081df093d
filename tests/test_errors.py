"""The error tree: its docstring, the exit codes, and the table in docs/results.md."""

import errno
import inspect
import re
import sys
from pathlib import Path

import pytest

from voice_cli import errors
from voice_cli.errors import BackendError, VoiceError, is_closed_pipe, nearest

CLASSES = [item for item in vars(errors).values() if inspect.isclass(item) and issubclass(item, VoiceError)]


def drawn():
    """Return the tree in the module's docstring: class to (parent, exit code)."""
    tree, path = {}, []
    for line in inspect.cleandoc(errors.__doc__).splitlines():
        match = re.fullmatch(
            r" *([│├└─ ]*?)(VoiceError|\w*(?:Error|Audio|End|Interrupted|Dropped))(?:  +(\d+)? .*)?", line
        )
        if match and (match[1].strip() or match[2] == "VoiceError"):
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            tree[match[2]] = (path[depth - 1] if depth else None, int(match[3]) if match[3] else None)
    return tree


def test_docstring_tree_matches_the_classes():
    tree = drawn()
    assert set(tree) == {item.__name__ for item in CLASSES}
    for item in CLASSES:
        parent, code = tree[item.__name__]
        assert item.__bases__[0].__name__ == (parent or "Exception")
        assert code == (None if item is BackendError else item.exit_code), item


@pytest.mark.parametrize("item", CLASSES, ids=lambda item: item.__name__)
def test_class_has_a_docstring_and_its_own_kind(item):
    assert item.__doc__
    assert item.kind
    if item not in (VoiceError, BackendError):
        assert item.kind != "error"


def test_each_exit_code_is_one_kind_of_failure():
    codes = {}
    for item in CLASSES:
        if not item.__subclasses__() or item.__name__ == "ServerError":
            codes.setdefault(item.exit_code, []).append(item.__name__)
    assert codes.pop(7) == ["ServerError", "DecodeError"]
    assert all(len(names) == 1 for names in codes.values())
    assert codes[0] == ["Dropped"]
    assert codes[130] == ["Interrupted"]


@pytest.mark.parametrize("item", CLASSES, ids=lambda item: item.__name__)
def test_the_page_lists_the_exit_code(item):
    page = (Path(__file__).parent.parent / "docs" / "results.md").read_text("utf-8")
    if item not in (VoiceError, BackendError):
        assert re.search(rf"^\|? *`?{item.exit_code}`? *\|", page, re.MULTILINE)


def test_error_has_a_message_and_an_optional_hint():
    error = VoiceError("it broke", hint="mend it")
    assert (str(error), error.message, error.hint) == ("it broke", "it broke", "mend it")
    assert VoiceError("it broke").hint is None


@pytest.mark.parametrize(
    ("platform", "error", "expected"),
    [
        ("linux", BrokenPipeError(errno.EPIPE, "Broken pipe"), True),
        ("linux", OSError(errno.EINVAL, "Invalid argument"), False),
        ("win32", OSError(errno.EINVAL, "Invalid argument"), True),
        ("win32", OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_a_closed_pipe_is_recognized_on_each_system(monkeypatch, platform, error, expected):
    monkeypatch.setattr(sys, "platform", platform)
    assert is_closed_pipe(error) is expected


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("kokro", ["kokoro", "openai"], "kokoro"),
        ("NOVA", ["nova"], "nova"),
        ("speekers", ["USB Speakers (hw:1,0)", "HDMI"], "USB Speakers (hw:1,0)"),
        ("", ["kokoro"], None),
        ("zzz", ["kokoro"], None),
        ("x", [], None),
    ],
)
def test_the_nearest_name_is_suggested(name, known, found):
    assert nearest(name, known) == (f"; did you mean {found!r}?" if found else "")
