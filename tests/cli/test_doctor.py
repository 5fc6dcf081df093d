"""`voice doctor`: its output and its exit code. What it finds on broken setups is tested in `tests/e2e`."""

import pytest

from support.server import Answer

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
