"""The streamers with real tensors."""

import contextlib

import numpy as np
import pytest

from voice_cli.streamer import AsyncAudioStreamer, AudioStreamer, to_pcm

torch = pytest.importorskip("torch", reason="torch is not installed: make test-models has it")

pytestmark = pytest.mark.models


@pytest.mark.parametrize(
    "indices",
    [torch.tensor(1), torch.tensor([1]), torch.tensor([[1]]), torch.LongTensor([1]), torch.tensor([1]).int()],
    ids=repr,
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 3200), (1, 1, 3200)])
def test_tensors_are_read_back_as_float32(indices, dtype, shape):
    streamer = AudioStreamer(2)
    streamer.put(torch.full(shape, 0.5, dtype=dtype), indices)
    streamer.end(sample_indices=indices)
    [chunk] = streamer.get_stream(1)
    assert chunk.shape == shape[1:]
    assert chunk.dtype == (dtype if dtype == torch.float64 else torch.float32)
    assert np.all(chunk.cpu().numpy() == 0.5)
    assert to_pcm(chunk) == np.full(3200, 16384, "<i2").tobytes()


def test_batch_of_tensors():
    streamer = AudioStreamer(3)
    streamer.put(torch.tensor([[1.0], [2.0]]), torch.tensor([2, 0]))
    streamer.end()
    assert {sample: float(chunk) for sample, chunk in next(iter(streamer)).items()} == {0: 2.0, 2: 1.0}


@pytest.mark.parametrize("indices", [torch.tensor([True]), torch.tensor([0.0])], ids=repr)
def test_mask_is_not_an_index(indices):
    with pytest.raises(TypeError):
        AudioStreamer(2).put(torch.ones(1, 4), indices)


def test_tensor_stop_signal_is_not_the_end():
    streamer = AudioStreamer(1, stop_signal=torch.zeros(3200))
    streamer.put(torch.zeros(1, 3200), torch.tensor([0]))
    streamer.end()
    assert len(list(streamer.get_stream(0))) == 1


def test_tensor_with_gradient_is_detached():
    streamer = AudioStreamer(1)
    streamer.put(torch.ones(1, 4, requires_grad=True) * 2, torch.tensor([0]))
    assert not next(streamer.get_stream(0)).requires_grad


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, contextlib.nullcontext])
def test_models_buffer_may_be_reused(mode):
    streamer = AudioStreamer(1)
    with mode():
        buffer = torch.empty(1, 3200)
        for number in range(3):
            buffer.fill_(number)
            streamer.put(buffer, torch.tensor([0]))
        buffer.fill_(-1)
    streamer.end()
    assert [float(chunk[0]) for chunk in streamer.get_stream(0)] == [0.0, 1.0, 2.0]


def test_chunk_does_not_keep_the_batch():
    streamer = AudioStreamer(1)
    streamer.put(torch.zeros(1, 8, 3200)[:, 0], torch.tensor([0]))
    assert next(streamer.get_stream(0)).untyped_storage().nbytes() == 3200 * 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_cuda_tensor_is_read_on_the_cpu(dtype):
    streamer = AudioStreamer(1)
    streamer.put(torch.full((1, 3200), 0.5, dtype=dtype, device="cuda"), torch.tensor([0], device="cuda"))
    streamer.end(torch.tensor([0], device="cuda"))
    [chunk] = streamer.get_stream(0)
    assert chunk.device.type == "cpu"
    assert chunk.numpy()[0] == 0.5


def test_async_streamer_reads_tensors(run, work):
    async def main():
        streamer = AsyncAudioStreamer(1)

        def generate():
            with streamer.generating(), torch.no_grad():
                for number in range(20):
                    streamer.put(torch.full((1, 3200), number, dtype=torch.bfloat16), torch.LongTensor([0]))

        work(generate)
        return [int(chunk[0]) async for chunk in streamer.get_stream(0)]

    assert run(main()) == list(range(20))


def test_methods_of_transformers_base_streamer_exist():
    base = pytest.importorskip("transformers.generation", reason="transformers is not installed").BaseStreamer
    for name in vars(base):
        if not name.startswith("_"):
            assert callable(getattr(AudioStreamer, name))
