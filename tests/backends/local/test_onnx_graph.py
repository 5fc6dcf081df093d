"""ONNX models are changed as the package onnx would, and any other data is refused."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.onnx_voices import network
from support.packages import needs
from voice_cli.backends.local.onnx_graph import MalformedModel, cut, nodes, with_output

onnx = needs("onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "hum.onnx"
    network(path, has_parts=True, notes={"key": "value"})
    return path.read_bytes()


def test_nodes_are_those_of_the_package(model):
    expected = [
        (node.name, node.op_type, tuple(node.input), tuple(node.output))
        for node in onnx.load_from_string(model).graph.node
    ]
    assert [node[:4] for node in nodes(model)] == expected


def test_an_output_is_added(model):
    loaded = onnx.load_from_string(with_output(model, "lengths_up"))
    assert [output.name for output in loaded.graph.output] == ["output", "lengths_up"]
    assert len(loaded.graph.node) == len(nodes(model))


def test_the_parts_compute_what_the_whole_does(model):
    runtime = needs("onnxruntime")
    parts = cut(model, nodes(model), "/dec/", also=("lengths_up",))
    assert (parts.between, parts.output) == (("z",), "hum")
    feed = {
        "input": np.zeros((1, 5), np.int64),
        "input_lengths": np.array([5], np.int64),
        "scales": np.array([0, 1.5, 0], np.float32),
    }
    (whole,) = runtime.InferenceSession(model).run(None, feed)
    z, lengths = runtime.InferenceSession(parts.front).run(None, feed)
    (sound,) = runtime.InferenceSession(parts.back).run(None, {"z": z})
    assert (sound == whole).all()
    assert lengths.tolist() == [[600] * 5]
    metadata = onnx.load_from_string(parts.front).metadata_props
    assert [(entry.key, entry.value) for entry in metadata] == [("key", "value")]


@pytest.mark.parametrize("prefix", ["/none/", "/dec/Sin"])
def test_a_network_without_such_an_end_is_not_cut(model, prefix):
    assert cut(model, nodes(model), prefix, most=0) is None


@given(data=st.binary(max_size=60))
def test_other_data_is_refused(data):
    try:
        nodes(data)
    except MalformedModel:
        return
    assert nodes(data) == []


@given(at=st.integers(0, 10_000), change=st.integers(1, 255))
def test_a_damaged_model_is_refused_or_read(model, at, change):
    damaged = bytearray(model)
    damaged[at % len(model)] ^= change
    with contextlib.suppress(MalformedModel):
        cut(bytes(damaged), nodes(bytes(damaged)), "/dec/")
