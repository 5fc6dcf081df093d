"""The `voice bench` command without playback: targets, table and exit codes."""

import json
import os
import signal
import subprocess

import pytest

from support.command import VOICE, environment_in, on_terminal, screen_of
from support.runs import target
from support.server import Answer
from voice_cli.cli import quick
from voice_cli.cli.bench import command_line, make_targets
from voice_cli.cli.console import check_writable
from voice_cli.config import Config, Profile
from voice_cli.errors import ConfigError, UsageError


def test_the_quick_parser_accepts_the_command_line_of_a_run():
    flags = {"profile": "-p", "format": "mp3", "speed": 1.5, "no_play": True, "voice": None, "prebuffer": "auto"}
    options = quick.parse(command_line(target(**flags), "--help"))
    assert options is not None
    assert options.text == ("--help",)
    assert options.json
    assert {name: getattr(options, name) for name in flags} == flags


def targets(formats=None, every_profile=False, profiles=(), **flags):
    config = Config("config.toml", True, None, dict(profiles))
    return make_targets(config, flags, formats=formats, every_profile=every_profile)


def test_the_targets_are_each_profile_in_each_format(monkeypatch):
    monkeypatch.delenv("VOICE_PROFILE", raising=False)
    profiles = {"a": Profile(backend="espeak"), "b": Profile(backend="nothing"), "c": Profile(format="opus")}
    found = targets("mp3, pcm,mp3", True, profiles)
    assert [(each.name, each.flags["format"]) for each in found] == [(n, f) for n in "abc" for f in ("mp3", "pcm")]
    assert [each.fault is None for each in found] == [True, True, False, False, True, True]
    (alone,) = targets(None, False, profiles, profile="c")
    assert (alone.name, alone.format) == ("c", "opus")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"formats": "mp3,ogg"}, UsageError),
        ({"formats": ""}, UsageError),
        ({"speed": 9.0}, UsageError),
        ({"every_profile": True}, ConfigError),
        ({"every_profile": True, "profile": "a", "profiles": {"a": Profile()}}, UsageError),
        ({"every_profile": True, "base_url": "http://x", "profiles": {"a": Profile()}}, UsageError),
        ({"profile": "b", "profiles": {"b": Profile(backend="nothing")}}, ConfigError),
    ],
)
def test_invalid_options_are_errors_before_the_first_run(options, error):
    with pytest.raises(error):
        targets(**options)


PCM = Answer(b"\1\2" * 4800, chunk=960)


def test_formats_are_measured_in_turn(voice, serve):
    server = serve(PCM)
    done = voice("bench", "Hi", "-n", "2", "--no-play", "--base-url", server.url, "--format", "pcm,wav", "--json")
    assert done.code == 0, done.err
    assert done.err == ""
    assert (done.json["text"], done.json["mode"], done.json["played"]) == ("Hi", "cold", False)
    assert [each["format"] for each in done.json["targets"]] == ["pcm", "wav"]
    assert [request.json["response_format"] for request in server.requests] == ["pcm", "wav"] * 2
    for each in done.json["targets"]:
        assert each["summary"]["ttfa_ms"] is None
        assert each["summary"]["ttfb_ms"]["median"] > 0
        assert len(each["runs"]) == 2
        for one in each["runs"]:
            assert one["outcome"] == "complete"
            assert 0 < one["moments_ms"]["request_sent"] < one["moments_ms"]["first_byte"]
            assert one["curve"][-1][1:] == [0.2, None]


def test_warm_keeps_the_connection_and_does_not_count_the_first_run(voice, serve):
    server = serve(PCM)
    done = voice("bench", "-n", "2", "--warm", "--no-play", "--base-url", server.url, "--json")
    assert done.code == 0, done.err
    assert len(server.requests) == 3
    assert server.connections == 1
    (each,) = done.json["targets"]
    assert len(each["runs"]) == 2
    assert all(one["moments_ms"]["process_start"] == 0 for one in each["runs"])


CONFIG = """
[profiles.good]
base_url = "{good}"
[profiles.bad]
base_url = "{bad}"
api_key_env = "BAD_KEY"
[profiles."<i>none</i>"]
backend = "nothing"
"""


@pytest.fixture
def three_profiles(tmp_path, serve):
    """Profiles: one works, one has a server that refuses the key and repeats it, one has an unknown backend."""
    refusal = json.dumps({"error": {"message": "Incorrect API key provided: topsecret"}}).encode()
    good, bad = serve(PCM), serve(Answer(refusal, "application/json", status=401))
    (tmp_path / "config.toml").write_text(CONFIG.format(good=good.url, bad=bad.url))
    return {"VOICE_CONFIG": str(tmp_path / "config.toml"), "BAD_KEY": "topsecret"}, good, bad


@pytest.mark.parametrize("mode", [(), ("--warm",)])
def test_requests_that_were_sent_again_are_counted(voice, serve, mode):
    answers = iter([*[PCM] * len(mode), Answer(b"{}", status=503)])  # warm, there is a first run that does not count
    server = serve(lambda _request: next(answers, PCM))
    done = voice("bench", "-n", "2", "--no-play", "--base-url", server.url, "--json", *mode)
    assert done.code == 0, done.err
    (target,) = done.json["targets"]
    assert len(server.requests) == 3 + len(mode)
    assert target["retries"] == sum(one["retries"] for one in target["runs"]) == 1


@pytest.mark.parametrize("mode", [(), ("--warm",)])
def test_errors_are_in_the_row_and_set_the_exit_code(voice, three_profiles, tmp_path, mode):
    environment, good, bad = three_profiles
    done = voice("bench", "--all", "-n", "2", "--no-play", "--html", "p.html", *mode, environment=environment)
    assert done.code == 4
    rows = [line.split("\t") for line in done.out.decode().splitlines()]
    by_name = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}
    assert by_name["good"]["complete"] == "2"
    # After a permanent error, a target is not run again.
    assert by_name["bad"]["error"] == "1 of 1 failed: " + by_name["bad"]["error"].partition("failed: ")[2]
    assert "Incorrect API key provided: …" in by_name["bad"]["error"]
    assert "no backend 'nothing'" in by_name["<i>none</i>"]["error"]
    assert len(bad.requests) == 1
    assert len(good.requests) == 2 + len(mode)
    text = (tmp_path / "p.html").read_text("utf-8")
    assert "topsecret" not in text + done.out.decode() + done.err
    assert "&lt;i&gt;none" in text


@pytest.mark.parametrize("path", [".", "none/p.html"])
def test_the_page_must_be_writable_before_the_first_run(voice, serve, path):
    server = serve(PCM)
    done = voice("bench", "--html", path, "--base-url", server.url)
    assert done.code == 10
    assert done.line.startswith(f"cannot write {path}: ")
    assert server.requests == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")
def test_the_page_is_neither_created_nor_opened_before_the_runs(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "new.html"):
        check_writable(str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


def test_invalid_usage_has_its_exit_code(voice):
    done = voice("bench", "--format", "mp3,ogg")
    assert done.code == 2
    assert done.line.startswith("invalid --format 'ogg': it must be one of pcm, ")
    assert voice("bench", "-n", "0").code == 2
    assert voice("bench", "--backend", "none").code == 3
    assert voice("bench", "-", text=b" ").code == 2


def test_a_terminal_shows_progress_and_a_table(serve, tmp_path):
    server = serve(PCM)
    code, drawn, _ = on_terminal(
        "bench", "-n", "2", "--no-play", "--base-url", server.url, folder=tmp_path, also=("stdout",)
    )
    assert code == 0
    assert "2/2" in drawn
    lines = screen_of(drawn)
    assert lines[1].split()[:3] == ["target", "format", "runs"]
    assert lines[2].split()[:4] == ["http", "pcm", "2/2", "–"]
    low, high = map(float, lines[3].split()[0].split("–"))
    assert low <= float(lines[2].split()[4]) <= high
    assert len(lines) == 5


@pytest.mark.parametrize("mode", [(), ("--warm",)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_the_measured_runs(serve, tmp_path, number, mode):
    count = 1 + len(mode)
    server = serve(lambda _request: PCM if len(server.requests) <= count else Answer(b"xx", first_byte=60))
    process = subprocess.Popen(
        [*VOICE, "bench", "-n", "5", "--no-play", "--base-url", server.url, "--json", "--html", "p.html", *mode],
        env=environment_in(tmp_path),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    server.wait_for(count + 1)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == -number, err
    assert b"Traceback" not in err
    (each,) = json.loads(out)["targets"]
    assert [one["outcome"] for one in each["runs"]] == ["complete"]
    assert json.loads(out)["exit_code"] == 128 + number
    assert "interrupted" in (tmp_path / "p.html").read_text("utf-8")
    assert server.client_left.wait(5)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_an_ignored_signal_stays_ignored(serve, tmp_path):
    server = serve(Answer(b"\1\2" * 4800, first_byte=0.5))
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *VOICE, "bench", "-n", "1", "--no-play", "--base-url", server.url],
        env=environment_in(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    server.wait_for(1)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
