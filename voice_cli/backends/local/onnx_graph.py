"""Change ONNX models without the package onnx: further outputs, and a network cut in two.

A model is a protobuf message (onnx.proto3). Only its outline is read: names of nodes, tensors, inputs and outputs. The
weights are neither parsed nor copied, except into the result.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

_GRAPH = 7  # of ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # of GraphProto
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP = 1, 2, 3, 4
_TENSOR_NAME = 8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

FLOAT_TENSOR = b"\x12\x04\x0a\x02\x08\x01"
"""The end of a ValueInfoProto: its type is a tensor of float32, of any shape."""


class MalformedModel(ValueError):  # noqa: N818  a ValueError that says what it is
    """The data is not an ONNX model."""


class Node(NamedTuple):
    """A node of a graph."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    data: memoryview
    """The field with its tag."""


class Cut(NamedTuple):
    """A network in two parts, of which the second has the first one's last outputs as inputs."""

    front: bytes
    back: bytes
    between: tuple[str, ...]
    """The tensors that the back needs."""
    output: str
    """The back's result."""


def fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield the number, the content and the whole of each field; content is empty for numbers.

    Raises:
        MalformedModel: the message is malformed or ends early.

    """
    at, size = 0, len(message)
    while at < size:
        start = at
        tag, at = _varint(message, at)
        kind = tag & 7
        begin = at
        if kind == _BYTES:
            length, begin = _varint(message, at)
            at = begin + length
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            at += 4 if kind == _FIXED32 else 8
        else:
            raise MalformedModel(f"it has a field of type {kind}")
        if at > size:
            raise MalformedModel("it ends early")
        yield tag >> 3, message[begin:at] if kind == _BYTES else message[:0], message[start:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise MalformedModel("it has a number without an end")


def field(number: int, content: bytes | memoryview) -> bytes:
    """Return a field of bytes."""
    return _encoded(number << 3 | _BYTES) + _encoded(len(content)) + bytes(content)


def _encoded(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def nodes(model: bytes) -> list[Node]:
    """Return the nodes of a model's graph, in order; raise MalformedModel."""
    return [_node(content, whole) for number, content, whole in fields(_graph(model)) if number == _NODE]


def _graph(model: bytes) -> memoryview:
    for number, content, _ in fields(memoryview(model)):
        if number == _GRAPH:
            return content
    raise MalformedModel("it has no graph")


def _node(content: memoryview, whole: memoryview) -> Node:
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_NAME: [], _NODE_OP: []}
    for number, value, _ in fields(content):
        if number in texts:
            texts[number].append(_text(value))
    name, op = ("".join(texts[number][:1]) for number in (_NODE_NAME, _NODE_OP))
    return Node(name, op, tuple(texts[_NODE_INPUT]), tuple(texts[_NODE_OUTPUT]), whole)


def _text(data: memoryview) -> str:
    return bytes(data).decode("utf-8", "replace")


def with_output(model: bytes, tensor: str) -> bytes:
    """Return the model with a further output.

    It is appended: a message that occurs twice in protobuf is merged, and its lists are joined.
    """
    return model + output_field(tensor)


def output_field(tensor: str) -> bytes:
    """Return what makes a tensor an output, when it is appended to a model."""
    return field(_GRAPH, field(_OUTPUT, field(1, tensor.encode())))


def cut(model: bytes, network: Sequence[Node], prefix: str, *, also: tuple[str, ...] = (), most: int = 2) -> Cut | None:
    """Cut a network before the nodes whose names begin with `prefix`; `also` are further outputs of the front.

    `network`: the model's `nodes`. None: these nodes are not the network's end, or they need more than `most` tensors.

    Raises:
        MalformedModel: the data is not a model.

    """
    graph = _graph(model)
    inputs: list[memoryview] = []
    weights: dict[str, memoryview] = {}
    for number, content, whole in fields(graph):
        if number == _INITIALIZER:
            weights[_name_of(content, _TENSOR_NAME)] = whole
        elif number == _INPUT:
            inputs.append(whole)
    back = [node for node in network if node.name.startswith(prefix)]
    made = {name for node in back for name in node.outputs}
    used = {name for node in back for name in node.inputs}
    between = tuple(dict.fromkeys(name for node in back for name in node.inputs if name and name not in made))
    between = tuple(name for name in between if name not in weights)
    results = sorted(made - used)
    if not back or len(results) != 1 or not 1 <= len(between) <= most:
        return None
    front: list[Node] = []
    after = set(made)
    for node in network:
        if not after.isdisjoint(node.inputs):
            after.update(node.outputs)  # it follows the back: a change of the shape
        elif not node.name.startswith(prefix):
            front.append(node)
    needed = {name for node in front for name in node.inputs}
    outputs = [field(_OUTPUT, field(1, name.encode())) for name in (*between, *also)]
    rest = [whole for number, _, whole in fields(memoryview(model)) if number != _GRAPH]
    of_front: list[memoryview | bytes] = [
        *(node.data for node in front),
        *(data for name, data in weights.items() if name in needed),
        *inputs,
        *outputs,
    ]
    of_back: list[memoryview | bytes] = [
        *(node.data for node in back),
        *(data for name, data in weights.items() if name in used),
        *(field(_INPUT, field(1, name.encode()) + FLOAT_TENSOR) for name in between),
        field(_OUTPUT, field(1, results[0].encode())),
    ]
    name = field(2, b"g")  # a graph must have a name
    return Cut(
        b"".join([*rest, *_message(_GRAPH, [name, *of_front])]),
        b"".join([*rest, *_message(_GRAPH, [name, *of_back])]),
        between,
        results[0],
    )


def _name_of(message: memoryview, number: int) -> str:
    return next((_text(content) for found, content, _ in fields(message) if found == number), "")


def _message(number: int, parts: list[memoryview | bytes]) -> list[memoryview | bytes]:
    """Return the parts of a field that is a message, after its number and length. They are large: join them once."""
    return [_encoded(number << 3 | _BYTES), _encoded(sum(map(len, parts))), *parts]
