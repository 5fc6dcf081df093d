"""Time to first audio: `voice say` and curl piped to players, interleaved on the same null sink.

    python tests/bench/players.py [--rounds 5] [--seconds 3] [--only pcm,mp3,opus,embedded,cached] [--json FILE]

The server sends its first byte after 150 ms, then 20 to 24 ms of audio at a time (a frame of MP3, a page of Ogg) at
twice real time. *added* is the time from process start to the first audible sample of speech at the sink's monitor (not
of the encoder delay that some players play), less the server's 150 ms and the leading silence of the decoded stream.
*lost* is speech not played at the head and the tail; *gaps* are silences of 3 ms or more that are not in the stream.
CPU is the total of all processes of the command, memory that of the largest. *agent*: `voice say` speaks through an
agent that has spoken before. *cached*: the PCM stream, which was spoken before and is played from the cache.
"""

import argparse
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import material
from support.agent import RealAgent
from support.server import Answer, SpeechServer
from support.sound import AudioServer, Recording, holes, speech
from voice_cli.audio import AudioFormat
from voice_cli.codecs.headers import mpeg_header
from voice_cli.pcm.levels import AUDIBLE

SERVER_SECONDS = 0.15
PACE = 2.0
LAUNCHER = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
began = time.monotonic()
child = os.posix_spawn("/bin/sh", ["sh", "-c", sys.argv[1]], os.environ, file_actions=quiet)
usage = os.wait4(child, 0)[2]
print(json.dumps([began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""
"""Runs a shell line from a small process, because a child's peak memory includes its parent's at the fork."""

SENTENCE = "From text to sound, in one line and in no time at all."


OURS = ("voice say", "voice say, agent")


@dataclass
class Stream:
    """The server's response and the expected playback."""

    codec: str
    content_type: str
    body: bytes
    reference: np.ndarray
    sink: str
    rate: int

    parts: list[bytes]
    """The body, split as by an encoder flushed after every frame."""
    part_seconds: float

    @property
    def lead(self) -> float:
        """Seconds of the decoded stream before its first audible frame."""
        return int(np.flatnonzero(np.abs(self.reference.astype(int)) >= AUDIBLE)[0]) / self.rate


def voice_command() -> str:
    """Return the command of this environment's console script."""
    script = Path(sys.executable).with_name("voice")
    return str(script) if script.exists() else f"{sys.executable} -m voice_cli"


def commands(stream: Stream) -> dict[str, str]:
    """Return the shell lines to compare; {url} is the speech URL, {base} the value of `--base-url`."""
    curl = "curl -sN -X POST {url} -H 'Content-Type: application/json' -d '{{\"input\": \"x\"}}'"
    raw = f"-f s16le -ar {stream.rate} -ch_layout mono"
    ffplay = "ffplay -nodisp -autoexit -loglevel quiet -probesize 32 -analyzeduration 0 -fflags nobuffer"
    lines = dict.fromkeys(OURS, f"exec {voice_command()} say x --base-url {{base}} --format {stream.codec} --quiet")
    if stream.codec == "pcm":
        lines["curl | aplay"] = f"{curl} | aplay -q -t raw -f S16_LE -r {stream.rate} -c 1 -"
        lines["curl | mpv"] = (
            f"{curl} | mpv --no-config --really-quiet --no-video --demuxer=rawaudio"
            f" --demuxer-rawaudio-rate={stream.rate} --demuxer-rawaudio-channels=1 --demuxer-rawaudio-format=s16le"
            " --cache=no --ao=alsa -"
        )
        lines["curl | ffplay"] = f"{curl} | SDL_AUDIODRIVER=alsa {ffplay} {raw} -i -"
    else:
        lines["curl | mpv"] = f"{curl} | mpv --no-config --really-quiet --no-video --cache=no --ao=alsa -"
        lines["curl | ffplay"] = f"{curl} | SDL_AUDIODRIVER=alsa {ffplay} -i -"
    return {name: line for name, line in lines.items() if shutil.which(name.split()[-1]) or name in OURS}


def streams(seconds: float) -> dict[str, Stream]:
    """Create the streams: PCM and MP3 at 24 kHz, Opus at 48 kHz, each for a sink of the same rate."""
    pcm = speech(seconds)[:, 0]
    raw = pcm.tobytes()
    parts = [raw[at : at + 960] for at in range(0, len(raw), 960)]
    made = {"pcm": Stream("pcm", "audio/pcm", raw, pcm, "ear", 24000, parts, 0.02)}
    for codec, content_type, rate, sink in (("mp3", "audio/mpeg", 24000, "ear"), ("opus", "audio/ogg", 48000, "ear48")):
        audio_format = AudioFormat(rate, 1)
        options = {"page_duration": "20000"} if codec == "opus" else {}
        sound = speech(seconds, rate)[:, 0].tobytes()
        body = material.encode(codec, sound, audio_format, seekable=False, muxer_options=options)
        _, decoded = material.reference(body, {"opus": "ogg"}.get(codec, codec))
        made[codec] = Stream(codec, content_type, body, np.frombuffer(decoded, "<i2"), sink, rate, *split(codec, body))
    return made


def split(codec: str, body: bytes) -> tuple[list[bytes], float]:
    """Split at MP3 frames or Ogg pages, headers joined to the first; return the parts and the seconds of each."""
    starts = []
    at = 0
    if codec == "mp3":
        while (header := mpeg_header(body, at)) is not None:
            starts.append(at)
            at += header.length
        headers, seconds = 1, 0.024  # the Xing or Info frame
    else:
        while (at := body.find(b"OggS", at)) >= 0:
            starts.append(at)
            at += 1
        headers, seconds = 2, 0.02
    starts = [0, *starts[headers + 1 :], len(body)]
    return [body[a:b] for a, b in itertools.pairwise(starts)], seconds


@dataclass
class Run:
    added: float | None
    lost_head: float
    lost_tail: float
    gaps: int
    cpu: float
    memory: float


def listen(
    audio: AudioServer,
    sink: str,
    line: str,
    reference: np.ndarray | None,
    lead: float,
    wait: float,
    environment: dict[str, str],
) -> Run:
    """Run a shell line once and measure its playback."""
    with audio.record(sink) as heard:
        launched = subprocess.run(
            [sys.executable, "-ISc", LAUNCHER, line],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
    began, cpu, memory = json.loads(launched.stdout)
    samples = heard.samples[:, 0]
    audible = np.flatnonzero(np.abs(samples.astype(int)) >= AUDIBLE)
    if not audible.size:
        return Run(None, 0, 0, 0, cpu, memory)
    first, last = int(audible[0]), int(audible[-1]) + 1
    if reference is not None:
        first = max(first, beginning(samples, first, reference, heard.rate))
    added = heard.exact_time_of(first) - began - wait - lead
    head, tail = (0.0, 0.0) if reference is None else missing(samples[first:last], reference, heard)
    known = [] if reference is None else holes(reference[:, None], heard.rate, 0.003)
    gaps = len(holes(heard.samples[first:last], heard.rate, 0.003)) - len(known)
    return Run(added, head, tail, max(0, gaps) if reference is not None else 0, cpu, memory)


def beginning(samples: np.ndarray, first: int, reference: np.ndarray, rate: int) -> int:
    """Return the position of the reference's first audible sample, located by a later piece of the recording."""
    at = first + int(0.2 * rate)
    piece = samples[at : at + int(0.1 * rate)]
    return at - locate(piece, reference) + int(np.flatnonzero(np.abs(reference.astype(int)) >= AUDIBLE)[0])


def missing(sound: np.ndarray, reference: np.ndarray, heard: Recording) -> tuple[float, float]:
    """Return the seconds of the reference that were not played at its head and its tail."""
    size = int(0.05 * heard.rate)
    audible = np.flatnonzero(np.abs(reference.astype(int)) >= AUDIBLE)
    first, last = int(audible[0]), int(audible[-1]) + 1
    if len(sound) < 3 * size:
        return (last - first) / heard.rate, 0.0
    # Skip the ends: a player may fade its first and last milliseconds.
    inset = int(0.01 * heard.rate)
    head = locate(sound[inset : inset + size], reference) - inset
    tail = locate(sound[-size - inset : -inset], reference) + size + inset
    return max(0, head - first) / heard.rate, max(0, last - tail) / heard.rate


def locate(piece: np.ndarray, reference: np.ndarray) -> int:
    """Return the position in the reference that correlates best with the piece."""
    size = 1 << (len(reference) + len(piece)).bit_length()
    product = np.fft.rfft(reference.astype(float), size) * np.conj(np.fft.rfft(piece.astype(float), size))
    return int(np.argmax(np.fft.irfft(product, size)[: len(reference)]))


def compare(
    audio: AudioServer, agents: dict[str, RealAgent], rounds: int, seconds: float, chosen: list[str]
) -> dict[str, dict[str, list[Run]]]:
    """Run all commands in turn, in each round."""
    results: dict[str, dict[str, list[Run]]] = {}
    made = streams(seconds)
    servers = {
        codec: SpeechServer(
            Answer(
                content_type=stream.content_type,
                first_byte=SERVER_SECONDS,
                parts=stream.parts,
                part_seconds=stream.part_seconds / PACE,
            )
        )
        for codec, stream in made.items()
    }
    cache = tempfile.mkdtemp(prefix="voice-cache-")
    for _ in range(rounds):
        for codec, stream in made.items():
            if codec in chosen:
                for name, line in commands(stream).items():
                    url = servers[codec].url
                    line = line.format(url=f"{url}/audio/speech", base=url)  # noqa: PLW2901
                    environment = environment_of(name, stream.sink, audio, agents)
                    run = listen(audio, stream.sink, line, stream.reference, stream.lead, SERVER_SECONDS, environment)
                    results.setdefault(codec, {}).setdefault(name, []).append(run)
        if "embedded" in chosen:
            for name, line in {
                **dict.fromkeys(OURS, f"exec {voice_command()} say --backend espeak --quiet '{SENTENCE}'"),
                "espeak-ng": f"exec espeak-ng '{SENTENCE}'",
            }.items():
                if name in OURS or shutil.which(name):
                    environment = environment_of(name, "ear22", audio, agents)
                    run = listen(audio, "ear22", line, None, 0.0, 0.0, environment)
                    results.setdefault("embedded", {}).setdefault(name, []).append(run)
        if "cached" in chosen:
            stream, line = made["pcm"], f"exec {voice_command()} say x --base-url {servers['pcm'].url} --quiet"
            for name in OURS:
                environment = environment_of(name, stream.sink, audio, agents) | {"XDG_CACHE_HOME": cache}
                subprocess.run(f"{line} --no-play", shell=True, env=environment, check=True)
                run = listen(audio, stream.sink, line, stream.reference, stream.lead, 0.0, environment)
                results.setdefault("cached", {}).setdefault(name, []).append(run)
    for server in servers.values():
        server.close()
    return results


def environment_of(name: str, sink: str, audio: AudioServer, agents: dict[str, RealAgent]) -> dict[str, str]:
    """Return the environment of a command; that of the agent has an agent that has spoken."""
    if name != "voice say, agent":
        return audio.environment(sink)
    if sink not in agents:
        folder = Path(tempfile.mkdtemp(prefix="voice-agent-"))
        agents[sink] = RealAgent(folder, audio.environment(sink))
        agents[sink].client.say("Ready.", environment=agents[sink].environment).wait()
    return agents[sink].environment


def median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def rows(results: dict[str, dict[str, list[Run]]]) -> list[dict[str, object]]:
    """Compute medians, worst losses, and ratios to `voice say`."""
    table: list[dict[str, object]] = []
    for codec, runs_of in results.items():
        ours = median([run.added for run in runs_of["voice say"]])
        for name, runs in runs_of.items():
            added = median([run.added for run in runs])
            table.append(
                {
                    "stream": codec,
                    "command": name,
                    "added_ms": None if added is None else round(1000 * added, 1),
                    "voice_ratio": round(ours / added, 2) if ours is not None and added else None,
                    "lost_head_ms": round(1000 * max(run.lost_head for run in runs), 1),
                    "lost_tail_ms": round(1000 * max(run.lost_tail for run in runs), 1),
                    "gaps": max(run.gaps for run in runs),
                    "cpu_s": round(statistics.median(run.cpu for run in runs), 2),
                    "memory_mb": round(max(run.memory for run in runs)),
                    "runs": len(runs),
                }
            )
    return table


def print_table(table: list[dict[str, object]]) -> None:
    print(
        "| stream | command | added, ms | voice's / its | lost head, ms | lost tail, ms | gaps | CPU, s | memory, MB |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in table:
        cells = [str(row[key]).replace("|", "\\|") for key in row if key != "runs"]
        print("| " + " | ".join("–" if cell == "None" else cell for cell in cells) + " |")


def machine() -> str:
    """Describe the machine in a line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = next(
            (line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line), model
        )
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="pcm,mp3,opus,embedded,cached")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        audio = AudioServer(Path(folder))
        agents: dict[str, RealAgent] = {}
        try:
            table = rows(compare(audio, agents, options.rounds, options.seconds, options.only.split(",")))
        finally:
            for agent in agents.values():
                agent.close()
            audio.close()
    print(f"{machine()}; medians of {options.rounds}, losses and gaps the worst of them\n")
    print_table(table)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": table}, indent=1))


if __name__ == "__main__":
    main()
