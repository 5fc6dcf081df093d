"""`voice voices`: lists, downloads, and the default voice in the config file."""

import hashlib
import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.server import Answer, SpeechServer
from voice_cli.cli.config_edit import with_default_voice
from voice_cli.errors import ConfigError

CONFIG = {"audio": {"sample_rate": 22050}, "espeak": {"voice": "en-us"}, "num_speakers": 1}


@pytest.fixture
def home(tmp_path):
    return {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def network(tmp_path):
    (tmp_path / "en_US-hum-low.onnx").write_bytes(b"network")
    (tmp_path / "en_US-hum-low.onnx.json").write_text(json.dumps(CONFIG))
    return str(tmp_path / "en_US-hum-low.onnx")


def test_installed_voices_are_listed_before_espeak_s(voice, home, network):
    done = voice("voices", "get", network, environment=home)
    assert (done.code, "got en_US-hum-low" in done.err) in ((0, True), (11, True))  # 11: its engine is not installed
    done = voice("voices", environment=home)
    rows = [line.split("\t") for line in done.out.decode().splitlines()]
    names = [row[0] for row in rows]
    assert names.index("en_US-hum-low") < names.index("en-us")
    done = voice("voices", "--json", "--language", "en-us", environment=home)
    assert {"en_US-hum-low", "en-us"} <= {row["id"] for row in done.json}
    assert voice("voices", "remove", "hum", environment=home).code == 0
    assert "en_US-hum-low" not in [row["id"] for row in voice("voices", "--json", environment=home).json]


@pytest.mark.parametrize(("default", "is_noted"), [("hum", True), ("en-gb", False)])
def test_the_removal_of_the_default_voice_is_noted(voice, home, network, default, is_noted):
    voice("voices", "get", network, environment=home)
    assert voice("voices", "use", default, environment=home).code == 0
    done = voice("voices", "remove", "hum", environment=home)
    assert (done.code, "it is still the default" in done.err) == (0, is_noted)


def test_voices_that_can_be_downloaded_are_listed(voice, home):
    rows = voice("voices", "--all", "--json", environment=home).json
    row = next(row for row in rows if row["id"] == "en_US-joe-medium")
    assert (row["engine"], row["quality"], row["language"]) == ("piper", "medium", "en-US")
    done = voice("voices", "--all", "--language", "ca", environment=home)
    assert all(line.startswith("ca_ES-") for line in done.out.decode().splitlines())


def test_a_voice_is_downloaded_by_its_name_in_the_user_s_catalogue(voice, home, tmp_path):
    bodies = {"/x.onnx": b"network", "/x.onnx.json": json.dumps(CONFIG).encode()}
    with SpeechServer(lambda request: Answer(bodies[request.path], chunked=False)) as server:
        urls = [f"http://127.0.0.1:{server.port}{path}" for path in bodies]
        sums = [hashlib.sha256(body).hexdigest() for body in bodies.values()]
        (tmp_path / "config" / "voice").mkdir(parents=True)
        (tmp_path / "config" / "voice" / "voices.toml").write_text(
            f'[mine]\nengine = "piper"\nurls = {json.dumps(urls)}\nsha256 = {json.dumps(sums)}\n'
        )
        done = voice("voices", "get", "mine", environment=home)
    assert "got mine" in done.err
    assert (tmp_path / "data" / "voice" / "voices" / "mine" / "x.onnx").read_bytes() == b"network"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["get", "nothing"], "there is no voice, address or file 'nothing'"),
        (["get", "http://127.0.0.1:1/a.tar.bz2"], "use https; http needs a SHA-256 of the file"),
        (["remove", "nothing"], "there is no voice 'nothing'"),
        (["remove", "amy"], "the voice en_US-amy-medium is not installed (voice voices get en_US-amy-medium)"),
        (["use", "amy"], "the voice en_US-amy-medium is not installed (voice voices get en_US-amy-medium)"),
        (["play", "kokoro-en-v0_19"], "is not installed"),
    ],
)
def test_mistakes_are_one_line(voice, home, arguments, message):
    done = voice("voices", *arguments, environment=home)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_use_edits_the_config_file(voice, home, tmp_path):
    path = tmp_path / "config" / "voice" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('# mine\nvolume = 0.5  # quiet\n\n[profiles.a] # one\nvoice = "de"\n')
    assert voice("voices", "use", "en-gb", environment=home).code == 0
    text = path.read_text()
    assert "# mine" in text
    assert "# quiet" in text
    assert tomllib.loads(text)["profiles"]["en-gb"] == {"backend": "espeak", "voice": "en-gb"}
    assert voice("config", "show", environment=home).out.decode().startswith("profile\ten-gb")


def check(text, voice, backend):
    changed, name = with_default_voice(text, voice, backend=backend)
    tree = tomllib.loads(changed)
    assert tree["profile"] == name
    assert tree["profiles"][name]["voice"] == voice
    before = tomllib.loads(text)
    assert {key: value for key, value in tree.items() if key not in ("profile", "profiles")} == {
        key: value for key, value in before.items() if key not in ("profile", "profiles")
    }
    for comment in ("# a", "# b", "# c"):
        assert changed.count(comment) == text.count(comment)
    assert with_default_voice(changed, voice, backend=backend) == (changed, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "# a\n",
        'profile = "x" # a\n[profiles.x]\nvoice = "y"',
        'volume = 1 # a\n\n[profiles.x] # b\nvoice = "y" # c\n[pronounce]\n"a" = "b"\n',
        '[profiles.joe]\nvoice = "other" # a\n',
        '[profiles.joe]\nvoice = "joe"\n# b\n',
        '[server]\nprofile = "z"\n',
        '# profile = "old"\n',
        "profiles = {}\n".replace("profiles = {}", "# c"),
    ],
)
@pytest.mark.parametrize("backend", [None, "espeak"])
def test_the_default_voice_is_set_and_the_rest_is_kept(text, backend):
    check(text, "joe", backend)


def test_a_file_that_cannot_be_changed_safely_is_left(tmp_path):
    with pytest.raises(ConfigError, match="without a risk"):
        with_default_voice('profiles = { a = { voice = "b" } }\n', "joe", backend=None)


@given(voice=st.text(min_size=1, max_size=30))
def test_any_voice_s_name_is_written(voice):
    changed, name = with_default_voice("# a\n", voice, backend=None)
    assert tomllib.loads(changed)["profiles"][name]["voice"] == voice


def test_the_profile_of_a_voice_does_not_have_the_name_of_a_preset():
    changed, name = with_default_voice("", "kokoro", backend=None)
    assert name == "kokoro-2"
    assert tomllib.loads(changed) == {"profile": "kokoro-2", "profiles": {"kokoro-2": {"voice": "kokoro"}}}
