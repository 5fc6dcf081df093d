"""Fakes of the Chatterbox packages without torch, including their bugs.

Written against chatterbox-streaming 0.1.2, chatterbox-tts 0.1.7 and chatterbox-vllm 0.2.1;
`tests/models/test_chatterbox_fork.py` runs the same expectations on the fork's code, and `test_chatterbox_vllm.py`
compares the signatures of the last one.
"""

import functools
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


class VllmModel:
    """chatterbox-vllm's ChatterboxTTS: `generate` for a list of texts, and nothing that streams."""

    loaded = None
    length = 60
    """Tokens of every text."""

    @classmethod
    def from_local(
        cls,
        ckpt_dir,
        target_device="cuda",
        max_model_len=1000,
        compile=False,  # noqa: A002  the package's name
        max_batch_size=10,
        variant="english",
        s3gen_use_fp16=False,
        **kwargs,
    ):
        print("Giving vLLM 2.05% of GPU memory (1701.87 MB)")
        made = cls(ckpt_dir, target_device, max_model_len)
        VllmModel.loaded = {"ckpt_dir": ckpt_dir, "target_device": target_device, **kwargs}
        VllmModel.loaded |= {"max_model_len": max_model_len, "max_batch_size": max_batch_size}
        return made

    @classmethod
    def from_pretrained(
        cls, repo_id="ResembleAI/chatterbox", revision="1b475dffa71fb191cb6d5901215eb6f55635a9b6", *args, **kwargs
    ):
        raise FileNotFoundError("t3-model/model.safetensors")  # without the repository's folder

    def __init__(self, ckpt_dir, target_device, max_model_len):
        self.max_model_len = max_model_len
        self.t3 = types.SimpleNamespace(generate=self._tokens_of)
        self.calls = []
        self.prepared = []
        self.vocoded = 0
        self.is_shut_down = False
        self.get_audio_conditionals = functools.lru_cache(maxsize=10)(self._conditionals)

    @property
    def sr(self):
        return RATE

    def _conditionals(self, wav_fpath=None):
        self.prepared.append(wav_fpath)
        if wav_fpath is None:
            return 0.1
        with open(wav_fpath, "rb") as file:
            return float(file.read())

    def _tokens_of(self, prompts, sampling_params=None, *, use_tqdm=True):
        if use_tqdm:
            print("Processed prompts: 100%")
        most = min(self.max_model_len, sampling_params["max_tokens"])
        reason = "length" if self.length > most else "stop"
        output = types.SimpleNamespace(token_ids=[0] * min(self.length, most), finish_reason=reason)
        return [types.SimpleNamespace(outputs=[output]) for _ in prompts]

    def generate(
        self,
        prompts,
        audio_prompt_path=None,
        language_id="en",
        exaggeration=0.5,
        temperature=0.8,
        max_tokens=1000,
        top_p=0.8,
        repetition_penalty=2.0,
        *args,
        **kwargs,
    ):
        loudness = self.get_audio_conditionals(audio_prompt_path)
        return self.generate_with_conds(
            prompts,
            loudness,
            None,
            temperature=temperature,
            language_id=language_id,
            exaggeration=exaggeration,
            max_tokens=max_tokens,
            top_p=top_p,
            repetition_penalty=repetition_penalty,
            **kwargs,
        )

    def generate_with_conds(
        self,
        prompts,
        s3gen_ref,
        cond_emb,
        language_id="en",
        temperature=0.8,
        exaggeration=0.5,
        max_tokens=1000,
        diffusion_steps=10,
        top_p=1.0,
        min_p=0.05,
        repetition_penalty=2.0,
        *args,
        **kwargs,
    ):
        self.calls.append((*prompts, exaggeration, temperature, diffusion_steps))
        results = self.t3.generate(prompts, sampling_params={"max_tokens": max_tokens, **kwargs})
        print("[T3] Speech Token Generation time: 0.10s")
        sounds = []
        for result in results:
            for output in result.outputs:
                self.vocoded += 1
                time = np.arange(len(output.token_ids) * TOKEN_FRAMES) / RATE
                sounds.append((s3gen_ref * np.sin(2 * np.pi * HUM * time)).astype(np.float32)[None, :])
        return sounds

    def shutdown(self):
        self.is_shut_down = True


def vllm_package():
    """Return modules that replace `torch` with CUDA, `chatterbox_vllm.tts` and `huggingface_hub`."""
    torch = package(None)["torch"]
    torch.cuda = types.SimpleNamespace(is_available=lambda: True, empty_cache=lambda: None)
    tts = types.ModuleType("chatterbox_vllm.tts")
    tts.ChatterboxTTS = VllmModel
    parent = types.ModuleType("chatterbox_vllm")
    parent.tts = tts
    hub = types.ModuleType("huggingface_hub")
    hub.hf_hub_download = lambda repo_id, filename, revision: f"/hub/{repo_id}/{revision}/{filename}"
    return {"torch": torch, "chatterbox_vllm": parent, "chatterbox_vllm.tts": tts, "huggingface_hub": hub}
