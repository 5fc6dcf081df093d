"""Fakes of the two Chatterbox packages without torch, including their bugs.

Written against chatterbox-streaming 0.1.2 and chatterbox-tts 0.1.7; `tests/models/test_chatterbox_fork.py` runs the
same expectations on the fork's code.
"""

import itertools
import types

import numpy as np

RATE = 24000
TOKEN_FRAMES = 960
STOP = 6562
HUM = 100.0
"""Hertz."""


class Hooked:
    """The part of a torch module that hooks use."""

    def __init__(self, forward):
        self._forward = forward
        self.hooks = {}
        self._numbers = itertools.count()

    def register_forward_pre_hook(self, hook, *, with_kwargs=False):
        number = next(self._numbers)
        self.hooks[number] = (hook, with_kwargs)
        return types.SimpleNamespace(remove=lambda: self.hooks.pop(number))

    def __call__(self, *args, **kwargs):
        for hook, with_kwargs in list(self.hooks.values()):
            if with_kwargs:
                args, kwargs = hook(self, args, kwargs) or (args, kwargs)
            else:
                hook(self, args)
        return self._forward(*args, **kwargs)


class Flow:
    """Flow matching. The caller hard-codes the number of steps."""

    def __init__(self):
        self.steps = []
        self.decoder = Hooked(self._run)

    def _run(self, mu, mask, n_timesteps):
        self.steps.append(n_timesteps)
        return mu


class S3Gen:
    """Converts tokens to a hum whose phase differs in each run."""

    def __init__(self):
        self.flow = Flow()
        self.runs = 0

    def inference(self, speech_tokens, ref_dict):
        self.flow.decoder(speech_tokens, None, n_timesteps=10)
        self.runs += 1
        frames = len(speech_tokens) * TOKEN_FRAMES
        time = np.arange(frames) / RATE
        wave = ref_dict["loudness"] * np.sin(2 * np.pi * HUM * time + 1.3 * self.runs)
        return wave.astype(np.float32)[None, :], None


class Conds:
    def __init__(self, t3, gen):
        self.t3 = t3
        self.gen = gen


class T3:
    def __init__(self):
        self.hp = types.SimpleNamespace(stop_speech_token=STOP)
        self.tfmr = Hooked(lambda: None)


class StockModel:
    """chatterbox-tts: only `generate`."""

    prepared = 0

    def __init__(self, own=True, tokens=60):
        self.sr = RATE
        self.t3, self.s3gen = T3(), S3Gen()
        self.conds = Conds(types.SimpleNamespace(emotion=0.5), {"loudness": 0.1}) if own else None
        self.length = tokens
        """Tokens of every text."""
        self.made = 0
        self.most = 1000
        self.calls = []

    def prepare_conditionals(self, wav_fpath, exaggeration=0.5):
        self.prepared += 1
        with open(wav_fpath, "rb") as file:
            loudness = float(file.read())  # the fake recording contains a number
        self.conds = Conds(types.SimpleNamespace(emotion=exaggeration), {"loudness": loudness})

    def _begin(self, text, exaggeration, **values):
        assert self.conds is not None, "Please `prepare_conditionals` first or specify `audio_prompt_path`"
        self.calls.append({"text": text, "exaggeration": exaggeration, **values})
        self.conds.t3 = types.SimpleNamespace(emotion=exaggeration)
        self.conds.gen["seen"] = True
        print("Sampling", text)

    def _tokens(self):
        for number in range(self.most):
            self.t3.tfmr()
            self.made += 1
            token = STOP if number == self.length else number
            yield np.array([[token]])
            if token == STOP:
                return

    def generate(self, text, audio_prompt_path=None, exaggeration=0.5, cfg_weight=0.5, temperature=0.8):
        self._begin(text, exaggeration, cfg_weight=cfg_weight, temperature=temperature)
        tokens = [token for token in self._tokens() if token[0, 0] != STOP]
        return self.s3gen.inference(np.concatenate(tokens, 1)[0], ref_dict=self.conds.gen)[0]


class ForkModel(StockModel):
    """chatterbox-streaming: `generate_stream`, with its bugs."""

    def inference_stream(self, *, t3_cond, text_tokens, max_new_tokens=1000, temperature, cfg_weight, chunk_size=25):
        held = []
        for token in self._tokens():
            held.append(token)
            if token[0, 0] == STOP:
                yield np.concatenate(held, 1)
                return
            if len(held) >= chunk_size:
                yield np.concatenate(held, 1)
                held = []
        # At the token limit, held tokens are lost.

    def generate_stream(
        self,
        text,
        audio_prompt_path=None,
        exaggeration=0.5,
        cfg_weight=0.5,
        temperature=0.8,
        chunk_size=25,
        context_window=50,
        fade_duration=0.02,
        print_metrics=True,
    ):
        if audio_prompt_path:
            self.prepare_conditionals(audio_prompt_path, exaggeration)
        self._begin(text, exaggeration, cfg_weight=cfg_weight, temperature=temperature, print_metrics=print_metrics)
        before = np.zeros(0, int)
        for tokens in self.inference_stream(
            t3_cond=self.conds.t3,
            text_tokens=None,
            max_new_tokens=self.most,
            temperature=temperature,
            cfg_weight=cfg_weight,
            chunk_size=chunk_size,
        ):
            context = before[-context_window:]
            clean = np.concatenate((context, tokens[0]))
            clean = clean[clean != STOP]
            wave = self.s3gen.inference(clean, ref_dict=self.conds.gen)[0][0].copy()  # reads the shared conds now
            sound = wave[len(context) * TOKEN_FRAMES :]
            fade = int(fade_duration * self.sr)
            if len(sound):
                sound[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)[: len(sound)]
                yield sound[None, :], types.SimpleNamespace(chunk_count=1)
            before = np.concatenate((before, tokens[0]))


def package(model):
    """Return modules that replace `torch` and `chatterbox.tts`."""
    torch = types.ModuleType("torch")
    torch.cat = np.concatenate
    torch.cuda = types.SimpleNamespace(is_available=lambda: False)
    torch.backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: False))
    tts = types.ModuleType("chatterbox.tts")
    tts.loaded = []

    def load(*where):
        print("loaded PerthNet (Implicit)")
        tts.loaded.append(where)
        return model

    tts.ChatterboxTTS = types.SimpleNamespace(from_local=load, from_pretrained=load)
    parent = types.ModuleType("chatterbox")
    parent.tts = tts
    return {"torch": torch, "chatterbox": parent, "chatterbox.tts": tts}
