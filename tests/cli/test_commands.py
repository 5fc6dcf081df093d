"""The command line: help, usage errors, commands other than `say`, and output streams."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import voice_cli
from support.command import VOICE, environment_in, on_terminal, screen_of
from support.server import Answer
from voice_cli.audio import CODECS
from voice_cli.cli.options import options
from voice_cli.config import Defaults, Profile
from voice_cli.config_keys import keys_of

SOUND = bytes([1, 1]) * 2400
SECRET = "sk-topsecret"


# Help and usage errors.


def test_help_shows_every_option_and_examples(voice):
    done = voice("say", "--help", environment={"COLUMNS": "200", "NO_COLOR": "1"})
    text = done.out.decode()
    assert done.code == 0
    for name, option in options().items():
        for flag in option.flags(name):
            assert re.search(rf"(?<![\w-]){flag}(?![\w-])", text), flag
        assert option.help.split(".")[0][:30] in text
    assert "Examples" in text
    assert text.count("voice say") >= 5
    assert all(codec in text for codec in CODECS)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["say", "-h"], ["config", "--help"], ["voices", "-h"]])
def test_help_is_on_standard_output(voice, arguments):
    done = voice(*arguments)
    assert (done.code, done.err) == (0, "")
    assert b"Usage" in done.out


def test_help_lists_the_commands(voice):
    text = voice("--help").out.decode()
    assert all(command in text for command in ("say", "voices", "devices", "config", "--version"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["say", "x", "--volum", "1"], "did you mean '--volume'?"),
        (["say", "x", "--zzzzzz"], "--zzzzzz"),
        (["say", "x", "--speed"], "--speed"),
        (["say", "x", "--speed", "fast"], "--speed"),
        (["sya", "x"], "did you mean 'say'?"),
        (["config", "shw"], "did you mean 'show'?"),
        (["config", "nothing"], "see voice config --help"),
        (["Hello there"], 'voice say "TEXT"'),
        (["It's here. 'Now'"], 'voice say "TEXT"'),
        (["--versoin"], "--version"),
        (["bench", "--rusn", "1"], "did you mean '--runs'?"),
        (["profiles", "show"], "name"),
    ],
)
def test_unknown_arguments_are_a_usage_error(voice, arguments, words):
    done = voice(*arguments)
    assert done.code == 2
    assert words in done.line
    assert done.out == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--speed", "9"], "--speed"),
        (["--format", "mp4"], "did you mean 'mp3'"),
        (["--prebuffer", "soon"], "--prebuffer"),
        (["--volume=-1"], "--volume"),
        (["-o", "-", "--json"], "-o -"),
        (["-o", "a.xyz"], ".xyz"),
    ],
)
def test_invalid_settings_are_one_error_line(voice, arguments, words):
    done = voice("say", "x", *arguments)
    assert done.code == 2
    assert words in done.line


def test_no_command_prints_the_help(voice):
    done = voice()
    assert b"Usage" in done.out or "Usage" in done.err


@pytest.mark.parametrize("command", [[*VOICE], [str(Path(sys.executable).with_name("voice"))]])
def test_the_module_and_the_script_run_the_same_command(tmp_path, command):
    if not os.path.exists(command[0]):
        pytest.skip("the console script is not installed")
    done = subprocess.run([*command, "--version"], env=environment_in(tmp_path), capture_output=True, check=True)
    assert done.stdout.decode() == f"voice {voice_cli.__version__}\n"


# The other commands.


def test_voices_are_lines_in_a_pipe_and_json_with_the_flag(voice, serve):
    server = serve(Answer(b'{"voices": [{"id": "af_bella", "name": "Bella"}, "am_adam"]}', "application/json"))
    done = voice("voices", "--base-url", server.url)
    assert (done.code, done.err) == (0, "")
    assert done.out.decode().splitlines() == ["af_bella\tBella", "am_adam\t"]
    done = voice("voices", "--base-url", server.url, "--json")
    assert done.json == [
        {"id": "af_bella", "name": "Bella", "language": "", "gender": ""},
        {"id": "am_adam", "name": "", "language": "", "gender": ""},
    ]


def test_voices_are_a_table_on_a_terminal(tmp_path, serve):
    server = serve(Answer(b'["af_bella", "am_adam"]', "application/json"))
    code, drawn, _ = on_terminal("voices", "--base-url", server.url, folder=tmp_path, also=("stdout",))
    assert code == 0
    assert [line.strip() for line in screen_of(drawn)] == ["id", "af_bella", "am_adam"]


def test_a_failing_voices_request_is_one_error_line(voice, serve):
    done = voice("voices", "--base-url", serve(Answer(b'{"detail": "no"}', status=404)).url)
    assert done.code == 7
    assert "404" in done.line


def test_devices_prints_a_list_or_one_error_line(voice):
    done = voice("devices", "--json", environment={"PULSE_SERVER": "unix:/nonexistent"})
    assert done.code in (0, 9)
    if done.code == 0:
        assert done.err == ""
        assert all({"index", "name", "rate"} <= set(row) for row in done.json)
    else:
        assert done.line


def test_config_path_init_and_show(voice, tmp_path):
    path = Path(voice("config", "path").out.decode().strip())
    assert tmp_path in path.parents
    assert not path.exists()
    done = voice("config", "init")
    assert done.code == 0
    assert str(path) in done.line
    assert path.read_text("utf-8") == (Path(voice_cli.__file__).parent.parent / "config.example.toml").read_text(
        "utf-8"
    )
    path.write_text("volume = 0.5\n")
    done = voice("config", "init")
    assert done.code == 10
    assert "--force" in done.line
    assert path.read_text() == "volume = 0.5\n"
    shown = {row["setting"]: row for row in voice("config", "show", "--json").json}
    assert shown["volume"] == {"setting": "volume", "value": 0.5, "origin": str(path)}
    assert shown["backend"]["value"] == "espeak"
    assert {*keys_of(Profile), *keys_of(Defaults)} <= set(shown)
    assert voice("config", "init", "--force").code == 0
    assert path.read_text() != "volume = 0.5\n"


def test_config_show_names_each_origin(voice, tmp_path):
    (tmp_path / "c.toml").write_text('[profiles.k]\nvoice = "af_bella"\nspeed = 2\n')
    environment = {"VOICE_CONFIG": str(tmp_path / "c.toml"), "VOICE_SPEED": "1.5"}
    done = voice("config", "show", "-p", "k", environment=environment)
    rows = dict(line.split("\t", 1) for line in done.out.decode().splitlines())
    assert rows["voice"] == "af_bella\tprofile k"
    assert rows["speed"] == "1.5\t$VOICE_SPEED"
    assert rows["timeout"] == "60.0\tdefault"


def test_an_invalid_config_is_one_error_line_for_each_command(voice, tmp_path):
    (tmp_path / "c.toml").write_text("volum = 1\n")
    for command in (["say", "x"], ["voices"], ["config", "show"]):
        done = voice(*command, environment={"VOICE_CONFIG": str(tmp_path / "c.toml")})
        assert done.code == 3
        assert "did you mean 'volume'" in done.line


# Secrets.


@pytest.mark.parametrize("how", ["variable", "named", "command"])
@pytest.mark.parametrize("backend", ["http", "openai"])
def test_a_key_is_never_printed(voice, serve, tmp_path, how, backend):
    server = serve(Answer(b'{"error": {"message": "no such key"}}', status=401))
    line = {
        "variable": "",
        "named": 'api_key_env = "MY_KEY"',
        "command": "api_key_command = \"pr'in'tf %s sk-top; echo secret\"",
    }[how]
    url = "" if how == "variable" else f'base_url = "{server.url}"'
    (tmp_path / "c.toml").write_text(f'profile = "p"\n[profiles.p]\nbackend = "{backend}"\n{url}\n{line}\n')
    environment = {
        "VOICE_CONFIG": str(tmp_path / "c.toml"),
        "OPENAI_API_KEY": SECRET,
        "MY_KEY": SECRET,
        "OPENAI_LOG": "debug",
    }
    if how == "variable":
        environment["VOICE_BASE_URL"] = server.url
    done = voice("say", "x", "--no-play", "--debug", "--json", environment=environment)
    assert done.code == 4, done.err
    assert SECRET not in done.err + done.out.decode()
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {SECRET}"]
    if backend == "http":
        done = voice("config", "show", environment=environment)
        assert done.code == 0
        assert "sk-top" not in done.out.decode()


@pytest.mark.parametrize("backend", ["http", "openai"])
def test_a_profiles_key_is_not_sent_to_another_address(voice, serve, tmp_path, backend):
    server = serve(Answer(SOUND))
    (tmp_path / "c.toml").write_text(
        f'[profiles.p]\nbackend = "{backend}"\nbase_url = "https://own.example/v1"\napi_key_env = "MY_KEY"\n'
    )
    environment = {"VOICE_CONFIG": str(tmp_path / "c.toml"), "MY_KEY": SECRET, "OPENAI_API_KEY": "another"}
    done = voice("say", "x", "--no-play", "-p", "p", "--base-url", server.url, environment=environment)
    assert f"the key of profile p is not sent to 127.0.0.1:{server.port} (to send a key there, add" in done.line
    if backend == "http":
        assert done.code == 0
        assert "authorization" not in server.requests[0].headers
    else:
        assert done.code == 3
        assert server.connections == 0


def test_a_key_that_is_sent_unencrypted_is_a_note(voice, serve, tmp_path):
    server = serve(Answer(SOUND))
    url = f"http://0.0.0.0:{server.port}/v1"  # this machine, but no loopback address
    (tmp_path / "c.toml").write_text(f'profile = "p"\n[profiles.p]\nbase_url = "{url}"\napi_key_env = "MY_KEY"\n')
    environment = {"VOICE_CONFIG": str(tmp_path / "c.toml"), "MY_KEY": SECRET}
    done = voice("say", "x", "--no-play", environment=environment)
    assert done.code == 0
    assert f"the key of profile p goes unencrypted to 0.0.0.0:{server.port} (use https or wss)" in done.line
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"


def test_the_message_of_a_failed_key_command_does_not_contain_it(voice, tmp_path):
    (tmp_path / "c.toml").write_text(
        f"profile = 'p'\n[profiles.p]\napi_key_command = 'false {SECRET}'\nbackend = 'http'"
    )
    done = voice("say", "x", "--debug", environment={"VOICE_CONFIG": str(tmp_path / "c.toml")})
    assert done.code == 3
    assert "api_key_command" in done.err
    assert SECRET not in done.err


# Standard output and standard error.


def test_saying_prints_nothing(voice, serve):
    done = voice("say", "x", "--no-play", "--base-url", serve(Answer(SOUND)).url)
    assert done == (0, b"", "")


def test_saving_to_standard_output_is_wav_and_nothing_else(voice, serve):
    done = voice("say", "x", "--no-play", "-o", "-", "--base-url", serve(Answer(SOUND)).url)
    assert (done.code, done.err) == (0, "")
    assert done.out[:4] == b"RIFF"
    assert done.out[44:] == SOUND


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="this system has no /dev/stdout")
def test_a_special_file_gets_wav(voice, serve):
    done = voice("say", "x", "--no-play", "-o", "/dev/stdout", "--base-url", serve(Answer(SOUND)).url)
    assert done.code == 0
    assert done.out[44:] == SOUND


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_special_file_is_a_file_error(voice, serve):
    done = voice("say", "x", "--no-play", "-o", "/dev/full", "-q", "--base-url", serve(Answer(SOUND)).url)
    assert done.code == 10
    assert "No space left" in done.line


def test_json_is_one_object_and_quiet_prints_no_messages(voice, serve, tmp_path):
    server = serve(Answer(SOUND))
    done = voice("say", "x", "--no-play", "--json", "-q", "-o", "a.wav", "--base-url", server.url)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 1
    assert done.json["outcome"] == "complete"
    assert done.json["saved"] == "a.wav"
    assert done.json["audio_ms"] == 100
    assert done.json["rate"] == 24_000
    assert (tmp_path / "a.wav").read_bytes()[44:] == SOUND


def test_a_failure_before_the_request_is_a_json_object(voice):
    done = voice("say", "x", "--json", "--backend", "htpp")
    assert done.code == 3
    assert done.json["outcome"] == "failed"
    assert done.json["error"]["kind"] == "config"
    assert done.json["error"]["exit_code"] == 3
    assert done.json["ttfa_ms"] is None
    assert done.json["backend"] is None


def test_debug_prints_the_waterfall_to_standard_error(voice, serve):
    done = voice("say", "x", "--no-play", "--debug", "--base-url", serve(Answer(SOUND, first_byte=0.05)).url)
    assert done.code == 0
    assert done.out == b""
    for words in ("process start", "request sent", "first byte", "first decodable frame", "TTFB", "real-time factor"):
        assert words in done.err
    assert "not measured" in done.err, "nothing was played"


def test_a_traceback_is_printed_only_with_debug(voice, serve):
    url = serve(Answer(b"{}", status=500)).url
    assert "Traceback" not in voice("say", "x", "--no-play", "--base-url", url).err
    assert "Traceback" in voice("say", "x", "--no-play", "--debug", "--base-url", url).err


def test_a_signal_before_the_first_audio_prints_nothing(tmp_path, serve):
    server = serve(Answer(SOUND, first_byte=60))
    process = subprocess.Popen(
        [*VOICE, "say", "x", "--no-play", "--base-url", server.url, "-o", "a.wav"],
        env=environment_in(tmp_path),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    server.wait_for(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (-signal.SIGINT, b"", b"")
    assert os.listdir(tmp_path) == []


# The status line.


def test_the_status_line_shows_the_backend_and_is_removed(tmp_path, serve):
    server = serve(Answer(SOUND, first_byte=1.5))
    code, drawn, out = on_terminal("say", "x", "--no-play", "--base-url", server.url, folder=tmp_path)
    assert (code, out) == (0, b"")
    assert "http" in drawn
    assert "\x1b" not in drawn
    assert screen_of(drawn) == []


def test_after_a_failure_only_the_error_line_remains(tmp_path, serve):
    server = serve(Answer(b"{}", status=500, first_byte=1.5))
    code, drawn, _ = on_terminal("say", "x", "--no-play", "--base-url", server.url, folder=tmp_path)
    assert code == 7
    assert "http" in drawn
    left = " ".join(screen_of(drawn))
    assert left.startswith("voice: ")
    assert "http" not in left.replace("http://", "")


@pytest.mark.parametrize("how", ["quiet", "pipe", "short"])
def test_no_status_line_if_quiet_piped_or_short(tmp_path, voice, serve, how):
    server = serve(Answer(SOUND, first_byte=0 if how == "short" else 0.6))
    arguments = ["say", "x", "--no-play", "--base-url", server.url]
    if how == "pipe":
        assert voice(*arguments).err == ""
        return
    code, drawn, _ = on_terminal(*arguments, *(["--quiet"] if how == "quiet" else []), folder=tmp_path)
    assert (code, drawn) == (0, "")


def test_sound_is_not_written_to_a_terminal(tmp_path):
    code, drawn, _ = on_terminal("say", "x", "-o", "-", folder=tmp_path, also=("stdout",))
    assert code == 2
    assert "terminal" in drawn


# Closed streams, full disks, file names and secrets.


def in_shell(line, folder):
    """Run a shell line in which $VOICE is the command."""
    environment = environment_in(folder, {"VOICE": " ".join(VOICE)})
    return subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, cwd=folder, check=False)


def test_a_closed_standard_input_is_a_usage_error(tmp_path):
    done = in_shell("$VOICE say <&-", tmp_path)
    assert done.returncode == 2, done.stderr


def test_a_closed_standard_error_is_ignored(tmp_path, serve):
    done = in_shell(f"$VOICE say x --no-play --base-url {serve(Answer(SOUND)).url} 2>&-", tmp_path)
    assert done.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("line", ["say x --no-play --json --base-url URL", "config show", "voices --base-url URL"])
def test_a_full_standard_output_is_a_file_error(tmp_path, serve, line):
    line = line.replace("URL", serve(Answer(b'["a"]' if line.startswith("voices") else SOUND)).url)
    done = in_shell(f"$VOICE {line} >/dev/full", tmp_path)
    assert "Traceback" not in done.stderr
    assert done.returncode == 10


def test_json_can_contain_a_file_name_that_is_not_utf8(tmp_path):
    done = in_shell("$VOICE say --json -f \"$(printf 'caf\\351.txt')\"", tmp_path)
    assert done.returncode == 10, done.stderr


def test_config_show_hides_a_secret_at_the_start_of_a_command(voice, tmp_path):
    (tmp_path / "c.toml").write_text(f"profile = 'p'\n[profiles.p]\napi_key_command = 'TOKEN={SECRET} get-key'\n")
    done = voice("config", "show", environment={"VOICE_CONFIG": str(tmp_path / "c.toml")})
    assert done.code == 0
    assert SECRET not in done.out.decode()


def test_config_show_accepts_a_blank_command(voice, tmp_path):
    (tmp_path / "c.toml").write_text("profile = 'p'\n[profiles.p]\napi_key_command = ' '\n")
    done = voice("config", "show", environment={"VOICE_CONFIG": str(tmp_path / "c.toml")})
    assert done.code == 0, done.err


def test_config_show_hides_the_credentials_in_an_address(voice):
    done = voice("config", "show", environment={"VOICE_BASE_URL": "http://me:topsecret@host/v1"})
    assert "topsecret" not in done.out.decode()
