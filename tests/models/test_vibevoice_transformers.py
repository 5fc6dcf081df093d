"""VibeVoice on transformers' own code: tiny models with random weights, saved and loaded as real ones are."""

import threading
import types

import numpy as np
import pytest

from support.packages import needs
from support.streams import collect
from support.threads import happened
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.local.vibevoice import VibeVoiceBackend
from voice_cli.errors import Interrupted, TruncatedAudio, UsageError
from voice_cli.streamer import to_pcm

pytestmark = [
    pytest.mark.models,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # diffusers' own, with numpy 2
]

torch = needs("torch")
transformers = needs("transformers")
needs("diffusers")
needs("tokenizers")

if not hasattr(transformers, "VibeVoiceForConditionalGeneration"):
    pytest.skip("transformers has no VibeVoice before 5.17", allow_module_level=True)

WORDS = [
    "<pad>",
    "<unk>",
    "Speaker",
    "0",
    ":",
    "hello",
    "world",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
]
BOS, AUDIO_EOS, AUDIO = 7, 8, 9
HOP = 20
"""Frames a chunk of the tiny model; 3200 of the real ones."""

TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}Speaker {{ message['role'] }} : {{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %} <|vision_start|>"
)


def tiny_model():
    audio = {"kernel_size": 3, "num_filters": 4, "downsampling_ratios": [4, 5], "depths": [1, 1, 1]}
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    config = transformers.VibeVoiceConfig(
        text_config={
            "model_type": "qwen2",
            **size,
            "max_position_embeddings": 512,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "vocab_size": 64,
            "pad_token_id": 0,
            "eos_token_id": 0,
        },
        audio_config={"model_type": "vibevoice_acoustic_tokenizer", "hidden_size": 16, **audio},
        semantic_model_config={"model_type": "vibevoice_acoustic_tokenizer_encoder", "hidden_size": 32, **audio},
        diffusion_head_config={**size, "latent_size": 16, "frequency_embedding_size": 16},
        pad_token_id=0,
        eos_token_id=0,
        audio_bos_token_id=BOS,
        audio_eos_token_id=AUDIO_EOS,
        audio_token_id=AUDIO,
    )
    torch.manual_seed(0)
    return transformers.VibeVoiceForConditionalGeneration(config).eval()


class Head(torch.nn.Module):
    """In the place of the language model's head: so many chunks of sound, and then the end."""

    def __init__(self, head, chunks):
        super().__init__()
        self.head = head
        self.left = chunks

    def count(self, *_):
        self.left -= 1

    def forward(self, hidden):
        logits = self.head(hidden) * 0.0
        logits[..., AUDIO if self.left > 0 else 0] = 100.0
        return logits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model's folder, as `from_pretrained` takes it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers.models.vibevoice_acoustic_tokenizer import (
        feature_extraction_vibevoice_acoustic_tokenizer as audio,
    )

    path = tmp_path_factory.mktemp("vibevoice-tiny-hf")
    model = tiny_model()
    model.generation_config.max_new_tokens = 40
    model.save_pretrained(path)
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<pad>", unk_token="<unk>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": WORDS[BOS:]})
    extractor = audio.VibeVoiceAcousticTokenizerFeatureExtractor()
    processor = transformers.VibeVoiceProcessor(extractor, tokenizer, chat_template=TEMPLATE)
    processor.save_pretrained(path)
    return path


@pytest.fixture
def backend(folder):
    backend = VibeVoiceBackend(str(folder), compute="cpu", steps=2)
    yield backend
    backend.close()


def speaking(backend, chunks):
    """Load the model, and let it make so many chunks."""
    backend.load()
    backend._loaded = True
    model = backend._model._model
    model.lm_head = Head(model.lm_head, chunks)
    decoder = model.model.audio_tower.decoder
    decoder.register_forward_hook(model.lm_head.count)
    for name, weights in decoder.named_parameters():
        if name.startswith("head"):
            weights.data.mul_(10_000)  # random weights whisper
    return model


def test_what_is_heard_is_what_generate_returns(backend, monkeypatch):
    model = speaking(backend, 12)
    returned = []
    generate = model.generate

    def watched(**inputs):
        returned.append((generate(**inputs), inputs))
        return returned[-1][0]

    monkeypatch.setattr(model, "generate", watched)
    sound = b"".join(backend.synthesize(SpeechRequest("hello world")))
    [(output, inputs)] = returned
    assert len(sound) == 2 * 12 * HOP
    assert np.abs(np.frombuffer(sound, "<i2")).max() > 100
    assert sound == to_pcm(output.audio[0].squeeze())
    assert inputs["num_diffusion_steps"] == 2
    assert inputs["guidance_scale"] == 1.3
    assert inputs["input_ids"][0].tolist()[-3:] == [5, 6, BOS]


def test_a_requests_own_values_hold_for_it_alone(backend, monkeypatch):
    model = speaking(backend, 3)
    values = []
    generate = model.generate

    def watched(**inputs):
        values.append((inputs["num_diffusion_steps"], inputs["guidance_scale"]))
        return generate(**inputs)

    monkeypatch.setattr(model, "generate", watched)
    for request in (SpeechRequest("hello", options={"steps": 3, "cfg_scale": 2.0}), SpeechRequest("world")):
        model.lm_head.left = 3
        assert len(b"".join(backend.synthesize(request))) == 2 * 3 * HOP
    assert values == [(3, 2.0), (2, 1.3)]


def test_chunks_come_while_it_generates(backend, monkeypatch):
    model = speaking(backend, 30)
    decoded = []
    decode = model.model.audio_tower.decode
    go_on, first = threading.Event(), threading.Event()

    def stepped(*args, **kwargs):
        decoded.append(1)
        if len(decoded) == 3:
            first.set()
            happened(go_on)
        return decode(*args, **kwargs)

    monkeypatch.setattr(model.model.audio_tower, "decode", stepped)
    stream = iter(backend.synthesize(SpeechRequest("hello")))
    happened(first)
    assert len(next(stream)) == 2 * HOP
    go_on.set()
    assert len(b"".join(stream)) == 2 * 29 * HOP


def test_cancel_within_a_chunk(backend, monkeypatch):
    model = speaking(backend, 10_000)
    decoded = []
    decode = model.model.audio_tower.decode

    def watched(*args, **kwargs):
        decoded.append(1)
        if len(decoded) == 4:
            stream.cancel()
        return decode(*args, **kwargs)

    monkeypatch.setattr(model.model.audio_tower, "decode", watched)
    stream = backend.synthesize(SpeechRequest("hello"))
    with pytest.raises(Interrupted):
        list(stream)
    backend.join(20)
    assert len(decoded) == 4
    assert model.model.audio_tower.decode is watched


def test_the_most_tokens_are_told_as_truncated(backend):
    speaking(backend, 10_000)
    sound, error = collect(backend.synthesize(SpeechRequest("hello")))
    assert isinstance(error, TruncatedAudio)
    assert len(sound) == 2 * 40 * HOP


def test_a_request_after_another(backend):
    speaking(backend, 5)
    assert len(b"".join(backend.synthesize(SpeechRequest("hello")))) == 2 * 5 * HOP
    backend._model._model.lm_head.left = 7
    assert len(b"".join(backend.synthesize(SpeechRequest("world")))) == 2 * 7 * HOP


class TestPrompts:
    """Cached voice prompts, through torch's own loader."""

    def prompt(self):
        from transformers.cache_utils import DynamicCache
        from transformers.modeling_outputs import BaseModelOutputWithPast

        cache = DynamicCache()
        cache.update(torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 4), 0)
        output = BaseModelOutputWithPast(last_hidden_state=torch.ones(1, 3, 8), past_key_values=cache)
        return dict.fromkeys(("lm", "tts_lm", "neg_lm", "neg_tts_lm"), output)

    def test_a_prompt(self, tmp_path):
        from voice_cli.backends.local.voice_prompts import load_prompt

        torch.save(self.prompt(), tmp_path / "voice.pt")
        loaded = load_prompt(torch, str(tmp_path / "voice.pt"), "cpu")
        assert loaded["lm"]["last_hidden_state"].shape == (1, 3, 8)

    def test_what_would_run_something_is_refused(self, tmp_path):
        from voice_cli.backends.local.voice_prompts import load_prompt

        class Evil:
            def __reduce__(self):
                return (open, (str(tmp_path / "it-ran"), "w"))

        torch.save({"lm": Evil(), **self.prompt()} | {"tts_lm": Evil()}, tmp_path / "evil.pt")
        with pytest.raises(UsageError, match="cannot load the voice"):
            load_prompt(torch, str(tmp_path / "evil.pt"), "cpu")
        assert not (tmp_path / "it-ran").exists()

    @pytest.mark.parametrize("content", [{"lm": 1}, [1, 2]])
    def test_another_file(self, tmp_path, content):
        from voice_cli.backends.local.voice_prompts import load_prompt

        torch.save(content, tmp_path / "voice.pt")
        with pytest.raises(UsageError, match="no voice prompt"):
            load_prompt(torch, str(tmp_path / "voice.pt"), "cpu")

    def test_no_file_of_torchs(self, tmp_path):
        from voice_cli.backends.local.voice_prompts import load_prompt

        (tmp_path / "voice.pt").write_bytes(b"no zip")
        with pytest.raises(UsageError, match="cannot load the voice"):
            load_prompt(torch, str(tmp_path / "voice.pt"), "cpu")


def test_a_tap_takes_half_precision():
    from voice_cli.backends.local.vibevoice_long import tapped
    from voice_cli.backends.local.worker import Generation

    class Decoder:
        def decode(self, latents):
            return types.SimpleNamespace(audio=torch.full((1, 1, 3200), 0.5, dtype=torch.bfloat16))

    generation = Generation(SpeechRequest("x"))
    from voice_cli.audio import AudioFormat

    generation.format = AudioFormat(24000, 1)
    decoder = Decoder()
    with tapped(decoder, generation):
        decoder.decode(None)
    generation.queue.close()
    np.testing.assert_array_equal(np.frombuffer(b"".join(generation.queue), "<i2"), np.full(3200, 16384))
