"""Streamed text on an audio device: early start, order, pauses, and output files."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import wave
import zlib

import av
import numpy as np
import pytest

from support.command import on_terminal, screen_of
from support.server import Answer
from support.sound import VOICE, speech
from voice_cli.playback.learned import MAX_LATENCY

pytestmark = pytest.mark.e2e

TOKENS_A_SECOND = 40

STORY = (
    "When the sun had set behind the hills, the old man took his hat and his stick and went slowly down to the harbour"
    " where the boats were lying still. Nobody was there. Then he went home."
)
BOOK = " ".join(f"This is the sentence with the number {word}, and it is as long as any." for word in "abcde")


def start(audio, *arguments, cwd, **options):
    return subprocess.Popen(
        [*VOICE, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=audio.environment(latency=MAX_LATENCY),
        cwd=cwd,
        **options,
    )


def words_of(report):
    return [entry["word"] for entry in report["words"]]


class Speaker:
    """A server with different speech for each text, surrounded by silence that joins must trim."""

    def __init__(self, lead=0.2, tail=0.35, seconds=1.0, **answer):
        self._lead, self._tail, self._seconds, self._answer = lead, tail, seconds, answer
        self.asked = {}
        """Text to the time of its request. Requests on separate connections may arrive in another order."""
        self.done = {}
        """Text to the time at which its response was complete."""

    def __call__(self, request):
        text = request.json["input"]
        self.asked[text] = time.monotonic()
        silence = [np.zeros((int(seconds * 24000), 1), "<i2") for seconds in (self._lead, self._tail)]
        body = np.concatenate([silence[0], self.speech(text), silence[1]]).tobytes()
        speaker = self

        class Timed(Answer):
            def pieces(self):
                yield from super().pieces()
                speaker.done[text] = time.monotonic()

        return Timed(body, **self._answer)

    def speech(self, text):
        made = speech(self._seconds, seed=zlib.crc32(text.encode()))
        made[0] = made[-1] = 5000
        return made

    def all(self, texts, pause):
        """Return the expected playback: speech and pauses."""
        parts = []
        for text in texts:
            parts.append(self.speech(text))
            parts.append(np.zeros((int(24000 * pause * (1 if text[-1] in ".!?" else 0.5)), 1), "<i2"))
        return np.concatenate(parts[:-1])


def test_first_clause_is_played_while_text_arrives(audio, tmp_path):
    tokens = re.findall(r"\s*\S+", STORY)
    with audio.record("ear") as heard:
        process = start(audio, "say", "--json", cwd=tmp_path)
        for index, token in enumerate(tokens):
            process.stdin.write(token.encode())
            process.stdin.flush()
            time.sleep(1 / TOKENS_A_SECOND)  # simulates the token rate
            if index == 20:
                heard.wait_for_sound()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == b""
    report = json.loads(out)
    assert report["text_spoken"] == STORY
    assert report["text_remaining"] == ""
    assert " ".join(words_of(report)) == STORY
    assert len(report["words"]) > 30
    starts = [entry["start_ms"] for entry in report["words"]]
    assert starts == sorted(starts)
    assert len(report["utterances"]) > 2
    assert report["utterances"][0]["text"] == "When the sun had set behind the hills,"
    assert report["underruns"] == 0


def test_playback_is_speech_with_the_requested_pauses(audio, voice, serve, tmp_path):
    speaker = Speaker(chunk=4800, byte_rate=2 * 48000)
    server = serve(speaker)
    with audio.record() as heard:
        result = voice(
            "say", "--base-url", server.url, "--pause", "0.25", "--json", "-o", "all.wav", text=BOOK.encode()
        )
    assert result.code == 0, result.err
    texts = [entry["text"] for entry in result.json["utterances"]]
    assert len(texts) >= 4
    assert sorted(texts) == sorted(speaker.asked)
    assert " ".join(texts) == BOOK == result.json["text_spoken"]
    wanted = speaker.all(texts, 0.25)
    np.testing.assert_array_equal(heard.sound, wanted)
    assert result.json["underruns"] == 0
    with wave.open(str(tmp_path / "all.wav")) as saved:
        kept = np.frombuffer(saved.readframes(10**8), "<i2")
    # The file also has the leading and trailing silence.
    np.testing.assert_array_equal(kept, [*([0] * 4800), *wanted[:, 0], *([0] * 8400)])
    ends = [entry["end_ms"] for entry in result.json["utterances"]]
    began = heard.exact_time_of(int(np.flatnonzero(heard.samples.any(axis=1))[0]))
    for index in range(1, len(texts)):
        assert speaker.asked[texts[index]] < began + (ends[index - 1] - 200) / 1000, (
            "not requested during the previous utterance"
        )
    for index in range(2, len(texts)):
        assert speaker.asked[texts[index]] > speaker.done[texts[index - 2]], "more than one request ahead"


def test_zero_pause_joins_speech_without_silence(audio, voice, serve):
    speaker = Speaker(lead=0.0, tail=0.3, seconds=0.5)
    server = serve(speaker)
    with audio.record() as heard:
        result = voice("say", "--base-url", server.url, "--pause", "0", "--json", text=BOOK.encode())
    assert result.code == 0
    texts = [entry["text"] for entry in result.json["utterances"]]
    np.testing.assert_array_equal(heard.sound, speaker.all(texts, 0.0))


def rss(process):
    with open(f"/proc/{process.pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")
def test_endless_input_is_limited_by_back_pressure(audio, tmp_path):
    piece = b"and so on,\n"
    taken = [0]
    with audio.record("ear") as heard:
        process = start(audio, "say", "--json", cwd=tmp_path)

        def write():
            try:
                while True:
                    taken[0] += os.write(process.stdin.fileno(), piece * 90)
            except OSError:
                return

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        heard.wait_for_sound()
        memory, blocked = [], []
        for _ in range(12):
            heard.wait_for(0.5)
            memory.append(rss(process))
            blocked.append(taken[0])
        process.send_signal(signal.SIGINT)
        sent_at = time.monotonic()
        out = process.stdout.read()
        assert process.wait(10) == -signal.SIGINT
    assert b"Traceback" not in process.stderr.read()
    last = int(np.flatnonzero(heard.samples.any(axis=1))[-1])
    assert heard.time_of(last) - sent_at < 0.15
    assert max(memory) < 150
    assert memory[-1] - memory[5] < 4
    assert blocked[-1] < 400_000
    assert blocked[-1] - blocked[5] < 70_000
    report = json.loads(out)
    assert report["outcome"] == "cancelled"
    words = f"{report['text_spoken']} {report['text_remaining']}".split()
    assert words[:-1] == (["and", "so", "on,"] * (len(words) // 3 + 1))[: len(words) - 1]
    assert len(words) < taken[0] / 11 * 3
    # About six seconds were played, at about three words per second.
    assert 6 <= len(report["text_spoken"].split()) <= 60
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()
    writer.join(5)


INVALID_INPUTS = {
    "binary": (np.random.default_rng(5).bytes(6000), (10,)),
    "invalid": (b"caf\xe9 \xff\xfe au lait \xc3", (0,)),
    "nul": (b"one\0two\0 three", (0,)),
    "nothing but nul": (b"\0" * 5000, (10,)),
    "half a character": ("für".encode()[:2], (0,)),
    "escapes": (b"\x1b[31mred\x1b[0m \x9b31m \x07", (0,)),
    "blank": (b" \n\t \n", (2,)),
    "empty": (b"", (2,)),
}


@pytest.mark.parametrize("kind", INVALID_INPUTS)
def test_unusual_input_has_a_defined_result(voice, kind):
    data, codes = INVALID_INPUTS[kind]
    result = voice("say", "--no-play", "--json", "-o", "a.wav", text=data)
    assert result.code in codes, result.err
    assert "fault" not in result.err
    assert result.json["outcome"] == ("complete" if result.code == 0 else "failed")
    assert {0: "", 2: "nothing to say", 10: "is not text"}[result.code] in result.err


def test_closed_standard_input_exits_2(voice, audio, tmp_path):
    done = subprocess.run(
        ["sh", "-c", f"exec {VOICE[0]} -m voice_cli say <&-"],
        env=audio.environment(),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"nothing to say" in done.stderr


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="requires ffmpeg")
@pytest.mark.parametrize("asked", ["pcm", "mp3"])
def test_utterances_are_joined_in_one_mp3_file(voice, serve, tmp_path, asked):
    from support import material
    from voice_cli.audio import AudioFormat

    mono = AudioFormat(24000, 1)
    if asked == "pcm":
        server = serve(Speaker(seconds=0.5))
    else:
        body = material.encode("mp3", speech(0.5)[:, 0].tobytes(), mono, seekable=False)
        server = serve(Answer(body, "audio/mpeg"))
    result = voice(
        *("say", "--base-url", server.url, "--format", asked, "--no-play", "--json", "-o", "all.mp3"),
        text=BOOK.encode(),
    )
    assert result.code == 0, result.err
    with av.open(str(tmp_path / "all.mp3")) as container:
        seconds = sum(frame.samples / frame.rate for frame in container.decode(audio=0))
    assert seconds == pytest.approx(result.json["utterances"][-1]["end_ms"] / 1000, abs=0.6)
    assert seconds > 0.5 * len(server.requests)
    assert os.listdir(tmp_path) == ["all.mp3"]


def test_one_line_split_into_requests_is_joined_in_one_file(voice, serve, tmp_path):
    """With pronunciations configured, even a short text may be split into utterances."""
    (tmp_path / "config.toml").write_text('[pronounce]\nsun = "star"\n')
    text = "When the evening had come, the old man went home. Nobody was there."
    server = serve(Speaker(seconds=0.3))
    result = voice(
        *("say", text, "--base-url", server.url, "--format", "pcm", "--no-play", "-o", "all.pcm"),
        environment={"VOICE_CONFIG": str(tmp_path / "config.toml")},
    )
    assert result.code == 0, result.err
    assert len(server.requests) > 1
    silence = 4800 + 8400
    frames = len((tmp_path / "all.pcm").read_bytes()) // 2
    assert frames < len(server.requests) * (7200 + silence) - 1000, "silence between utterances was not trimmed"


def test_show_prints_the_text_on_a_terminal(audio, tmp_path):
    text = "Hello there, all of you. This is the second sentence."
    code, drawn, _ = on_terminal(
        "say", "--show", text, folder=tmp_path, environment=audio.environment(), also=("stdout",)
    )
    assert code == 0
    assert screen_of(drawn) == [text]


def test_show_prints_word_by_word(audio, tmp_path):
    process = start(audio, "say", "--show", cwd=tmp_path)
    process.stdin.write(STORY[:60].encode())
    process.stdin.close()
    parts = []
    while data := os.read(process.stdout.fileno(), 65536):
        parts.append(data.decode())
    assert process.wait(10) == 0
    process.stdout.close()
    process.stderr.close()
    assert "".join(parts).strip() == STORY[:60].strip()
    assert parts[-1].endswith("\n")
    assert len(parts) > 6


def test_closed_pipe_of_shown_text_exits_130(audio, tmp_path):
    process = start(audio, "say", "--show", cwd=tmp_path)
    process.stdin.write(STORY.encode())
    process.stdin.close()
    os.read(process.stdout.fileno(), 100)
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(10) == 130
    assert error == b""


@pytest.mark.parametrize("suffix", ["srt", "vtt"])
def test_subtitles_have_all_words_in_time_order(voice, tmp_path, suffix):
    result = voice("say", "--no-play", "--subtitles", f"a.{suffix}", "--json", "-o", "a.wav", text=STORY.encode())
    assert result.code == 0, result.err
    blocks = (tmp_path / f"a.{suffix}").read_text("utf-8").strip().split("\n\n")
    if suffix == "vtt":
        assert blocks.pop(0) == "WEBVTT"
    mark = {"srt": ",", "vtt": "."}[suffix]
    before, texts = 0.0, []
    for number, block in enumerate(blocks, 1):
        index, times, *text = block.split("\n")
        found = re.fullmatch(r"(\d\d):(\d\d):(\d\d)(.)(\d{3}) --> (\d\d):(\d\d):(\d\d)(.)(\d{3})", times)
        assert int(index) == number
        assert {found[4], found[9]} == {mark}
        first, last = (
            int(found[at]) * 3600 + int(found[at + 1]) * 60 + int(found[at + 2]) + int(found[at + 4]) / 1000
            for at in (1, 6)
        )
        assert before <= first < last
        before = last
        texts += text
    assert " ".join(texts) == STORY
    with wave.open(str(tmp_path / "a.wav")) as saved:
        assert before <= saved.getnframes() / saved.getframerate()


CONFIG = """
profile = "play"

[pronounce]
nginx = "engine x"

[profiles.play]
backend = "http"
base_url = "{url}"
voice = "narrator"

[profiles.play.speakers]
Ann = "af_bella"
Bob = "am_adam"
"""


def test_dialogue_uses_speaker_voices_and_reports_the_original_text(voice, serve, tmp_path):
    server = serve(Speaker(seconds=0.2))
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(url=server.url))
    text = "The curtain rises.\nANN: Do you run nginx at all?\nBob: I do. Every single day.\nAnn: Good for you, then.\n"
    result = voice(
        *("say", "--dialogue", "--no-play", "--json", "-o", "a.wav"),
        text=text.encode(),
        environment={"VOICE_CONFIG": str(config)},
    )
    assert result.code == 0, result.err
    asked = [(request.json["voice"], request.json["input"]) for request in server.requests]
    by_voice = {}
    for name, spoken in asked:  # separate connections: in any order
        by_voice.setdefault(name, []).extend(spoken.split())
    assert {name: sorted(words) for name, words in by_voice.items()} == {
        "narrator": sorted(["The", "curtain", "rises."]),
        "af_bella": sorted(["Do", "you", "run", "engine", "x", "at", "all?", "Good", "for", "you,", "then."]),
        "am_adam": sorted(["I", "do.", "Every", "single", "day."]),
    }
    heard = " ".join(result.json["text_spoken"].split())
    assert heard == "The curtain rises. Do you run nginx at all? I do. Every single day. Good for you, then."


@pytest.mark.parametrize(
    ("speakers", "words"), [("", "speakers"), ('[profiles.p.speakers]\nAnn = "a"\nann = "b"', "speaker")]
)
def test_dialogue_with_missing_or_duplicate_speakers_exits_3(voice, tmp_path, speakers, words):
    (tmp_path / "c.toml").write_text(f'profile = "p"\n[profiles.p]\nbackend = "espeak"\n{speakers}')
    result = voice("say", "--dialogue", text=b"Ann: hi", environment={"VOICE_CONFIG": str(tmp_path / "c.toml")})
    assert result.code == 3
    assert words in result.err
    assert "fault" not in result.err


@pytest.mark.parametrize("text", ["word " * 1200, "x" * 9000, "语" * 5000])
def test_long_text_is_split_into_requests_within_the_limit(voice, serve, tmp_path, text):
    server = serve(Speaker(seconds=0.05, lead=0.0, tail=0.0))
    (tmp_path / "book.txt").write_text(text, "utf-8")
    result = voice("say", "-f", "book.txt", "--base-url", server.url, "--no-play", "-o", "a.wav", "--lookahead", "4")
    assert result.code == 0, result.err
    inputs = [request.json["input"] for request in server.requests]
    assert max(map(len, inputs)) <= 4096
    # Concurrent requests may arrive in another order.
    assert sum(len("".join(spoken.split())) for spoken in inputs) == len("".join(text.split()))


def test_truncated_second_utterance_is_not_reported_as_spoken(audio, voice, serve, tmp_path):
    speaker = Speaker(seconds=1.0)
    first, second = "This is the sentence with the number a,", "and it is as long as any."

    def respond(request):
        answer = speaker(request)
        if request.json["input"] == second:
            answer.die_after = 30_000
        return answer

    server = serve(respond)
    with audio.record() as heard:
        result = voice("say", "--base-url", server.url, "--json", "-o", "a.wav", "--no-resume", text=BOOK.encode())
    assert result.code == 8
    assert result.json["outcome"] == "truncated"
    assert result.json["text_spoken"] == first
    assert " ".join((result.json["text_spoken"] + " " + result.json["text_remaining"]).split()) == BOOK
    wanted = speaker.all([first, second], 0.3)
    np.testing.assert_array_equal(heard.sound, wanted[: len(heard.sound)])
    assert len(heard.sound) > 24000 + 0.1 * 24000, "the received part of the second utterance was not played"
    with wave.open(str(tmp_path / "a.wav")) as saved:
        assert saved.getnframes() > 24000 * 1.1


def test_progress_bar_is_shown_while_saving_and_then_erased(audio, serve, tmp_path):
    server = serve(Speaker(seconds=2.0, first_byte=0.25))
    (tmp_path / "book.txt").write_text(BOOK)
    code, drawn, _ = on_terminal(
        *("say", "-f", "book.txt", "--base-url", server.url, "--save", "book.wav", "--no-play"), folder=tmp_path
    )
    assert code == 0
    assert "× real time" in drawn
    assert re.search(r"\d+%", drawn)
    assert screen_of(drawn) == []
    assert sorted(os.listdir(tmp_path)) == ["book.txt", "book.wav"]


def test_buffered_text_is_played_when_the_writer_pauses(audio, tmp_path):
    """The prebuffer exceeds the first words, and the writer waits until they are played."""
    with audio.record("ear") as heard:
        process = start(audio, "say", "--json", "--prebuffer", "5000", "--flush-after", "0.1", cwd=tmp_path)
        process.stdin.write(b"Say yes. ")
        process.stdin.flush()
        heard.wait_for_sound()
        process.stdin.write(b"And that was it.")
        out, _ = process.communicate(timeout=30)
    report = json.loads(out)
    assert report["text_spoken"] == "Say yes. And that was it."
    assert report["underruns"] == 0
