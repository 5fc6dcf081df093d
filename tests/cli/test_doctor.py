"""`voice doctor`: its output and its exit code. What it finds on broken setups is tested in `tests/e2e`."""

import json

import pytest

from support.environment import cleaned
from support.server import Answer
from voice_cli.cli import doctor

SOUND = bytes([1, 1]) * 24_000


@pytest.fixture
def config(tmp_path, serve):
    """A config file with two servers."""
    path = tmp_path / "config.toml"
    server = serve(Answer(SOUND))
    path.write_text("".join(f"[profiles.{name}]\nbase_url = '{server.url}'\n" for name in ("one", "two")))
    return {"VOICE_CONFIG": str(path)}


def test_json_and_lines_have_the_same_checks(voice, config):
    done = voice("doctor", "--json", environment=config)
    checks = done.json["checks"]
    assert done.err == ""
    assert done.json["ok"] == (done.code == 0) == all(check["state"] != "broken" for check in checks)
    assert {"config", "PortAudio", "agent", "server one", "server two"} <= {check["check"] for check in checks}
    assert all(check["remedy"] for check in checks if check["state"] != "ok")
    lines = voice("doctor", environment=config).out.decode().splitlines()
    assert [line.split("\t")[:2] for line in lines] == [[check["state"], check["check"]] for check in checks]


def test_one_profile(voice, config):
    checks = voice("doctor", "--json", "-p", "two", environment=config).json["checks"]
    assert [check["check"] for check in checks if check["check"].startswith(("server", "engine"))] == ["server two"]


def test_a_preset(voice):
    checks = voice("doctor", "--json", "-p", "openai").json["checks"]
    (found,) = [check for check in checks if check["check"] == "key openai"]
    assert (found["state"], found["found"]) == ("broken", "$OPENAI_API_KEY is not set")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-p", "tow"], 3, "did you mean 'two'"),
        (["--timeout", "0"], 2, "--timeout"),
    ],
)
def test_wrong_options(voice, config, arguments, code, words):
    done = voice("doctor", *arguments, environment=config)
    assert done.code == code
    assert words in done.line


def test_a_check_that_fails_does_not_hide_the_others(monkeypatch, capsys, tmp_path):
    def fails():
        raise RuntimeError("unexpected")

    cleaned(monkeypatch, HOME=str(tmp_path), XDG_RUNTIME_DIR=str(tmp_path))
    monkeypatch.setattr(doctor, "check_sound", lambda *_, **_options: [])
    monkeypatch.setattr(doctor, "check_agent", fails)
    assert doctor.doctor(profile=None, tone=False, speak=False, timeout=None, as_json=True, debug=True) == 1
    checks = {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["agent"]["found"] == "the check failed: RuntimeError: unexpected"
    assert "clock" in checks


def test_a_wrong_config_is_named_even_if_a_profile_is_asked_for(voice, tmp_path):
    (tmp_path / "config.toml").write_text("volumn = 1")
    done = voice("doctor", "--json", "-p", "mine", environment={"VOICE_CONFIG": str(tmp_path / "config.toml")})
    assert done.code == 1
    assert [each["check"] for each in done.json["checks"] if "volumn" in each["found"]] == ["config"]
