"""The agent's messages: any cut, any bytes, and the bounds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.agent.messages import MAX_BYTES, MessageReader, ProtocolError, encode

MESSAGES = st.lists(
    st.tuples(
        st.dictionaries(st.text(max_size=5).filter(lambda key: key != "payload"), st.text(max_size=20), max_size=3),
        st.binary(max_size=60),
    ),
    max_size=5,
)


def reader_of(data, sizes=()):
    """Return a reader that receives the data in pieces of these sizes."""
    sizes = list(sizes)
    rest = memoryview(data)

    def receive(most):
        nonlocal rest
        size = min(most, sizes.pop(0) if sizes else len(rest))
        piece, rest = bytes(rest[:size]), rest[size:]
        return piece

    return MessageReader(receive)


@given(MESSAGES, st.lists(st.integers(1, 30), max_size=40))
def test_any_cut_gives_the_same_messages(messages, sizes):
    sent = [({**message, "type": "x"}, payload) for message, payload in messages]
    reader = reader_of(b"".join(encode(*each) for each in sent), sizes)
    read = []
    while (found := reader.read()) is not None:
        read.append(found)
    assert [({key: value for key, value in each.items() if key != "payload"}, data) for each, data in read] == sent


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_an_error(data):
    reader = reader_of(data)
    try:
        while (found := reader.read()) is not None:
            assert isinstance(found[0]["type"], str)
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{}",
        b'{"type":1}',
        b"[" * 100_000,
        b'{"type":"x","payload":-1}',
        b'{"type":"x","payload":true}',
        b'{"type":"x","payload":%d}' % (MAX_BYTES + 1),
        b'{"type":"x","payload":1e3}',
        b"9" * 10_000,
    ],
)
def test_what_is_no_message_is_an_error(line):
    with pytest.raises(ProtocolError):
        reader_of(line + b"\n").read()


def test_an_endless_line_is_an_error():
    received = 0

    def receive(most):
        nonlocal received
        received += most
        return b"x" * most

    with pytest.raises(ProtocolError):
        MessageReader(receive).read()
    assert received < 2 * MAX_BYTES


@pytest.mark.parametrize("cut", [0, 3, 20, 26])
def test_an_end_inside_a_message_is_the_end(cut):
    data = encode({"type": "text"}, b"abc")
    assert reader_of(data[:-1][:cut]).read() is None
    assert json.loads(data.splitlines()[0]) == {"type": "text", "payload": 3}
