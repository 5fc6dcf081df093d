"""Editing settings: other bytes stay, and removal is the exact inverse of installation."""

import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.json_values import anything
from voice_cli.assistants.programs import PROGRAMS
from voice_cli.assistants.settings_file import commands, install, uninstall
from voice_cli.errors import ConfigError, FileError

COMMAND = "/bin/voice hook claude-code"
GROUPS = PROGRAMS["claude-code"].groups(COMMAND)
EVENTS = st.sampled_from([*GROUPS, "PreToolUse"])
GROUP = st.one_of(
    anything("hooks", "matcher", "command"),
    st.fixed_dictionaries({"hooks": st.lists(st.fixed_dictionaries({"command": st.text(max_size=8)}), max_size=2)}),
)
HOOKS = st.dictionaries(EVENTS, st.lists(GROUP, max_size=3), max_size=3)
SPACES = st.sampled_from(["", "", " ", "\n", "\n    ", "\t", "\r\n"])


def is_ours(command):
    return command == COMMAND


@st.composite
def settings(draw):
    """Return the text of settings, with any white space and any other members."""
    other = st.text(max_size=5).filter(lambda name: name != "hooks")
    tree = draw(st.dictionaries(other, anything("a"), max_size=2))
    if draw(st.booleans()):
        tree["hooks"] = draw(HOOKS)
        tree = dict(draw(st.permutations(list(tree.items()))))

    def text(value):
        if isinstance(value, dict):
            items = [f"{space()}{text(name)}{space()}:{space()}{text(inner)}{space()}" for name, inner in value.items()]
            return "{" + (",".join(items) or space()) + "}"
        if isinstance(value, list):
            return "[" + (",".join(f"{space()}{text(inner)}{space()}" for inner in value) or space()) + "]"
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    def space():
        return draw(SPACES)

    return draw(st.sampled_from(["", "\ufeff"])) + space() + text(tree) + space()


def parsed(data):
    return json.loads(data.decode().removeprefix("\ufeff"))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("settings") / "settings.json"


@given(text=settings())
def test_uninstalling_restores_the_file_and_installing_twice_changes_nothing(path, text):
    data = text.encode()
    path.write_bytes(data)
    assert install(str(path), GROUPS, is_ours)
    installed = path.read_bytes()
    before, after = parsed(data), parsed(installed)
    for event, group in GROUPS.items():
        assert json.dumps(after["hooks"][event]) == json.dumps([*before.get("hooks", {}).get(event, []), group])
    assert commands(str(path), is_ours) == [COMMAND]
    assert not install(str(path), GROUPS, is_ours)
    assert path.read_bytes() == installed
    assert uninstall(str(path), is_ours)
    assert path.read_bytes() == data
    assert not uninstall(str(path), is_ours)


@given(text=settings(), indent=st.sampled_from([None, 2, "\t"]))
def test_entries_are_removed_from_a_file_that_was_written_anew(path, text, indent):
    path.write_bytes(text.encode())
    install(str(path), GROUPS, is_ours)
    path.write_text(json.dumps(parsed(path.read_bytes()), indent=indent))
    uninstall(str(path), is_ours)
    before, after = parsed(text.encode()), parsed(path.read_bytes()) if path.exists() else {}

    def without_empty(tree):
        hooks = {event: groups for event, groups in tree.get("hooks", {}).items() if groups or event not in GROUPS}
        return {
            **{name: value for name, value in tree.items() if name != "hooks"},
            **({"hooks": hooks} if hooks else {}),
        }

    assert json.dumps(without_empty(after), sort_keys=True) == json.dumps(without_empty(before), sort_keys=True)


@given(data=st.one_of(st.binary(max_size=40), anything("hooks", *GROUPS).map(lambda value: json.dumps(value).encode())))
def test_anything_else_is_refused_or_edited_but_never_damaged(path, data):
    path.write_bytes(data)
    try:
        install(str(path), GROUPS, is_ours)
    except (ConfigError, FileError):
        assert path.read_bytes() == data
    else:
        uninstall(str(path), is_ours)
        assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ('{"a": 1,}', "is not JSON"),
        ('{"hooks": {}} // mine', "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"hooks": []}', "hooks must be an object"),
        ('{"hooks": {"Stop": {}}}', "hooks.Stop must be a list"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_settings_of_another_form_are_an_error(tmp_path, text, words):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(ConfigError, match=words):
        install(str(tmp_path / "s.json"), GROUPS, is_ours)
    assert (tmp_path / "s.json").read_text() == text
    assert os.listdir(tmp_path) == ["s.json"]


def test_a_file_that_is_missing_is_made_and_deleted(tmp_path):
    path = tmp_path / "new" / "settings.json"
    assert commands(str(path), is_ours) == []
    assert not uninstall(str(path), is_ours)
    assert install(str(path), GROUPS, is_ours)
    assert json.loads(path.read_bytes()) == {"hooks": {event: [group] for event, group in GROUPS.items()}}
    assert uninstall(str(path), is_ours)
    assert not path.exists()


def test_links_and_permissions_are_kept(tmp_path):
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "real.json").chmod(0o600)
    (tmp_path / "link.json").symlink_to("real.json")
    install(str(tmp_path / "link.json"), GROUPS, is_ours)
    assert (tmp_path / "link.json").is_symlink()
    assert "Stop" in (tmp_path / "real.json").read_text()
    assert stat.S_IMODE((tmp_path / "real.json").stat().st_mode) == 0o600


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "s.json").write_text("{}")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write anything
    with pytest.raises(FileError, match="read-only"):
        install(str(tmp_path / "s.json"), GROUPS, is_ours)
    assert (tmp_path / "s.json").read_text() == "{}"


def test_an_unreadable_file_is_an_error(tmp_path):
    with pytest.raises(FileError, match="cannot read"):
        install(str(tmp_path), GROUPS, is_ours)


def test_entries_of_another_installation_are_replaced(tmp_path):
    path = tmp_path / "s.json"
    path.write_text('{"model": "opus"}\n')
    old = PROGRAMS["claude-code"].groups("/old/voice hook claude-code")
    install(str(path), {**old, "SubagentStop": old["Stop"]}, lambda command: "voice" in command)
    assert install(str(path), GROUPS, lambda command: "voice" in command)
    assert json.loads(path.read_bytes())["hooks"] == {event: [group] for event, group in GROUPS.items()}
    uninstall(str(path), is_ours)
    assert path.read_text() == '{"model": "opus"}\n'


def test_a_handler_is_removed_from_an_entry_with_others(tmp_path):
    path = tmp_path / "s.json"
    theirs = {"type": "command", "command": "mine"}
    path.write_text(json.dumps({"hooks": {"Stop": [{"hooks": [theirs, {"command": COMMAND}, theirs]}]}}))
    uninstall(str(path), is_ours)
    assert json.loads(path.read_bytes()) == {"hooks": {"Stop": [{"hooks": [theirs, theirs]}]}}
