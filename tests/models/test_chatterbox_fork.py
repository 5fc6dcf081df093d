"""chatterbox-streaming's own `generate_stream`, run for real between stand-ins for its networks.

The package pins a torch of its own, so it is installed without its dependencies (`pip install --no-deps
chatterbox-streaming`), and its networks, loaders and watermark are replaced; `chatterbox/tts.py` is its own.
"""

import importlib
import importlib.util
import pathlib
import sys
import types

import numpy as np
import pytest

from support.packages import needs
from support.streams import collect
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.local.chatterbox import ChatterboxBackend
from voice_cli.errors import Interrupted, TruncatedAudio

pytestmark = pytest.mark.models

torch = needs("torch")
needs("transformers")

if importlib.util.find_spec("chatterbox") is None:
    pytest.skip("chatterbox-streaming is not installed: make test-models has it", allow_module_level=True)

RATE = 24000
FRAMES = 960
STOP = 6562
HUM = 100.0


class T3Cond:
    def __init__(self, speaker_emb, cond_prompt_speech_tokens, emotion_adv):
        self.speaker_emb = speaker_emb
        self.cond_prompt_speech_tokens = cond_prompt_speech_tokens
        self.emotion_adv = emotion_adv

    def to(self, device):
        return self


class Backbone(torch.nn.Module):
    """The language model: token after token, and then the stop token."""

    def __init__(self, length):
        super().__init__()
        self.length = length
        self.made = 0

    def forward(self, **_):
        logits = torch.full((2, 1, 7000), -1e9)
        token = STOP if self.made == self.length else self.made % 6000
        logits[:, :, token] = 1e9
        self.made += 1
        return types.SimpleNamespace(logits=logits, past_key_values=None)


class T3:
    def __init__(self, length):
        self.hp = types.SimpleNamespace(
            start_text_token=1,
            stop_text_token=2,
            start_speech_token=6561,
            stop_speech_token=STOP,
            speech_cond_prompt_len=4,
        )
        self.tfmr = Backbone(length)
        self.compiled = True
        self.patched_model = self.tfmr
        self.speech_emb = lambda tokens: torch.zeros(*tokens.shape, 4)
        self.speech_pos_emb = types.SimpleNamespace(get_fixed_embedding=lambda _: torch.zeros(1, 1, 4))

    def prepare_input_embeds(self, *, t3_cond, text_tokens, speech_tokens):
        return torch.zeros(2, 3, 4), 1


class Decoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = []

    def forward(self, mu, mask, n_timesteps):
        self.steps.append(n_timesteps)
        return mu


class S3Gen(torch.nn.Module):
    """The vocoder: a hum that begins elsewhere each time."""

    def __init__(self):
        super().__init__()
        self.flow = torch.nn.Module()
        self.flow.decoder = Decoder()
        self.lengths = []
        self.tokenizer = types.SimpleNamespace(forward=lambda wavs, max_len: (torch.zeros(1, max_len), None))

    def embed_ref(self, wav, rate, device):
        return {"loudness": torch.tensor(float(np.max(wav)))}

    def inference(self, speech_tokens, ref_dict):
        self.flow.decoder(mu=speech_tokens, mask=None, n_timesteps=10)
        self.lengths.append(len(speech_tokens))
        time = torch.arange(len(speech_tokens) * FRAMES) / RATE
        wave = ref_dict["loudness"] * torch.sin(2 * np.pi * HUM * time + 1.3 * len(self.lengths))
        return wave[None, :], None


@pytest.fixture
def fork(monkeypatch):
    """The fork's module of `ChatterboxTTS`."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "chatterbox"]:
        monkeypatch.delitem(sys.modules, name)

    def stand_in(name, **members):
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    def read(path, sr):
        return np.full(sr, float(pathlib.Path(path).read_text()), np.float32), sr

    stand_in("librosa", load=read, resample=lambda wav, orig_sr, target_sr: wav)
    stand_in(
        "perth", PerthImplicitWatermarker=lambda: types.SimpleNamespace(apply_watermark=lambda wav, sample_rate: wav)
    )
    spec = importlib.util.find_spec("chatterbox")
    package = stand_in("chatterbox")
    package.__path__, package.__spec__ = list(spec.submodule_search_locations), spec
    embeds = types.SimpleNamespace(embeds_from_wavs=lambda wavs, sample_rate: np.zeros((1, 4), np.float32))
    for name, members in {
        "models": {"__path__": []},
        "models.t3": {"T3": T3, "__path__": []},
        "models.t3.modules": {"__path__": []},
        "models.t3.modules.cond_enc": {"T3Cond": T3Cond},
        "models.s3tokenizer": {"S3_SR": 16000, "drop_invalid_tokens": lambda tokens: tokens[tokens < 6561]},
        "models.s3gen": {"S3GEN_SR": RATE, "S3Gen": S3Gen},
        "models.tokenizers": {"EnTokenizer": object},
        "models.voice_encoder": {"VoiceEncoder": lambda: embeds},
    }.items():
        stand_in(f"chatterbox.{name}", **members)
    module = importlib.import_module("chatterbox.tts")
    yield module, embeds
    sys.modules.pop("chatterbox.tts", None)


@pytest.fixture
def speak(fork, tmp_path, monkeypatch):
    module, embeds = fork
    opened = []
    for name, loudness in (("alice", 0.2), ("bob", 0.4)):
        (tmp_path / f"{name}.wav").write_text(str(loudness))
    (tmp_path / "tokenizer.json").touch()

    def make(length=60, **options):
        tokenizer = types.SimpleNamespace(text_to_tokens=lambda text: torch.zeros(1, 5, dtype=torch.long))
        model = module.ChatterboxTTS(T3(length), S3Gen(), embeds, tokenizer, "cpu")
        model.prepare_conditionals(str(tmp_path / "alice.wav"))
        monkeypatch.setattr(module.ChatterboxTTS, "from_local", classmethod(lambda cls, folder, device: model))
        backend = ChatterboxBackend(str(tmp_path), compute="cpu", voices=str(tmp_path), **options)
        backend.model_under_test = model
        opened.append(backend)
        return backend

    yield make
    for backend in opened:
        backend.close()


def said(backend, **request):
    return np.frombuffer(b"".join(backend.synthesize(SpeechRequest("Hello.", **request))), "<i2").astype(float) / 32768


def test_every_frame(speak, capsys):
    backend = speak(60)
    sound = said(backend)
    assert len(sound) == 60 * FRAMES
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("preset", "first", "others", "steps"),
    [("adaptive", 12, 24, 5), ("realtime", 10, 10, 4), ("clone_fidelity", 30, 30, 7)],
)
def test_sizes_and_steps_are_applied(speak, preset, first, others, steps):
    backend = speak(100, preset=preset)
    said(backend)
    s3gen = backend.model_under_test.s3gen
    assert set(s3gen.flow.decoder.steps) == {steps}
    ends = [first, *range(first + others, 100, others), 100]
    assert s3gen.lengths == [
        end if number == 0 else end - max(0, ends[number - 1] - 50) for number, end in enumerate(ends)
    ]


def test_no_fade_in_and_no_jump(speak):
    sound = said(speak(60, preset="realtime"), voice="bob")
    step = 0.4 * 2 * np.pi * HUM / RATE
    for join in np.arange(10, 60, 10) * FRAMES:
        assert np.abs(np.diff(sound[join - 300 : join + 300])).max() < 2.2 * step
        assert np.abs(sound[join : join + 480]).max() > 0.35


def test_the_fork_alone_has_both(speak):
    model = speak(60).model_under_test
    chunks = [chunk[0].numpy() for chunk, _ in model.generate_stream("Hello.", chunk_size=10, print_metrics=False)]
    assert chunks[1][0] == 0.0
    assert np.abs(np.diff(np.concatenate(chunks))).max() > 5 * 0.2 * 2 * np.pi * HUM / RATE


def test_the_tail_at_the_most_tokens(speak):
    backend = speak(10_000, preset="expressive")
    sound, error = collect(backend.synthesize(SpeechRequest("Hello.")))
    assert isinstance(error, TruncatedAudio)
    assert "1000 tokens" in error.message
    assert len(sound) == 2 * 1000 * FRAMES


def test_the_fork_alone_loses_it(speak):
    model = speak(10_000).model_under_test
    frames = sum(chunk.shape[1] for chunk, _ in model.generate_stream("Hello.", chunk_size=24, print_metrics=False))
    assert frames == 984 * FRAMES


def test_voices_do_not_mix(speak):
    backend = speak(60)
    streams = [backend.synthesize(SpeechRequest("Hello.", voice=name)) for name in ("alice", "bob", "alice")]
    loud = [np.abs(np.frombuffer(b"".join(stream), "<i2")[4800:]).max() / 32768 for stream in streams[:1]]
    backend.model_under_test.t3.tfmr.made = 0
    assert loud[0] == pytest.approx(0.2, abs=0.01)
    for stream in streams[1:]:
        stream.cancel()


def test_cancel_within_a_token(speak):
    backend = speak(900, preset="realtime")
    made = backend.model_under_test.t3.tfmr
    stream = backend.synthesize(SpeechRequest("Hello."))
    made.register_forward_pre_hook(lambda *_: stream.cancel() if made.made == 25 else None)
    with pytest.raises(Interrupted):
        list(stream)
    backend.join(20)
    assert made.made <= 27
