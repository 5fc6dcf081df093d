"""The agent under load, and how soon its commands are heard.

    python tests/bench/agent.py [stress] [commands] [memory] [--clients 200] [--rounds 7]

- *stress*: so many `voice say` at once; a tenth of them is killed at random moments, and once the agent. Each survivor
  must be heard whole, once, and exit 0.
- *commands*: the time from the start of `voice stop`, `voice pause` and `voice say --interrupt` to silence at the
  sink's monitor, and how far the told position is from the recorded one.
- *memory*: of the agent, and its CPU time while idle.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from players import machine, voice_command

from support.agent import RealAgent
from support.server import Answer, SpeechServer
from support.sound import AudioServer, speech
from voice_cli.playback.learned import MAX_LATENCY

LONG = " ".join(["one two three four five six seven eight nine ten"] * 8)


def stress(audio: AudioServer, clients: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="voice-agent-"))
    agent = RealAgent(folder, audio.environment("ear", latency=MAX_LATENCY))
    sent = [speech(0.3, seed=number) for number in range(clients)]
    server = SpeechServer(lambda request: Answer(sent[int(request.json["input"])].tobytes()))
    chance = random.Random(1)
    killed: set[int] = set()
    spoken: list[str] = []
    """What was spoken when the agent was killed."""
    with audio.record("ear") as heard:
        processes = [
            subprocess.Popen(
                [*voice_command().split(), "say", str(number), "--base-url", server.url, "--json"],
                env=agent.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for number in range(clients)
        ]
        agent_dies = chance.randrange(clients // 4, clients // 2)
        for number in range(clients // 10):
            time.sleep(chance.uniform(0.2, 0.8))
            victim = chance.randrange(clients)
            processes[victim].kill()
            killed.add(victim)
            if number == agent_dies // 10:
                spoken = [each["text"] for each in agent.client.queue() if each["state"] == "speaking"]
                agent.kill()
        outs = [process.communicate()[0] for process in processes]
    sound = heard.sound.tobytes()
    failures = []
    for number, (process, out) in enumerate(zip(processes, outs, strict=True)):
        if number in killed and process.returncode:
            continue
        told = json.loads(out) if out else {}
        times = heard_times(sound, sent[number].tobytes(), 2 * (told.get("device_underflows") or 0))
        is_whole = min(times) >= 1 and (max(times) == 1 or str(number) in spoken)
        if process.returncode or told.get("outcome") != "complete" or not is_whole:
            halts = f"{told.get('underruns')} underruns, {told.get('device_underflows')} device underflows"
            runs = "".join(map(str, times))
            failures.append(f"client {number}: exit {process.returncode}, each 5 ms heard {runs} times, {halts}")
    print(f"- {clients} clients, {len(killed)} killed, and the agent once: {len(failures)} not heard whole and once")
    for failure in failures[:10]:
        print(f"  - {failure}")
    server.close()
    agent.kill()


def heard_times(sound: bytes, sent: bytes, holes: int) -> list[int]:
    """Return how often each 5 ms were heard, without those that an underflow of the device has divided.

    An underflow puts silence between two blocks of the device, or inside one of ours; it leaves nothing out.
    """
    size = 2 * 24000 // 200
    times = [sound.count(sent[at : at + size]) for at in range(0, len(sent), size)]
    for _ in range(min(times.count(0), holes)):
        times.remove(0)
    return times


def last_sound(samples: np.ndarray) -> int:
    return int(np.flatnonzero(samples.any(axis=1))[-1])


def commands(audio: AudioServer, rounds: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="voice-agent-"))
    agent = RealAgent(folder, audio.environment("ear22"))
    results: dict[str, list[tuple[float, float | None]]] = {}
    lines = {
        "voice stop": ["stop"],
        "voice pause": ["pause"],
        "voice say --interrupt": ["say", "--interrupt", "--volume", "0", "x"],
    }
    for _ in range(rounds):
        for name, line in lines.items():
            with audio.record("ear22") as heard:
                with agent.client.say(LONG, options={"backend": "espeak"}, environment=agent.environment) as spoken:
                    heard.wait_for_sound()
                    heard.wait_for(0.7)
                    began = time.monotonic()
                    command = [*voice_command().split(), *line]
                    subprocess.run(command, env=agent.environment, check=False, capture_output=True)
                    heard.wait_for(0.1)
                    if name == "voice pause":
                        silent_at = heard.exact_time_of(last_sound(heard.samples))
                        agent.client.stop()
                        outcome = spoken.wait()
                    else:
                        outcome = spoken.wait()
                        silent_at = heard.exact_time_of(last_sound(heard.samples))
                told = None
                if outcome["heard_ms"] is not None:
                    told = abs(len(heard.sound) / heard.rate * 1000 - outcome["heard_ms"])
                results.setdefault(name, []).append((1000 * (silent_at - began), told))
    print(
        "| command | start to silence, ms: median | worst | told position from the recorded one, ms: median | worst |"
    )
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, values in results.items():
        silences = [silence for silence, _ in values]
        after = [told for _, told in values if told is not None]
        cells = [statistics.median(silences), max(silences), *([statistics.median(after), max(after)] if after else [])]
        print(f"| {name} | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |")
    agent.close()


def memory(audio: AudioServer) -> None:
    folder = Path(tempfile.mkdtemp(prefix="voice-agent-"))
    agent = RealAgent(folder, audio.environment("ear22"))
    fresh = agent.client.status()["memory_mb"]
    with agent.client.say("Hello.", environment=agent.environment) as spoken:
        spoken.wait()
    time.sleep(8)  # until the device is closed
    before = cpu_of(agent.process.pid)
    time.sleep(10)
    used = cpu_of(agent.process.pid) - before
    print(f"- memory: {fresh} MB at the start, {agent.client.status()['memory_mb']} MB after a speech")
    print(f"- CPU in 10 s of idleness: {1000 * used:.0f} ms")
    agent.close()


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=["stress", "commands", "memory"])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        audio = AudioServer(Path(folder))
        try:
            if "stress" in options.parts:
                stress(audio, options.clients)
            if "commands" in options.parts:
                commands(audio, options.rounds)
            if "memory" in options.parts:
                memory(audio)
        finally:
            audio.close()


if __name__ == "__main__":
    main()
