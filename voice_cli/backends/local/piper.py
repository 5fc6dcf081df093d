"""Piper's voices in this process, with onnxruntime: a voice is an `.onnx` file and its `.onnx.json`.

The network (VITS) has two parts. The front turns the phonemes of a sentence into frames; the back, which needs most of
the time, turns frames into samples. They run separately, the back on some frames at a time: so the sound begins before
the sentence is computed, and has the same samples as if it were computed at once. espeak-ng generates the phonemes; the
package piper-tts is not used.
"""

import glob
import json
import os
import unicodedata
from collections.abc import Iterator
from typing import Any

from voice_cli.audio import AudioFormat
from voice_cli.backends.base import SpeechRequest, Voice, WordEvent
from voice_cli.backends.local import level
from voice_cli.backends.local.onnx_graph import MalformedModel, cut, nodes, with_output
from voice_cli.backends.local.onnx_session import open_session
from voice_cli.backends.local.worker import EngineBackend, Generation, missing_model, speaker_number
from voice_cli.backends.packages import install_line, require
from voice_cli.errors import EngineError, Hint, UsageError
from voice_cli.pcm.samples import to_pcm

INSTALL = install_line("piper")

BACK = "/dec/"
"""The names of the nodes of the back begin so."""
MARGIN = 12
"""Frames on each side that a sample depends on: the receptive field of the back (measured: from 12, all samples are the
same as without a cut)."""
FIRST_FRAMES = 24
"""Frames that are computed first: 0.28 s at 22050 Hz. The next chunks are twice as long each."""
MOST_FRAMES = 192

LONG_SENTENCE = 80
"""Symbols of a sentence whose first clause is computed alone, if it is the first one: the front of a sentence of this
length takes some 0.1 s on two slow cores."""
SHORT_CLAUSE = 16
"""Symbols that a clause must have to be computed alone."""

_BEGIN, _END, _PAD = "^", "$", "_"


class PiperBackend(EngineBackend):
    """One voice of Piper. `voice` is a speaker's number or name; `speed` is a factor. Words have their times."""

    name = "piper"
    settings = ("model", "compute")
    packages = (("onnxruntime", "onnxruntime"),)
    extra = "piper"
    model_is = "an .onnx file with its .onnx.json"
    has_speed = True
    speeds = (0.5, 1.5)
    """Each symbol has at least one frame, so the network hardly gets faster: at 3, a text took 0.47 of its time."""

    def __init__(self, model: str | None = None, *, compute: str | None = None) -> None:
        """Read the configuration of a voice, an `.onnx` file or a folder with one. The model is not loaded."""
        super().__init__()
        require(self.name, "onnxruntime", INSTALL)
        if not model:
            raise missing_model(type(self), "set {model} to its path, or {voice} to the name of an installed voice")
        self.model = voice_file(os.path.expanduser(model))
        self._config = read_config(f"{self.model}.json")
        self.expected_format = AudioFormat(self._config["audio"]["sample_rate"], 1)
        self.compute_device = "cpu" if compute in (None, "auto") else str(compute)
        self._front: Any = None
        """Of an uncut network, all of it."""
        self._back: Any = None
        self._between: tuple[str, ...] = ()
        self._has_durations = False
        self._gains: dict[int, float] = {}
        """By the speaker's number."""

    def check(self, request: SpeechRequest) -> None:
        self._speaker(request.voice)

    def language(self, voice: str | None) -> str:
        del voice
        code = self._config.get("language", {}).get("code") or self._config["espeak"]["voice"]
        return str(code).replace("_", "-")

    def voices(self) -> list[Voice]:
        language = self.language(None)
        names = {number: name for name, number in self._speakers().items()}
        if not names:
            return [Voice("0", os.path.basename(self.model).removesuffix(".onnx"), language)]
        return [Voice(str(number), name, language) for number, name in sorted(names.items())]

    def _speakers(self) -> dict[str, int]:
        return {str(name): int(number) for name, number in (self._config.get("speaker_id_map") or {}).items()}

    def _speaker(self, voice: str | None) -> int:
        count = int(self._config["num_speakers"])
        return 0 if voice is None else speaker_number(voice, self._speakers(), count)

    def load(self) -> None:
        kind = str(self._config.get("phoneme_type", "espeak"))
        if kind not in ("espeak", "text"):
            raise EngineError(
                f"the voice {os.path.basename(self.model)} needs phonemes of the kind {kind}, which only piper-tts has"
            )
        with open(self.model, "rb") as file:
            model = file.read()
        try:
            # The number of frames of each symbol is a tensor inside, the only one that is rounded up.
            network = nodes(model)
            durations = tuple(node.outputs[0] for node in network if node.op == "Ceil")
            self._has_durations = len(durations) == 1
            also = durations if self._has_durations else ()
            parts = cut(model, network, BACK, also=also)
        except MalformedModel as error:
            raise EngineError(f"{self.model} is not an ONNX model: {error}") from error
        if parts is None:
            whole = with_output(model, also[0]) if also else model
            self._front, self._back, self._between = self._session(whole), None, ()
        else:
            del model, network
            self._front, self._back = self._session(parts.front), self._session(parts.back)
            self._between = parts.between

    def _session(self, model: bytes) -> Any:
        return open_session(self.name, INSTALL, model, self.compute_device, optimized=False)

    def unload(self) -> None:
        self._front = self._back = None

    def speak(self, generation: Generation) -> None:
        request = generation.request
        rate = int(self._config["audio"]["sample_rate"])
        generation.format = AudioFormat(rate, 1)
        gain = self._gain(request.voice)
        frames = 0
        for sentence in self._sentences(request.text):
            generation.stop_if_cancelled()
            tensors, durations = self._run_front(sentence.ipa, request)
            begun = frames
            for samples, per_frame in self._samples(tensors):
                if durations is not None:
                    starts = self._starts(sentence.ipa, durations * per_frame)
                    generation.words += [
                        WordEvent(place.start, place.length, round((begun + starts[place.symbol]) / rate, 3))
                        for place in sentence.places
                    ]
                    durations = None
                frames += len(samples)
                if not generation.write(to_pcm(level.levelled(samples, gain))):
                    return
        if not frames and not generation.cancelled:
            raise EngineError("piper generated no audio for this text", hint="check that it is in the voice's language")

    def _gain(self, voice: str | None) -> float:
        speaker = self._speaker(voice)
        if speaker not in self._gains:
            status = os.stat(self.model)
            name = f"{os.path.basename(self.model)} {status.st_size} {status.st_mtime_ns} {speaker}"
            rate = int(self._config["audio"]["sample_rate"])
            self._gains[speaker] = level.stored_gain(name, lambda: self._measured_text(voice), rate)
        return self._gains[speaker]

    def _measured_text(self, voice: str | None) -> Any:
        """Return the samples of `level.TEXT`, without noise: they are the same each time."""
        import numpy as np

        parts = []
        for sentence in self._sentences(level.TEXT):
            tensors, _ = self._run_front(sentence.ipa, SpeechRequest("", voice=voice), noise=0.0)
            parts += [samples for samples, _ in self._samples(tensors)]
        return np.concatenate(parts or [np.zeros(0)])

    def _sentences(self, text: str) -> Iterator[Any]:
        from voice_cli.backends.local.espeak_phonemes import Sentence, first_clause, sentences

        if self._config.get("phoneme_type") == "text":
            yield Sentence(unicodedata.normalize("NFD", text), ())
            return
        for number, sentence in enumerate(sentences(text, str(self._config["espeak"]["voice"]))):
            is_long = number == 0 and len(sentence.ipa) > LONG_SENTENCE
            yield from first_clause(sentence, SHORT_CLAUSE) if is_long else [sentence]

    def _ids(self, symbol: str) -> list[int]:
        return list(self._config["phoneme_id_map"].get(symbol, ()))

    def _run_front(self, ipa: str, request: SpeechRequest, noise: float = 1.0) -> tuple[dict[str, Any], Any]:
        """Return the tensors for the back (or the samples), and the frames of each symbol (None: unknown).

        `noise`: a factor for the voice's noise.
        """
        import numpy as np

        pad = self._ids(_PAD)
        ids = [*self._ids(_BEGIN), *pad, *(each for symbol in ipa for each in self._padded(symbol)), *self._ids(_END)]
        inference = self._config.get("inference", {})
        length_scale = float(inference.get("length_scale", 1.0)) / (request.speed or 1.0)
        noise_scale, noise_w = float(inference.get("noise_scale", 0.667)), float(inference.get("noise_w", 0.8))
        scales = [noise * noise_scale, length_scale, noise * noise_w]
        feed: dict[str, Any] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(scales, np.float32),
        }
        if int(self._config["num_speakers"]) > 1:
            feed["sid"] = np.array([self._speaker(request.voice)], np.int64)
        results = self._front.run(None, feed)
        durations = results.pop().ravel() if self._has_durations else None
        return dict(zip(self._between or ("",), results, strict=False)), durations

    def _padded(self, symbol: str) -> list[int]:
        ids = self._ids(symbol)
        return [*ids, *self._ids(_PAD)] if ids else []

    def _starts(self, ipa: str, lengths: Any) -> list[int]:
        """Return the sample at which each symbol begins; `lengths` are the samples of each id."""
        ends = [0, *lengths.cumsum().tolist()]
        at = len(self._ids(_BEGIN)) + len(self._ids(_PAD))
        starts = []
        for symbol in ipa:
            starts.append(int(ends[min(at, len(ends) - 1)]))
            at += len(self._padded(symbol))
        return starts

    def _samples(self, tensors: dict[str, Any]) -> Iterator[tuple[Any, int]]:
        """Yield the samples, from -1 to 1, in chunks, and the samples per frame."""
        if self._back is None:
            samples = tensors[""].ravel()
            yield samples, int(self._config.get("hop_length", 256))
            return
        count = max(tensor.shape[-1] for tensor in tensors.values())
        at, size = 0, FIRST_FRAMES
        while at < count:
            end = count if count - at < 1.5 * size else at + size
            low, high = max(0, at - MARGIN), min(count, end + MARGIN)
            # A speaker's tensor has one frame for all.
            feed = {
                name: tensor[..., low:high] if tensor.shape[-1] == count else tensor for name, tensor in tensors.items()
            }
            samples = self._back.run(None, feed)[0].ravel()
            per_frame = len(samples) // (high - low)
            yield samples[(at - low) * per_frame : (end - low) * per_frame], per_frame
            at, size = end, min(2 * size, MOST_FRAMES)


def voice_file(path: str) -> str:
    """Return the network of a voice: the path itself, or the one in that folder; raise UsageError."""
    if os.path.isdir(path):
        found = sorted(glob.glob(os.path.join(glob.escape(path), "*.onnx")))
        if len(found) > 1:
            names = ", ".join(os.path.basename(each) for each in found)
            raise UsageError(
                f"{path} contains several voices", hint=Hint("set {model} to one of: {names}", names=names[:200])
            )
        if not found:
            raise UsageError(f"there is no voice (*.onnx) in {path}")
        return found[0]
    if not os.path.isfile(path):
        raise UsageError(f"there is no voice {path}", hint=Hint("set {model} to a Piper .onnx file"))
    return path


def read_config(path: str) -> dict[str, Any]:
    """Return the configuration of a voice, an `.onnx.json` file; raise UsageError."""
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        if config["audio"]["sample_rate"] <= 0 or config["num_speakers"] < 0 or not config["espeak"]["voice"]:
            raise ValueError("a value is out of range")
        if not all(isinstance(ids, list) for ids in config["phoneme_id_map"].values()):
            raise ValueError("the symbols have no numbers")
        return dict(config)
    except OSError as error:
        hint = "a Piper voice is two files: .onnx and .onnx.json"
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not the configuration of a Piper voice") from error
