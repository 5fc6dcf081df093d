"""The catalogue: the packaged one is sound, the user's is checked, and names are found."""

import pytest

from voice_cli.errors import ConfigError, UsageError
from voice_cli.voices.catalogue import catalogue, choose, is_name


@pytest.fixture
def write(tmp_path):
    def written(text):
        (tmp_path / "voice").mkdir(exist_ok=True)
        (tmp_path / "voice" / "voices.toml").write_text(text, encoding="utf-8")
        return catalogue({"XDG_CONFIG_HOME": str(tmp_path)})

    return written


@pytest.fixture
def packaged(tmp_path):
    return catalogue({"XDG_CONFIG_HOME": str(tmp_path)})


def test_every_packaged_entry_is_sound(packaged):
    assert len(packaged) > 100
    for name, entry in packaged.items():
        assert (name, is_name(name)) == (entry.name, True)
        assert entry.engine in ("piper", "sherpa")
        assert entry.languages
        assert all(file.url.startswith("https://") and file.name for file in entry.files)
        assert all(len(file.sha256) in (0, 64) and len(file.md5) in (0, 32) for file in entry.files)
        if entry.engine == "piper":
            assert [file.name for file in entry.files] == [f"{name}.onnx", f"{name}.onnx.json", "MODEL_CARD"]
            assert all(file.size and file.md5 for file in entry.files)


def test_names_are_found(packaged):
    entries = packaged.items()
    assert choose("en_US-joe-medium", entries).name == "en_US-joe-medium"
    assert choose("EN_us-JOE-medium", entries).name == "en_US-joe-medium"
    assert choose("joe", entries).name == "en_US-joe-medium"
    assert choose("lessac", entries).name == "en_US-lessac-medium"
    assert choose("nobody", entries) is None
    with pytest.raises(UsageError, match="several voices are called mls"):
        choose("mls", entries)


def test_the_user_adds_and_replaces_entries(write):
    entries = write(
        '[mine]\nurl = "https://example.com/mine.tar.bz2"\nengine = "kokoro"\nlanguage = "de"\nlicence = "MIT"\n'
        f'[en_US-joe-medium]\nurls = ["https://a/x.onnx", "https://a/x.onnx.json"]\nengine = "piper"\n'
        f'sha256 = ["{"0" * 64}", "{"1" * 64}"]\n'
    )
    assert entries["mine"].languages == ("de",)
    assert entries["en_US-joe-medium"].files[1].sha256 == "1" * 64
    assert "en_US-amy-medium" in entries


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "must be a table"),
        ('["../x"]\nurl = "https://a"', "must be a table with the name"),
        ("[x]", "needs a url"),
        ("[x]\nurl = 1", "needs a url"),
        ('[x]\nurl = "https://a"\nengin = "piper"', "unknown key 'engin'"),
        ('[x]\nurl = "https://a"\nengine = "flite"', "engine that is not one of"),
        ('[x]\nurl = "https://a"\nsha256 = "abc"', "64 hexadecimal digits"),
        ('[x]\nurl = "https://a"\nspeakers = true', "wrong type"),
        ('[x]\nurl = "https://a"\nlicence = 1', "wrong type"),
        ("[x", "voices.toml"),
    ],
)
def test_a_wrong_file_of_the_user_is_reported(write, text, message):
    with pytest.raises(ConfigError, match=message):
        write(text)


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "a b", "a\n", "-x", "x" * 101])
def test_other_texts_are_no_names(name):
    assert not is_name(name)
