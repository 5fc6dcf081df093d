"""sherpa-onnx in this process: neural voices on a CPU; seven families of models, each model a folder.

The library calls back with each sentence; a callback that returns 0 stops it. It prints on file descriptor 2, and exits
the process if a model is incomplete: `sherpa_models` checks first.
"""

import os
import wave
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voice_cli.audio import FULL_SCALE, AudioFormat
from voice_cli.backends.base import SpeechRequest, UnknownVoiceError, Voice
from voice_cli.backends.local import level
from voice_cli.backends.local.estimated import estimated_words
from voice_cli.backends.local.sherpa_models import CLONING, MODELS_URL, SherpaModel, read_model
from voice_cli.backends.local.worker import EngineBackend, Generation, check_steps, missing_model, speaker_number
from voice_cli.backends.packages import install_line, load, require
from voice_cli.errors import EngineError, Hint, UsageError, nearest
from voice_cli.pcm.samples import to_pcm

if TYPE_CHECKING:
    from voice_cli.backends.local.espeak_phonemes import Sentence

INSTALL = install_line("sherpa")

MAX_THREADS = 4
"""More gain little, and the player needs one."""
MAX_SYMBOLS = 190
"""Phonemes in one call of the library, which splits what is longer than 200."""
LONG_SENTENCE, SHORT_CLAUSE = 80, 16
"""As of Piper's voices: a sentence of so many symbols begins with a clause of at least so many, for an early sound."""


class SherpaBackend(EngineBackend):
    """One model of sherpa-onnx, in one chunk a sentence.

    `voice` is a speaker's number or name; for models that clone a voice (Pocket, ZipVoice), a WAV file, or the name of
    one in the model's folder. ZipVoice needs its transcript in a text file of the same name. `speed` is a factor.
    """

    name = "sherpa"
    settings = ("model", "compute", "steps")
    packages = (("sherpa_onnx", "sherpa-onnx"),)
    extra = "sherpa"
    model_is = "the folder of an unpacked model"
    has_speed = True

    def __init__(
        self,
        model: str | None = None,
        *,
        compute: str | None = None,
        steps: float | None = None,
    ) -> None:
        """Read the model's metadata. The model is not loaded.

        Args:
            model: the folder, or a network (`.onnx`) in it.
            compute: `cpu`, `cuda` or `coreml`: what the package was built for.
            steps: diffusion steps, for the families that have them.

        """
        super().__init__()
        require(self.name, "sherpa_onnx", INSTALL)
        if not model:
            raise missing_model(type(self), f"set {{model}} to its path; models are at {MODELS_URL}")
        self.model: SherpaModel = read_model(model)
        self.expected_format = AudioFormat(self.model.rate, 1) if self.model.rate else None
        self.compute_device = "cpu" if compute in (None, "auto") else str(compute)
        self._steps = check_steps(steps)
        self._package: Any = None
        self._tts: Any = None
        self._gains: dict[int, float] = {}
        """By the speaker's number."""

    def check_options(self, options: Mapping[str, Any]) -> None:
        check_steps(options.get("steps"))

    def check(self, request: SpeechRequest) -> None:
        if self.model.family in CLONING:
            self._recording(request.voice)
        else:
            self._speaker(request.voice)

    def language(self, voice: str | None) -> str:
        del voice
        return self.model.notes.get("voice", "") or self.model.notes.get("language", "")

    def voices(self) -> list[Voice]:
        """List the speakers by number, with their names where the model has them; or the recordings in the folder."""
        if self.model.family in CLONING:
            return [Voice(name) for name in self.model.recordings()]
        language = self.language(None)
        names = {number: name for name, number in self.model.speakers().items()}
        count = self._speaker_count() or len(names) or 1
        return [Voice(str(number), names.get(number, ""), language) for number in range(count)]

    def _speaker_count(self) -> int | None:
        if self._tts is not None:
            return int(self._tts.num_speakers)
        noted = self.model.notes.get("n_speakers", "")
        return int(noted) if noted.isdecimal() else None

    def _speaker(self, voice: str | None) -> int:
        return 0 if voice is None else speaker_number(voice, self.model.speakers(), self._speaker_count())

    def _recording(self, voice: str | None) -> str:
        recordings = self.model.recordings()
        if voice is None and recordings:
            return next(iter(recordings.values()))
        path = recordings.get(voice or "", os.path.expanduser(voice or ""))
        if not os.path.isfile(path):
            known = ", ".join(recordings) or "none in its folder"
            raise UnknownVoiceError(
                f"there is no recording {voice!r}{nearest(voice, recordings)}"
                if voice
                else "the model needs a recording of a voice",
                hint=Hint("set {voice} to a WAV file, or one of: {known}", known=known),
            )
        return path

    def load(self) -> None:
        package = self._package = load(self.name, "sherpa_onnx", INSTALL)
        family = self.model.family
        kind = getattr(package, f"OfflineTts{family.capitalize()}ModelConfig", None)
        if kind is None:
            raise EngineError(f"this version of sherpa-onnx has no {family} models", hint=f"{INSTALL} -U")
        config = package.OfflineTtsConfig(
            model=package.OfflineTtsModelConfig(
                **{family: kind(**self.model.files)},
                num_threads=min(MAX_THREADS, os.cpu_count() or 1),
                provider=self.compute_device,
            ),
            max_num_sentences=1,
            rule_fsts=",".join(self.model.rules),
        )
        if not config.validate():
            raise EngineError(
                f"sherpa-onnx does not accept the {family} model in {self.model.folder}",
                hint="check that the model is complete; debug output includes the library's messages",
            )
        self._tts = package.OfflineTts(config)

    def unload(self) -> None:
        self._tts = None

    def speak(self, generation: Generation) -> None:
        request = generation.request
        generation.format = AudioFormat(int(self._tts.sample_rate), 1)
        faults: list[BaseException] = []
        frames = 0
        gain = self._gain(request.voice)
        parts = self._parts(request.text)
        waiting = list(parts)

        def spoken(samples: Any, _progress: float) -> int:
            """Queue a sentence: the library's callback, on this thread."""
            nonlocal frames
            try:
                if waiting:  # a part of the text is one call
                    rate = int(self._tts.sample_rate)
                    generation.words += estimated_words(waiting.pop(0), samples, rate, frames / rate)
                frames += len(samples)
                return int(generation.write(to_pcm(level.levelled(samples, gain))))
            except BaseException as error:  # C++ may change its type
                faults.append(error)
                return 0

        self._tts.generate(request.text, self._request(request, parts), spoken)
        if faults:
            raise faults[0]
        if not frames and not generation.cancelled:
            raise EngineError(
                "sherpa-onnx generated no audio for this text",
                hint="check that it is in the model's language; debug output includes the library's messages",
            )

    def _gain(self, voice: str | None) -> float:
        """Return the factor for a speaker's samples: as in `piper`, for networks of that kind."""
        if self.model.family != "vits":
            return 1.0
        speaker = self._speaker(voice)
        if speaker not in self._gains:
            status = os.stat(self.model.network)
            name = f"sherpa {os.path.basename(self.model.network)} {status.st_size} {status.st_mtime_ns} {speaker}"
            request = SpeechRequest(level.TEXT, voice=voice)
            config = self._request(request, self._parts(level.TEXT))

            def speak() -> Any:
                return self._tts.generate(level.TEXT, config).samples

            self._gains[speaker] = level.stored_gain(name, speak, int(self._tts.sample_rate))
        return self._gains[speaker]

    def _parts(self, text: str) -> "list[Sentence]":
        """Return the sentences in phonemes; empty if the model reads letters or has a lexicon."""
        voice = self.model.phoneme_voice
        if voice is None:
            return []
        from voice_cli.backends.local.espeak_phonemes import first_clause, sentences, short_parts

        found = sentences(text, voice)
        first = first_clause(found[0], SHORT_CLAUSE) if found and len(found[0].ipa) > LONG_SENTENCE else found[:1]
        return [part for sentence in [*first, *found[1:]] for part in short_parts(sentence, MAX_SYMBOLS)]

    def _request(self, request: SpeechRequest, parts: "Sequence[Sentence]" = ()) -> Any:
        config = self._package.GenerationConfig()
        config.speed = request.speed or 1.0
        steps = check_steps(request.options.get("steps", self._steps))
        if steps is not None:
            config.num_steps = steps
        if self.model.family in CLONING:
            path = self._recording(request.voice)
            config.reference_audio, config.reference_sample_rate = read_recording(path)
            config.reference_text = _transcript(path) if self.model.family == "zipvoice" else ""
            return config
        config.sid = self._speaker(request.voice)
        if parts:
            config.phoneme_codepoints = [[ord(symbol) for symbol in part.ipa] for part in parts]
        return config


def read_recording(path: str) -> tuple[list[float], int]:
    """Return the first channel of a 16-bit WAV file, from -1 to 1, and its rate in hertz; or raise UsageError."""
    import numpy as np

    try:
        with wave.open(path, "rb") as file:
            if file.getsampwidth() != 2 or file.getnframes() == 0:
                raise UsageError(f"{path} is not a 16-bit WAV file", hint="ffmpeg -i IN -ac 1 -c:a pcm_s16le OUT.wav")
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")[:: file.getnchannels()]
            return (samples / FULL_SCALE).tolist(), file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise UsageError(f"cannot read {path} as a WAV file: {error}") from error


def _transcript(recording: str) -> str:
    path = os.path.splitext(recording)[0] + ".txt"
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the transcript of {recording}: it must be in {path}") from error
