"""Samples of AudioStreamer: indices, shapes, copies, PCM conversion and lazy imports."""

import array
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.streamer import AudioStreamer, SampleIndexError, to_pcm


class TestIndices:
    @pytest.mark.parametrize(
        "indices",
        [
            [0, 2, 1],
            (0, 2, 1),
            np.array([0, 2, 1]),
            np.array([[0], [2], [1]]),
            np.array([[0, 2, 1]], np.int8),
            [np.int64(0), np.array(2), 1],
            [[0, 2], [1]],
            array.array("l", [0, 2, 1]),
            pytest.param(iter([0, 2, 1]), id="iterator"),
        ],
        ids=repr,
    )
    def test_indices_of_one_and_two_dimensions(self, indices):
        streamer = AudioStreamer(3)
        streamer.put(np.array([[1.0], [2.0], [3.0]]), indices)
        streamer.end()
        assert [float(chunk[0]) for chunk in next(iter(streamer)).values()] == [1.0, 3.0, 2.0]

    @pytest.mark.parametrize("index", [1, np.array(1), np.int32(1), np.array([1]), [1], np.array([[1]])], ids=repr)
    @pytest.mark.parametrize("shape", [(1, 3200), (1, 1, 3200)])
    def test_scalar_index(self, index, shape):
        streamer = AudioStreamer(2)
        streamer.put(np.ones(shape, np.float32), index)
        streamer.end(index)
        assert streamer.finished_flags == [False, True]
        assert [chunk.shape for chunk in streamer.get_stream(1)] == [shape[1:]]

    @pytest.mark.parametrize("chunk", [np.ones(3200), np.ones(()), [0.5, 0.25], [], [[0.5, 0.25]]], ids=repr)
    def test_scalar_index_accepts_a_chunk_without_a_batch(self, chunk):
        streamer = AudioStreamer(1)
        streamer.put(chunk, 0)
        [read] = [next(streamer.get_stream(0))]
        assert np.array_equal(np.asarray(read), np.asarray(chunk).reshape(np.shape(read)))

    @pytest.mark.parametrize(
        ("chunks", "indices"),
        [
            (np.ones((2, 4)), [0]),
            (np.ones((1, 4)), [0, 1]),
            (np.ones(3200), [0]),
            (np.ones((2, 4)), 0),
            ([[0.5]], [0, 1]),
            (np.ones((1, 4)), []),
        ],
    )
    def test_index_count_must_match_the_chunks(self, chunks, indices):
        streamer = AudioStreamer(2)
        with pytest.raises(ValueError, match="sample indices"):
            streamer.put(chunks, indices)
        assert not any(waiting.qsize() for waiting in streamer.audio_queues)

    @pytest.mark.parametrize(
        "index", [0.0, "0", None, True, [True], np.array([True]), np.array([0.0]), [[[0]]]], ids=repr
    )
    def test_invalid_indices_raise_type_error(self, index):
        streamer = AudioStreamer(2)
        with pytest.raises(TypeError):
            streamer.put(np.ones((1, 4)), index)
        if index is not None:
            with pytest.raises(TypeError):
                streamer.end(index)

    @given(batch_size=st.integers(1, 5), index=st.integers(-3, 8))
    def test_index_out_of_range_is_refused(self, batch_size, index):
        streamer = AudioStreamer(batch_size)
        if 0 <= index < batch_size:
            streamer.put([[1]], [index])
            assert streamer.audio_queues[index].qsize() == 1
        else:
            with pytest.raises(SampleIndexError):
                streamer.put([[1]], [index])


class TestCopies:
    @pytest.mark.parametrize(
        "buffer",
        [
            np.zeros((1, 4), np.float32),
            np.zeros((1, 4), np.int16),
            [[0.0, 0.0]],
            [[[0.0], [0.0]]],
            [array.array("f", [0.0])],
            [bytearray(2)],
            pytest.param([memoryview(bytearray(2))], id="[memoryview]"),
        ],
        ids=repr,
    )
    def test_buffer_may_be_reused(self, buffer):
        streamer = AudioStreamer(1)
        streamer.put(buffer, [0])
        row = buffer[0]
        while isinstance(row[0], list):
            row = row[0]
        row[0] = 1
        assert not np.any(np.asarray(list(next(streamer.get_stream(0)))))

    def test_array_keeps_its_type_without_keeping_the_batch(self):
        streamer = AudioStreamer(2)
        streamer.put(np.zeros((2, 8), np.int16), [0, 1])
        chunk = next(streamer.get_stream(1))
        assert chunk.dtype == np.int16
        assert chunk.base is None

    def test_samples_after_the_end_are_not_copied(self, fake_tensor):
        class Uncopyable(fake_tensor):
            def __getitem__(self, index):
                return self

            def detach(self):
                pytest.fail("copied after the end")

        streamer = AudioStreamer(1)
        streamer.end()
        streamer.put(Uncopyable([[0.0]]), [0])

    def test_half_precision_is_read_as_float32(self, fake_tensor):
        streamer = AudioStreamer(1)
        for dtype in (
            "torch.float16",
            "torch.bfloat16",
            "torch.float8_e4m3fn",
            "torch.float32",
            "torch.float64",
        ):
            streamer.put(fake_tensor([[0.5]], dtype, "cuda:0"), [0])
        streamer.end()
        read = [(chunk.dtype, chunk.device) for chunk in streamer.get_stream(0)]
        assert read == [("torch.float32", "cpu")] * 4 + [("torch.float64", "cpu")]


class TestPcm:
    def test_full_scale_is_clipped(self):
        samples = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, np.inf, -np.inf, 3e38, np.nan], np.float32)
        expected = [0, 16384, -16384, 32767, -32768, 32767, -32768, 32767, -32768, 32767, 0]
        assert np.frombuffer(to_pcm(samples), "<i2").tolist() == expected

    @given(st.lists(st.integers(-32768, 32767)))
    def test_integer_samples_round_trip(self, samples):
        pcm = np.array(samples, "<i2").tobytes()
        assert to_pcm(samples) == pcm
        assert to_pcm(np.array(samples, np.int16)) == pcm
        assert to_pcm(np.array(samples, ">i2")) == pcm
        assert to_pcm(np.array(samples, np.float32) / 32768) == pcm
        assert to_pcm(np.array(samples, np.float64) / 32768) == pcm

    @given(st.lists(st.floats(-2, 2, width=32)))
    def test_floats_are_rounded_to_the_nearest_step(self, samples):
        got = np.frombuffer(to_pcm(samples), "<i2") / 32768
        assert np.all(np.abs(got - np.clip(samples, -1, 32767 / 32768)) <= 0.5 / 32768)

    @pytest.mark.parametrize("shape", [(), (4,), (1, 4), (1, 1, 4), (4, 1), (0,), (1, 0)])
    def test_one_channel_in_any_shape(self, shape):
        assert len(to_pcm(np.ones(shape, np.float32))) == 2 * int(np.prod(shape))

    def test_tensors_and_half_precision_are_converted(self, fake_tensor):
        assert (
            to_pcm(fake_tensor([[0.5, 1.0]], "torch.bfloat16", "cuda:0")) == np.array([16384, 32767], "<i2").tobytes()
        )
        assert to_pcm(np.float16([0.5, 6e4])) == np.array([16384, 32767], "<i2").tobytes()
        assert to_pcm([]) == b""

    @pytest.mark.parametrize(
        "chunk", [np.ones(4, np.int32), np.ones(4, np.uint8), np.ones(4, bool), [True], b"ab", [None]]
    )
    def test_other_types_raise_type_error(self, chunk):
        with pytest.raises(TypeError):
            to_pcm(chunk)

    @pytest.mark.parametrize("chunk", [np.ones((2, 4)), [[0.5, 0.5], [0.5, 0.5]], [32768], [-32769]])
    def test_several_channels_or_large_integers_raise_value_error(self, chunk):
        with pytest.raises(ValueError, match=r"one channel|16 bits"):
            to_pcm(chunk)


def loaded_after(code):
    code += "\nimport sys\nprint(*{'torch', 'numpy', 'asyncio', 'transformers'} & sys.modules.keys())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


class TestImports:
    def test_sync_streamer_imports_nothing_slow(self):
        use = "s = AudioStreamer(1)\ns.put([[0.5]], [0])\ns.end()\nlist(s)"
        assert loaded_after(f"from voice_cli.streamer import AudioStreamer\n{use}") == []

    def test_async_streamer_imports_asyncio(self):
        assert loaded_after("from voice_cli.streamer import AsyncAudioStreamer") == ["asyncio"]

    def test_to_pcm_imports_numpy(self):
        assert "numpy" in loaded_after("from voice_cli.streamer import to_pcm\nto_pcm([0.5])")

    def test_unknown_name_is_an_import_error(self):
        with pytest.raises(ImportError):
            from voice_cli.streamer import Unknown  # noqa: F401
