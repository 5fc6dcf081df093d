"""What is spoken of a reply."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.assistants.reply import LIMIT, last_reply, spoken


def test_markdown_and_code_are_not_spoken():
    reply = "# Done\n\nI **renamed** `foo`:\n\n```python\nprint('x')\n```\n\n- one\n- two"
    text = spoken(reply)
    assert "print" not in text
    assert not set(text) & set("*`#")
    assert text.startswith("Done.")
    assert text.endswith("two.")


def test_only_code_is_nothing_to_speak():
    assert spoken("```\nmake\n```") == ""
    assert spoken(" \n") == ""


def test_a_long_reply_ends_with_a_sentence():
    text = spoken("This is a sentence. " * 100)
    assert LIMIT - 20 <= len(text) <= LIMIT
    assert text.endswith("sentence.")
    assert spoken("first\n\n" + "word " * 300) == "first"
    assert spoken("word " * 300).endswith("word")
    assert len(spoken("x" * 3000)) == LIMIT
    assert spoken("これは文です。" * 200).endswith("です。")


@given(reply=st.text(st.characters(), max_size=3000))
def test_any_text_has_a_speech_without_control_characters(reply):
    text = spoken(reply)
    assert len(text) <= LIMIT
    assert all(character == "\n" or character == "\t" or character >= " " for character in text)
    text.encode()


def entry(*blocks, **more):
    return json.dumps({"type": "assistant", "message": {"role": "assistant", "content": list(blocks)}, **more})


def text_block(text):
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        ([entry(text_block("first")), entry(text_block("second"))], "second"),
        ([entry(text_block("one"), text_block("two")), '{"type": "user"}'], "one\n\ntwo"),
        ([entry(text_block("said")), entry({"type": "tool_use", "name": "Bash"}), "", "nonsense {"], "said"),
        ([entry(text_block("said")), entry(text_block("subagent"), isSidechain=True)], "said"),
        (['{"type": "assistant", "message": 1}', '{"type": "assistant", "message": {"content": "x"}}'], ""),
        (["[]", "1", "null"], ""),
        ([], ""),
    ],
)
def test_the_last_reply_of_a_transcript(tmp_path, lines, reply):
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    assert last_reply(str(tmp_path / "t.jsonl")) == reply


def test_only_the_end_of_a_transcript_is_read(tmp_path):
    path = tmp_path / "t.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
        file.seek(0, os.SEEK_END)
        file.write(f"\n{entry(text_block('last'))}\n".encode())
    assert last_reply(str(path)) == "last"
    path.write_text(entry(text_block("first")) + "\n" + "x" * (1 << 20))
    assert last_reply(str(path)) == ""


def test_what_is_no_file_is_no_transcript(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in ("", "/nonexistent", str(tmp_path), str(tmp_path / "fifo"), "/dev/zero", "a\0b"):
        assert last_reply(path) == ""


@given(data=st.binary(max_size=300))
def test_any_transcript_is_read(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(data)
    assert isinstance(last_reply(str(path)), str)
