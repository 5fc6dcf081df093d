"""A fake of Microsoft's `vibevoice` package (streaming model and processor) without torch.

It puts chunks of (1, 3200) in windows of six and calls `stop_check_fn` between windows. At the end of speech it calls
`end(indices)` *within* a window, still puts the window's other chunks, then calls `end()`. It modifies the prompt.
"""

import types

import numpy as np

WINDOW = 6
CHUNK = 3200


class Processor:
    tokenizer = "the tokenizer"

    def __init__(self):
        self.texts = []

    def process_input_with_cached_prompt(self, text, cached_prompt, padding, return_tensors, return_attention_mask):
        assert return_tensors == "pt"
        assert cached_prompt["lm"]
        self.texts.append(text)
        return {"tts_text_ids": text, "speech_input_mask": None}


class Model:
    """All samples of chunk n are (n + 1) / 1024."""

    def __init__(self, chunks=9, *, fails_at=None, reaches_most=False):
        self.chunks = chunks
        self.fails_at = fails_at
        self.reaches_most = reaches_most
        self.made = 0
        """Number of chunks in the last generation."""
        self.steps = None
        self.calls = []
        self.on_chunk = lambda: None

    def eval(self):
        return self

    def to(self, device):
        self.moved_to = device
        return self

    def set_ddpm_inference_steps(self, num_steps):
        self.steps = num_steps

    def generate(self, *, audio_streamer, stop_check_fn, all_prefilled_outputs, tokenizer, **values):
        self.calls.append(values)
        print("Generation begins")
        all_prefilled_outputs["lm"].append("written by generate")
        buffer = np.empty((1, CHUNK), np.float32)
        indices = np.array([0])
        finished = False
        self.made = 0
        while not finished:
            if stop_check_fn():
                audio_streamer.end()
                break
            for _ in range(WINDOW):
                if self.made == self.fails_at:
                    raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
                buffer[:] = (self.made + 1) / 1024
                audio_streamer.put(buffer, indices)
                self.made += 1
                self.on_chunk()
                if self.made == self.chunks:
                    finished = True
                    if not self.reaches_most:
                        audio_streamer.end(indices)
        audio_streamer.end()
        return types.SimpleNamespace(reach_max_step_sample=np.array([self.reaches_most]))


def package(model, *, cuda=False):
    """Return modules that replace `torch` and `vibevoice`; `.loaded` has the arguments of `from_pretrained`."""
    torch = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(is_available=lambda: cuda, empty_cache=lambda: None)
    torch.backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: False))
    torch.bfloat16, torch.float32 = "bfloat16", "float32"
    vibevoice = types.ModuleType("vibevoice")
    vibevoice.loaded = []
    vibevoice.processor = Processor()

    def load(path, **options):
        vibevoice.loaded.append((path, options))
        return model

    vibevoice.VibeVoiceStreamingForConditionalGenerationInference = types.SimpleNamespace(from_pretrained=load)
    vibevoice.VibeVoiceStreamingProcessor = types.SimpleNamespace(from_pretrained=lambda path: vibevoice.processor)
    return {"torch": torch, "vibevoice": vibevoice}
