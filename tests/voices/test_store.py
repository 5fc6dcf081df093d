"""Voices are fetched into the data folder, found, named and removed."""

import contextlib
import hashlib
import io
import json
import tarfile

import pytest

from support.server import Answer, SpeechServer
from voice_cli.cli.options import words
from voice_cli.config import parse, settle
from voice_cli.errors import EngineError, FileError, ServerError, UsageError
from voice_cli.voices import installed, named
from voice_cli.voices.catalogue import Entry, RemoteFile
from voice_cli.voices.installed import engine_of, find_voice, installed_voices
from voice_cli.voices.store import entry_of, get, remove

CONFIG = {"audio": {"sample_rate": 22050}, "espeak": {"voice": "en-us"}, "num_speakers": 2}
CONFIG["speaker_id_map"] = {"ann": 0, "bob": 1}


@pytest.fixture
def home(tmp_path):
    return {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / "voice" / "voices"


def piper_files(place, name="en_US-hum-medium"):
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.onnx").write_bytes(b"network")
    (place / f"{name}.onnx.json").write_text(json.dumps(CONFIG))
    return place / f"{name}.onnx"


def archive(**files):
    """Return a tar file with one folder, the model's."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:bz2") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"model/{name.replace('__', '.')}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def entry_at(server, body, **changes):
    file = RemoteFile(f"http://127.0.0.1:{server.port}/a.tar.bz2", sha256=hashlib.sha256(body).hexdigest())
    return Entry("mine", "sherpa", ("de",), "high", "MIT", 1, None, (file,))._replace(**changes)


def test_a_model_is_fetched_and_removed(home, folder):
    body = archive(model__onnx=b"network", tokens__txt=b"a 0")
    with SpeechServer(Answer(body, chunked=False)) as server:
        voice = get("mine", entry_at(server, body), environment=home, pause=0)
    assert (voice.name, voice.engine, voice.model) == ("mine", "sherpa", str(folder / "mine"))
    assert (folder / "mine" / "model.onnx").read_bytes() == b"network"
    about = json.loads((folder / "mine" / "voice.json").read_text())
    assert (about["licence"], about["sha256"]) == ("MIT", {"a.tar.bz2": hashlib.sha256(body).hexdigest()})
    assert [path.name for path in folder.iterdir()] == ["mine"]
    assert find_voice("mine", home, ()) == (voice, None)
    remove(voice, home)
    assert list(folder.iterdir()) == []


def test_nothing_is_fetched_if_one_of_the_addresses_is_refused(home, folder):
    body = b"network"
    with SpeechServer(Answer(body, chunked=False)) as server:
        entry = entry_at(server, body)
        unchecked = RemoteFile(f"http://127.0.0.1:{server.port}/a.onnx.json")
        with pytest.raises(UsageError, match=r"cannot download from \S+\.json"):
            get("mine", entry._replace(files=(*entry.files, unchecked)), environment=home)
        assert not server.requests
    assert not folder.exists()


def test_a_failed_fetch_leaves_the_old_voice(home, folder):
    body = archive(model__onnx=b"old", tokens__txt=b"a 0")
    with SpeechServer(Answer(body, chunked=False)) as server:
        get("mine", entry_at(server, body), environment=home, pause=0)
        wrong = entry_at(server, b"other")
        with pytest.raises(ServerError, match="SHA-256"):
            get("mine", wrong, environment=home, pause=0)
    assert (folder / "mine" / "model.onnx").read_bytes() == b"old"


def test_files_that_are_no_voice_are_refused(home, folder):
    body = archive(readme__txt=b"hello")
    with SpeechServer(Answer(body, chunked=False)) as server, pytest.raises(UsageError, match="no voice of an engine"):
        get("mine", entry_at(server, body), environment=home, pause=0)
    assert list(folder.iterdir()) == []


def test_files_that_are_no_voice_leave_the_old_voice(home, folder):
    bodies = archive(model__onnx=b"old", tokens__txt=b"a 0"), archive(readme__txt=b"hello")
    for body in bodies:
        with SpeechServer(Answer(body, chunked=False)) as server, contextlib.suppress(UsageError):
            get("mine", entry_at(server, body), environment=home, pause=0)
    assert (folder / "mine" / "model.onnx").read_bytes() == b"old"


def test_a_hostile_archive_writes_nothing_outside(home, folder, tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../../../out"), io.BytesIO(b""))
    (tmp_path / "bad.tar").write_bytes(stream.getvalue())
    with pytest.raises(FileError, match="leaves its folder"):
        get(str(tmp_path / "bad.tar"), entry_of(str(tmp_path / "bad.tar"), {}), environment=home)
    assert not (tmp_path / "out").exists()


def test_a_piper_voice_is_copied_from_a_file(home, folder, tmp_path):
    path = piper_files(tmp_path / "downloads")
    voice = get(str(path), entry_of(str(path), {}), environment=home)
    assert (voice.engine, voice.model) == ("piper", str(folder / "en_US-hum-medium" / "en_US-hum-medium.onnx"))
    assert find_voice("hum", home, ()) == (voice, None)
    assert find_voice("hum/bob", home, ()) == (voice, "bob")
    assert voice.about["language"] == "en-US"


@pytest.mark.parametrize("what", ["nothing", "no/such/file", "en_US-nobody-medium"])
def test_what_is_neither_name_nor_address_nor_file_is_refused(what):
    with pytest.raises(UsageError, match="no voice, address or file"):
        entry_of(what, {})


def test_an_address_of_a_network_has_its_configuration_beside_it():
    entry = entry_of("https://example.com/x/de_DE-karl-low.onnx?download=true", {})
    assert entry.name == "de_DE-karl-low"
    assert [file.url for file in entry.files][1].endswith(".json")


def test_a_package_has_voices(home, tmp_path):
    piper_files(tmp_path / "site" / "hum_piper_voice" / "data")
    (tmp_path / "site" / "hum_piper_voice" / "data" / "MODEL_CARD").write_text("# Card\n* License: CC0\n")
    voices = installed_voices(home, [str(tmp_path / "site"), str(tmp_path / "missing"), ""])
    voice = voices["en_US-hum-medium"]
    assert (voice.is_package, voice.about["licence"]) == (True, "CC0")
    with pytest.raises(UsageError, match="part of a Python package"):
        remove(voice, home)


def test_the_engine_is_one_that_is_installed(home, monkeypatch, tmp_path):
    voice = installed.InstalledVoice("hum", "piper", "x.onnx", True)
    here = set()
    monkeypatch.setattr(installed, "is_installed", here.__contains__)
    with pytest.raises(EngineError, match="needs the package onnxruntime") as raised:
        engine_of(voice)
    assert raised.value.hint == 'pip install "voice-cli[neural]"'
    here.add("sherpa_onnx")
    assert engine_of(voice) == "sherpa"
    here.add("onnxruntime")
    assert engine_of(voice) == "piper"


class TestNamed:
    """`with_engine`: the voice's name chooses the engine, unless something else has."""

    @pytest.fixture
    def voice(self, home, tmp_path, monkeypatch):
        monkeypatch.setattr(installed, "is_installed", lambda module: module == "onnxruntime")
        path = piper_files(tmp_path / "downloads")
        return get(str(path), entry_of(str(path), {}), environment=home)

    def settings(self, home, flags, text=None, **environment):
        environment = {**home, **environment}
        config = parse("config.toml", None if text is None else text.encode(), environment)
        return named.with_engine(settle(config, flags, environment), environment)

    @pytest.mark.parametrize(
        ("name", "speaker"), [("hum", None), ("en_US-hum-medium", None), ("hum/bob", "bob"), ("HUM", None)]
    )
    def test_an_installed_voice_has_its_engine(self, home, voice, name, speaker):
        profile = self.settings(home, {"voice": name}).profile
        assert (profile.backend, profile.model, profile.voice) == ("piper", voice.model, speaker)

    def test_a_profile_may_have_only_a_voice(self, home, voice):
        settings = self.settings(home, {}, 'profile = "p"\n[profiles.p]\nvoice = "hum"\n')
        assert settings.profile.backend == "piper"
        assert settings.origins["backend"] == "voice en_US-hum-medium"

    @pytest.mark.parametrize(
        "flags", [{"backend": "http"}, {"backend": "espeak"}, {"base_url": "http://x"}, {"model": "m"}]
    )
    def test_what_else_is_named_keeps_its_meaning(self, home, voice, flags):
        assert self.settings(home, {"voice": "hum", **flags}).profile.voice == "hum"

    def test_a_server_s_voice_keeps_its_meaning(self, home, voice):
        profile = self.settings(home, {"voice": "alloy"}, OPENAI_API_KEY="k").profile
        assert (profile.backend, profile.voice) == ("http", "alloy")
        assert self.settings(home, {"voice": "hum"}, OPENAI_API_KEY="k").profile.backend == "piper"

    def test_espeak_s_own_voices_come_first(self, home, voice, folder):
        (folder / "en_US-hum-medium").rename(folder / "en-us")
        profile = self.settings(home, {"voice": "en-us"}).profile
        assert (profile.backend, profile.voice) == ("espeak", "en-us")

    def test_a_voice_that_can_be_downloaded_says_how(self, home):
        with pytest.raises(UsageError, match="is not installed") as raised:
            self.settings(home, {"voice": "amy"})
        assert words(raised.value.hint) == "voice voices get en_US-amy-medium"

    @pytest.mark.parametrize("name", ["nobody", "en-us", "de+f3", "+f2"])
    def test_other_names_are_left_to_espeak(self, home, name):
        assert self.settings(home, {"voice": name}).profile.voice == name

    @pytest.mark.parametrize(("name", "meant"), [("humm", "hum"), ("en_US-hum-meduim", "en_US-hum-medium")])
    def test_the_nearest_installed_voice_is_suggested(self, home, voice, name, meant):
        with pytest.raises(UsageError, match=f"did you mean '{meant}'"):
            self.settings(home, {"voice": name})
