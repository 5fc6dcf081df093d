"""Settings: precedence, errors in the file, and secrets."""

import contextlib
import math
import os
import sys
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.api_keys import api_key, key_note
from voice_cli.audio import CODECS
from voice_cli.backends import BACKENDS
from voice_cli.config import Config, Defaults, Profile, load, settle
from voice_cli.config_keys import keys_of
from voice_cli.errors import ConfigError
from voice_cli.folders import config_path

FLAGS = {**dict.fromkeys(keys_of(Profile)), **dict.fromkeys(keys_of(Defaults))}


@pytest.fixture
def file(tmp_path):
    """Write a config file and load it."""

    def write(text):
        path = tmp_path / "config.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(str(path), {})

    return write


def settled(config, flags=None, environment=None):
    return settle(config, flags or {}, environment or {}, backend_names=BACKENDS)


NO_FILE = Config("/nowhere/config.toml")


# Layers.

VALUES = {
    # setting: (in the file, environment variable, its parsed value, flag)
    "backend": ("espeak", "openai", "openai", "http"),
    "base_url": ("http://file", "http://env", "http://env", "http://flag"),
    "model": ("file", "env", "env", "flag"),
    "voice": ("file", "env", "env", "flag"),
    "format": ("mp3", "wav", "wav", "flac"),
    "speed": (0.5, "1.5", 1.5, 2.0),
    "instructions": ("file", "env", "env", "flag"),
    "device": ("file", "7", "7", "flag"),
    "volume": (0.5, "2", 2.0, 3.0),
    "prebuffer": ("100", "200", "200", "300"),
    "smooth": ("auto", "start", "start", "off"),
    "timeout": (5, "6", 6.0, 7.0),
    "compute": ("cpu", "cuda", "cuda", "mps"),
    "preset": ("file", "env", "env", "flag"),
    "markdown": ("auto", "on", "on", "off"),
    "pause": (0.1, "0.2", 0.2, 0.4),
    "flush_after": (0.1, "0.2", 0.2, 0.4),
    "lookahead": (2, "3", 3, 4),
    "wake": (100.0, "200", 200.0, 300.0),
    "agent": ("off", "on", "on", "auto"),
    "agent_idle": (10.0, "20", 20.0, 30.0),
    "first_byte_timeout": (1.0, "2", 2.0, 3.0),
    "hedge": (100.0, "200", 200.0, 300.0),
    "cache_size": (10.0, "20", 20.0, 0.0),
    "history": ("off", "texts", "texts", "ids"),
}


def test_every_setting_with_a_variable_is_tested():
    assert {name for kind in (Profile, Defaults) for name, key in keys_of(kind).items() if key.env} <= {
        *VALUES,
        "fallback",
        "resume",
        "normalize",
    }


@pytest.mark.parametrize("setting", [name for name in VALUES if name in FLAGS])
def test_defaults_then_file_then_environment_then_flags(file, setting):
    in_file, variable, in_environment, flag = VALUES[setting]
    where = "[profiles.p]\n" if setting in keys_of(Profile) else ""
    config = file(
        f'profile = "p"\n{"" if where else f"{setting} = {in_file!r}"}\n[profiles.p]\n'
        + (f"{setting} = {in_file!r}\n" if where else "")
    )
    environment = {f"VOICE_{setting.upper()}": variable}

    def value(*layers):
        settings = settled(*layers)
        layer = settings.profile if setting in keys_of(Profile) else settings.defaults
        return getattr(layer, setting), settings.origins.get(setting)

    default = getattr(Defaults(), setting, None)
    if setting != "backend":
        assert value(NO_FILE) == (default, None)
    assert value(config) == (in_file, "profile p" if where else config.path)
    assert value(config, {}, environment) == (in_environment, f"$VOICE_{setting.upper()}")
    assert value(config, {setting: flag}, environment) == (flag, "command line")
    assert value(NO_FILE, {}, environment)[0] == in_environment
    assert value(config, {}, {f"VOICE_{setting.upper()}": ""})[0] == in_file, "an empty variable is ignored"


def test_normalize_is_off_unless_a_layer_turns_it_on(file):
    assert settled(NO_FILE).defaults.normalize is False
    assert settled(file("normalize = true")).defaults.normalize is True
    assert settled(file("normalize = true"), {}, {"VOICE_NORMALIZE": "false"}).defaults.normalize is False
    assert settled(NO_FILE, {"normalize": True}, {"VOICE_NORMALIZE": "0"}).defaults.normalize is True


def test_resume_is_a_truth_value(file):
    assert settled(NO_FILE).defaults.resume is True
    assert settled(file("resume = false")).defaults.resume is False
    assert settled(file("resume = false"), {}, {"VOICE_RESUME": "1"}).defaults.resume is True
    assert settled(NO_FILE, {"resume": False}, {"VOICE_RESUME": "true"}).defaults.resume is False
    with pytest.raises(ConfigError, match="true or false"):
        file("resume = 1")
    with pytest.raises(ConfigError, match="VOICE_RESUME must be true or false"):
        settled(NO_FILE, {}, {"VOICE_RESUME": "perhaps"})


FALLBACKS = """
profile = "first"
timeout = 7
[profiles.first]
backend = "http"
base_url = "http://first"
voice = "1"
fallback = ["second", "third"]
[profiles.second]
backend = "http"
base_url = "http://second"
fallback = ["first"]
[profiles.third]
backend = "espeak"
voice = "en-gb"
"""


def test_fallbacks_have_their_own_values(file):
    environment = {"VOICE_VOICE": "of the environment", "VOICE_BASE_URL": "http://env", "VOICE_BACKEND": "http"}
    settings = settled(file(FALLBACKS), {"voice": "of the flag", "model": "m"}, environment)
    second, third = settings.fallbacks
    assert (settings.profile.voice, settings.profile.base_url) == ("of the flag", "http://env")
    assert (second.profile_name, second.profile.base_url, second.profile.voice) == ("second", "http://second", None)
    assert (third.profile.backend, third.profile.voice, third.profile.model) == ("espeak", "en-gb", None)
    assert {each.defaults.timeout for each in settings.fallbacks} == {7.0}
    assert second.fallbacks == (), "a fallback's own fallbacks are not used"


def test_fallbacks_of_the_environment(file):
    settings = settled(file(FALLBACKS), {}, {"VOICE_FALLBACK": "third, "})
    assert [each.profile_name for each in settings.fallbacks] == ["third"]


@pytest.mark.parametrize(
    ("value", "words"), [('["nobody"]', "no profile 'nobody'"), ('"second"', "a list of strings"), ("[1]", "list")]
)
def test_wrong_fallbacks_are_errors(file, value, words):
    with pytest.raises(ConfigError, match=words):
        settled(file(FALLBACKS.replace('["second", "third"]', value)))


PROFILES = """
profile = "one"
[profiles.one]
voice = "1"
[profiles.two]
voice = "2"
[profiles.three]
voice = "3"
"""


def test_profile_is_chosen_by_file_then_environment_then_flag(file):
    config = file(PROFILES)
    assert settled(config).profile.voice == "1"
    assert settled(config, {}, {"VOICE_PROFILE": "two"}).profile.voice == "2"
    assert settled(config, {"profile": "three"}, {"VOICE_PROFILE": "two"}).profile.voice == "3"


def test_without_a_selected_profile_none_applies(file):
    config = file('[profiles.one]\nvoice = "1"\nbackend = "http"\n')
    settings = settled(config)
    assert settings.profile_name is None
    assert settings.profile == Profile(backend="espeak")


@pytest.mark.parametrize(
    ("environment", "flags", "backend"),
    [
        ({}, {}, "espeak"),
        ({"OPENAI_API_KEY": "sk"}, {}, "http"),
        ({"OPENAI_BASE_URL": "http://x/v1"}, {}, "http"),
        ({"VOICE_BASE_URL": "http://x/v1"}, {}, "http"),
        ({}, {"base_url": "http://x/v1"}, "http"),
        ({"OPENAI_API_KEY": "sk"}, {"backend": "espeak"}, "espeak"),
        ({"OPENAI_API_KEY": "sk", "VOICE_BACKEND": "openai"}, {}, "openai"),
        ({"OPENAI_API_KEY": ""}, {}, "espeak"),
    ],
)
def test_default_backend(environment, flags, backend):
    assert settled(NO_FILE, flags, environment).profile.backend == backend


def test_openais_base_url_is_used_without_a_profile_and_by_the_sdk(file):
    environment = {"OPENAI_BASE_URL": "http://env/v1"}
    assert settled(NO_FILE, {}, environment).profile.base_url == "http://env/v1"
    assert settled(file(PROFILES), {}, environment).profile.base_url is None
    sdk = {"backend": "openai"}
    assert settled(file(PROFILES), sdk, environment).profile.base_url == "http://env/v1"
    azure = {**environment, "AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com"}
    assert settled(file(PROFILES), sdk, azure).profile.base_url is None
    flag = {"base_url": "http://flag/v1"}
    assert settled(NO_FILE, flag, environment).profile.base_url == "http://flag/v1"


# The file.


def test_complete_file(file):
    config = file("""
profile = "k"
device = 3
volume = 2
prebuffer = 150
timeout = 5
[profiles.k]
backend = "http"
base_url = "http://localhost:8880/v1"
model = "kokoro"
voice = "af_bella"
format = "opus"
speed = 2
instructions = "slowly"
api_key_env = "KEY"
[profiles.e]
""")
    assert config.exists
    assert config.profiles["e"] == Profile()
    assert config.defaults == {"device": "3", "volume": 2.0, "prebuffer": "150", "timeout": 5.0}
    assert config.profiles["k"].speed == 2.0


def test_a_missing_file_is_like_an_empty_one(tmp_path):
    path = str(tmp_path / "none.toml")
    assert load(path, {}) == Config(path)
    assert load(None, {"XDG_CONFIG_HOME": str(tmp_path)}).profiles == {}
    assert load(None, {"XDG_CONFIG_HOME": os.devnull}).profiles == {}


@pytest.mark.parametrize("text", ["volume = 2", "volume = 2\r\ntimeout = 5\r\n"])
def test_a_byte_order_mark_is_ignored(file, text):
    assert file(text.encode("utf-8-sig")).defaults["volume"] == 2.0


def test_a_named_file_must_exist(tmp_path):
    path = str(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="no such file") as caught:
        load(None, {"VOICE_CONFIG": path})
    assert path in caught.value.message
    assert "VOICE_CONFIG" in caught.value.hint


def test_unreadable_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(str(tmp_path), {})
    assert str(tmp_path) in caught.value.message


ERRORS = {
    # text: what the message names
    "volum = 1": ("'volum'", "did you mean 'volume'"),
    "zzz = 1": ("'zzz'",),
    'voice = "x"': ("voice belongs in a profile",),
    "[profiles.p]\nvoise = 'x'": ("profiles.p.voise", "did you mean 'voice'"),
    "[profiles.p]\nvolume = 1": ("profiles.p.volume",),
    "profile = 'kokro'\n[profiles.kokoro]": ("'kokro'", "did you mean 'kokoro'"),
    "profile = 1": ("profile", "string"),
    "profiles = 1": ("profiles",),
    "[profiles]\np = 1": ("profiles.p",),
    "volume = 'loud'": ("volume", "a number", "'loud'"),
    "volume = 5": ("volume", "from 0 to 4", "5"),
    "volume = true": ("volume", "a number"),
    "volume = nan": ("volume", "from 0 to 4"),
    "volume = -0.1": ("volume", "from 0 to 4"),
    "timeout = 0": ("timeout", "from 0.1 to 3600"),
    "timeout = inf": ("timeout", "from 0.1 to 3600"),
    "device = 1.5": ("device", "a string"),
    "device = true": ("device", "a string"),
    "prebuffer = 'soon'": ("prebuffer", "'auto'", "'soon'"),
    "prebuffer = -1": ("prebuffer", "from 0 to 10000"),
    "prebuffer = 10001": ("prebuffer", "from 0 to 10000"),
    "prebuffer = 'nan'": ("prebuffer",),
    "prebuffer = true": ("prebuffer",),
    "[profiles.p]\nspeed = 5": ("profiles.p.speed", "from 0.25 to 4", "5"),
    "[profiles.p]\nspeed = 'fast'": ("profiles.p.speed", "a number"),
    "[profiles.p]\nformat = 'mp4'": ("profiles.p.format", *CODECS, "did you mean 'mp3'"),
    "[profiles.p]\nformat = 3": ("profiles.p.format", "a string"),
    "[profiles.p]\nvoice = 3": ("profiles.p.voice", "a string", "3"),
    "[profiles.p]\nbase_url = []": ("profiles.p.base_url", "a string"),
    "[profiles.p]\napi_key_env = 'A'\napi_key_command = 'b'": ("profiles.p", "api_key_env", "api_key_command"),
    "[profiles.p]\nbackend = 'http'\nbackend = 'http'\nvoice = 'x'": ("line 3",),
    "volume = \n": ("line 1",),
    b"volume = '\xff'": ("is not UTF-8",),
    "volume = 1".encode("utf-16"): ("is not UTF-8",),
    "volume = " + "[" * 100_000: ("is nested too deeply",),
}


@pytest.mark.parametrize("text", ERRORS)
def test_an_error_names_the_file_the_key_and_the_closest_match(file, tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        file(text)
    for words in (str(tmp_path / "config.toml"), *ERRORS[text]):
        assert words in caught.value.message


@given(
    st.dictionaries(
        st.sampled_from([*FLAGS, "profile", "profiles", "nonsense"]),
        st.one_of(st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()), st.dates()),
    ),
    st.booleans(),
)
def test_every_file_is_read_or_a_config_error(tmp_path_factory, values, in_profile):
    def toml(value):
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return '"' + "".join(f"\\U{ord(c):08X}" if not 0xD800 <= ord(c) < 0xE000 else "?" for c in value) + '"'
        if isinstance(value, float) and math.isnan(value):
            return "nan"
        return str(value)

    path = tmp_path_factory.getbasetemp() / "any.toml"
    head = "[profiles.p]\n" if in_profile else ""
    path.write_text(head + "".join(f"{key} = {toml(value)}\n" for key, value in values.items()))
    with contextlib.suppress(ConfigError):
        settled(load(str(path), {}), {"profile": "p"} if in_profile else {})


@pytest.mark.parametrize("flags", [{"profile": "kokro"}, {"profile": "zzz"}])
def test_unknown_profile_error_lists_names_and_the_closest_match(file, flags):
    with pytest.raises(ConfigError) as caught:
        settled(file("[profiles.kokoro]\n[profiles.home]"), flags)
    assert flags["profile"] in caught.value.message
    assert ("did you mean 'kokoro'" in caught.value.message) == (flags["profile"] == "kokro")
    assert "kokoro, home" in caught.value.hint


def test_unknown_profile_without_any_in_the_file():
    with pytest.raises(ConfigError) as caught:
        settled(NO_FILE, {"profile": "x"})
    assert NO_FILE.path in caught.value.message
    assert "none" in caught.value.hint


@pytest.mark.parametrize("origin", ["flag", "environment", "profile"])
def test_unknown_backend_error_names_its_origin_and_the_closest_match(file, origin):
    config = file("profile = 'p'\n[profiles.p]" + ("\nbackend = 'htpp'" if origin == "profile" else ""))
    flags = {"backend": "htpp"} if origin == "flag" else {}
    environment = {"VOICE_BACKEND": "htpp"} if origin == "environment" else {}
    with pytest.raises(ConfigError) as caught:
        settled(config, flags, environment)
    where = {"flag": "command line", "environment": "$VOICE_BACKEND", "profile": "profile p"}[origin]
    assert where in caught.value.message
    assert "did you mean 'http'" in caught.value.message
    assert all(name in caught.value.hint for name in BACKENDS)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("VOICE_SPEED", "fast", "a number"),
        ("VOICE_SPEED", "9", "from 0.25 to 4"),
        ("VOICE_VOLUME", "nan", "from 0 to 4"),
        ("VOICE_FORMAT", "mp4", "mp3"),
        ("VOICE_PREBUFFER", "soon", "auto"),
        ("VOICE_TIMEOUT", "4000.0", "3600"),
    ],
)
def test_a_wrong_value_in_the_environment_names_the_variable(variable, value, words):
    with pytest.raises(ConfigError) as caught:
        settled(NO_FILE, {}, {variable: value})
    assert f"${variable}" in caught.value.message
    assert words in caught.value.message
    assert value in caught.value.message


# The file's path.


def test_path_from_voice_config(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    assert config_path({"VOICE_CONFIG": "/etc/v.toml", "XDG_CONFIG_HOME": "/x"}) == "/etc/v.toml"
    assert config_path({"VOICE_CONFIG": "~/v.toml"}) == os.path.join("/home/me", "v.toml")


@pytest.mark.parametrize(
    ("platform", "environment", "parts"),
    [
        ("linux", {}, ("/home/me", ".config")),
        ("linux", {"XDG_CONFIG_HOME": "/x"}, ("/x",)),
        ("linux", {"XDG_CONFIG_HOME": ""}, ("/home/me", ".config")),
        ("freebsd14", {}, ("/home/me", ".config")),
        ("darwin", {}, ("/home/me", "Library", "Application Support")),
        ("darwin", {"XDG_CONFIG_HOME": "/x"}, ("/x",)),
        ("win32", {"APPDATA": "/roaming"}, ("/roaming",)),
        ("win32", {}, ("/home/me", "AppData", "Roaming")),
    ],
)
def test_path_on_each_system(monkeypatch, platform, environment, parts):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    monkeypatch.setattr(sys, "platform", platform)
    assert config_path(environment) == os.path.join(*parts, "voice", "config.toml")


# Keys.

SECRET = "sk-topsecret"


def shown(error):
    """Return all text of an error that may be displayed."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error) + str(getattr(error, "hint", ""))


@pytest.mark.parametrize("name", ["api_key", "key", "token"])
@pytest.mark.parametrize("where", ["", "[profiles.p]\n"])
def test_key_in_the_file_is_refused_and_not_shown(file, name, where):
    with pytest.raises(ConfigError) as caught:
        file(f"{where}{name} = {SECRET!r}")
    assert "is an API key in the config file" in caught.value.message
    assert "api_key_env" in caught.value.hint
    assert SECRET not in shown(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"api_key_env = {SECRET!r}",
        f"api_key_env = [{SECRET!r}]",
        f"api_key_command = ['echo', {SECRET!r}]",
        f"apikey = {SECRET!r}",
        f"api_key_commnd = 'echo {SECRET}'",
    ],
)
def test_misplaced_key_is_not_shown(file, text):
    with pytest.raises(ConfigError) as caught:
        file(f"[profiles.p]\n{text}")
    assert SECRET not in shown(caught.value)
    assert "profiles.p." in caught.value.message


def keyed(file, line, base_url="base_url = 'http://own/v1'"):
    return settled(file(f"profile = 'p'\n[profiles.p]\n{base_url}\n{line}\n"))


def test_profile_names_the_key_variable(file):
    settings = keyed(file, "api_key_env = 'MY_KEY'")
    assert api_key(settings, {"MY_KEY": SECRET, "OPENAI_API_KEY": "another"}) == SECRET
    with pytest.raises(ConfigError, match=r"\$MY_KEY.*profile p"):
        api_key(settings, {"OPENAI_API_KEY": "another"})
    with pytest.raises(ConfigError):
        api_key(settings, {"MY_KEY": ""})


def test_profiles_server_does_not_get_the_environments_key(file):
    environment = {"OPENAI_API_KEY": SECRET}
    assert api_key(keyed(file, ""), environment) is None
    assert api_key(keyed(file, "", base_url=""), environment) == SECRET
    assert api_key(settled(NO_FILE), environment) == SECRET
    assert api_key(settled(NO_FILE), {"OPENAI_API_KEY": ""}) is None
    assert api_key(settled(NO_FILE), {}) is None


OPENAI = {"OPENAI_API_KEY": SECRET}
OWN = {**OPENAI, "OPENAI_BASE_URL": "https://own.example/v1"}
OWN_PLAIN = {**OPENAI, "OPENAI_BASE_URL": "http://own.example:8880/v1"}


@pytest.mark.parametrize(
    ("url", "environment"),
    [
        (None, OPENAI),
        (None, OWN),
        (None, OWN_PLAIN),
        ("https://api.openai.com/v1", OPENAI),
        ("https://own.example/v2", OWN),
        ("http://own.example:8881/v1", OWN_PLAIN),
        ("https://own.example/v1", OWN_PLAIN),
        ("http://127.0.0.1:8880/v1", OPENAI),
        ("http://127.1.2.3", OPENAI),
        ("http://LOCALHOST:1/v1", OPENAI),
        ("ws://[::1]:8880", OPENAI),
        ("https://other.example/v1", OPENAI),
        ("wss://other.example", OWN),
    ],
)
def test_the_environments_key_is_sent(url, environment):
    settings = settled(NO_FILE, {"base_url": url}, environment)
    assert api_key(settings, environment) == SECRET
    assert "not sent" not in (key_note(settings, environment) or "")


@pytest.mark.parametrize(
    ("url", "environment"),
    [
        ("http://other.example/v1", OPENAI),
        ("http://other.example/v1", OWN),
        ("ws://other.example", OPENAI),
        ("http://own.example/v1", OWN),
        ("http://api.openai.com/v1", OPENAI),
        ("http://api.openai.com.example/v1", OPENAI),
        ("http://127.0.0.1.example/v1", OPENAI),
        ("http://127.0.0.1@other.example/v1", OPENAI),
        ("http://other.example\\@127.0.0.1/v1", OPENAI),
        ("http://[bad", OPENAI),
        ("no address", OPENAI),
    ],
)
def test_the_environments_key_is_withheld_with_a_note(url, environment):
    settings = settled(NO_FILE, {"base_url": url}, environment)
    assert api_key(settings, environment) is None
    note = key_note(settings, environment)
    assert note.startswith("OPENAI_API_KEY is not sent to ")
    assert SECRET not in note
    assert key_note(settings, {}) is None, "no key to send"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_address_from_a_variable_does_not_get_the_key(scheme):
    environment = {**OPENAI, "VOICE_BASE_URL": f"{scheme}://other.example/v1"}
    settings = settled(NO_FILE, {}, environment)
    assert api_key(settings, environment) is None
    assert "api_key_env" in key_note(settings, environment)


NAMED = {**OPENAI, "K": "another"}


@pytest.fixture
def replaced(file):
    """Return settings of a profile with a key, whose address a flag replaces. None: no address, or no flag."""

    def settle_profile(own, url, backend="http"):
        address = "" if own is None else f"base_url = {own!r}"
        config = file(f"profile = 'p'\n[profiles.p]\nbackend = {backend!r}\n{address}\napi_key_env = 'K'\n")
        return settled(config, {"base_url": url})

    return settle_profile


@pytest.mark.parametrize(
    ("own", "url"),
    [
        ("https://own.example/v1", None),
        ("https://own.example/v1", "https://OWN.example:444/v2"),
        ("https://own.example/v1", "wss://own.example"),
        ("http://own.example:8880/v1", "https://own.example/v1"),
        ("http://127.0.0.1:8880/v1", "http://127.0.0.1:8881/v1"),
        (None, None),
        (None, "https://other.example/v1"),
        (None, "http://localhost:8880/v1"),
        (None, "ws://127.0.0.1:8880"),
    ],
)
def test_the_profiles_key_is_sent(replaced, own, url):
    settings = replaced(own, url)
    assert (api_key(settings, NAMED), key_note(settings, NAMED)) == ("another", None)


@pytest.mark.parametrize(
    ("own", "url"),
    [
        ("https://own.example/v1", "https://other.example/v1"),
        ("https://own.example/v1", "http://own.example/v1"),
        ("https://own.example/v1", "https://own.example.org/v1"),
        ("https://own.example/v1", "https://own.example@other.example/v1"),
        ("https://own.example/v1", "https://other.example\\@own.example/v1"),
        ("https://own.example/v1", "http://127.0.0.1:8880/v1"),
        ("http://localhost:8880/v1", "http://127.0.0.1:8880/v1"),
        ("https://own.example/v1", "no address"),
        ("no address", "another"),
        (None, "http://other.example/v1"),
        (None, "https:///v1"),
    ],
)
def test_the_profiles_key_is_withheld_from_another_address_with_a_note(replaced, own, url):
    settings = replaced(own, url)
    assert api_key(settings, NAMED) is None
    note = key_note(settings, NAMED)
    assert note.startswith("the key of profile p is not sent to ")
    assert "add a profile with base_url and api_key_env" in note
    assert "\n" not in note
    with pytest.raises(ConfigError, match="the key of profile p is not sent to") as caught:
        api_key(replaced(own, url, backend="openai"), NAMED)  # the SDK would use its own variables
    assert "api_key_env" in caught.value.hint


def test_the_hint_for_a_withheld_key_works(file):
    """A profile that has the address and the key's variable, as the note says."""
    settings = settled(
        file("profile = 'q'\n[profiles.q]\nbase_url = 'https://other.example/v1'\napi_key_env = 'K'\n"),
        environment={"VOICE_BASE_URL": "https://other.example/v1"},
    )
    assert (api_key(settings, NAMED), key_note(settings, NAMED)) == ("another", None)


def test_a_key_command_does_not_run_for_another_address(file, tmp_path):
    ran = tmp_path / "ran"
    config = file(
        f"profile = 'p'\n[profiles.p]\nbase_url = 'https://own.example'\napi_key_command = 'touch {ran.as_posix()}'\n"
    )
    assert api_key(settled(config, {"base_url": "https://other.example"})) is None
    assert not ran.exists()


def test_the_sdks_variable_does_not_get_the_profiles_key_without_tls(file):
    config = file("profile = 'p'\n[profiles.p]\nbackend = 'openai'\napi_key_env = 'K'\n")
    environment = {**NAMED, "OPENAI_BASE_URL": "http://other.example/v1"}
    with pytest.raises(ConfigError, match="is not sent to other"):
        api_key(settled(config, environment=environment), environment)


@pytest.mark.parametrize("url", ["http://own.example:8880/v1", "ws://own.example:8880", "HTTP://own.example:8880"])
def test_a_key_that_is_sent_without_tls_is_a_note(file, url):
    config = file(f"profile = 'p'\n[profiles.p]\nbase_url = {url!r}\napi_key_env = 'K'\n")
    note = key_note(settled(config), NAMED)
    assert note == "the key of profile p goes unencrypted to own.example:8880 (use https or wss)"
    assert api_key(settled(config), NAMED) == "another"
    environment = {**OPENAI, "OPENAI_BASE_URL": url}
    note = key_note(settled(NO_FILE, environment=environment), environment)
    assert note == "OPENAI_API_KEY goes unencrypted to own.example:8880 (use https or wss)"


@pytest.mark.parametrize("url", ["https://own.example", "wss://own.example", "http://localhost:1", "http://127.0.0.2"])
def test_a_key_that_is_encrypted_or_stays_on_this_machine_is_no_note(file, url):
    config = file(f"profile = 'p'\n[profiles.p]\nbase_url = {url!r}\napi_key_env = 'K'\n")
    assert key_note(settled(config), NAMED) is None


def test_no_key_is_no_note(file):
    config = file("profile = 'p'\n[profiles.p]\nbase_url = 'http://own.example'\n")
    assert key_note(settled(config), OPENAI) is None


COMMAND_LINE = "printf '%s' sk-top; echo secret; echo more"
"""Prints SECRET, and does not contain it in one piece."""


def test_key_is_the_output_of_a_command(file):
    assert api_key(keyed(file, f'api_key_command = "{COMMAND_LINE}"'), {"OPENAI_API_KEY": "another"}) == SECRET
    assert api_key(keyed(file, "api_key_command = 'echo \" k \"'")) == "k", "surrounding spaces are removed"


def test_a_key_command_inherits_no_other_key(file):
    variables = ["OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "K1", "K2", "SERVER_KEYS", "OP_SESSION", "HOME"]
    line = " ".join(f"{name}=${{{name}-}}" for name in variables)
    config = file(
        f"profile = 'p'\n[profiles.p]\napi_key_command = 'echo {line}'\n[profiles.q]\napi_key_env = 'K1'\n"
        "[profiles.r]\napi_key_env = 'K2'\n[server]\napi_key_env = 'SERVER_KEYS'\n"
    )
    key = api_key(settled(config), {**os.environ, **dict.fromkeys(variables, "x")})
    assert key == "OPENAI_API_KEY= AZURE_OPENAI_API_KEY= K1= K2= SERVER_KEYS= OP_SESSION=x HOME=x"


def test_a_key_command_runs_with_an_invalid_server_table(file):
    config = file("profile = 'p'\n[profiles.p]\napi_key_command = 'echo k'\n[server]\napi_key_env = ['K']\n")
    assert api_key(settled(config)) == "k"


@pytest.mark.parametrize(
    "command",
    [
        f"echo {SECRET}; echo {SECRET} >&2; exit 3",
        f"true {SECRET}",
        f": {SECRET}; echo",
        f"echo '' ; echo {SECRET}",
        f"no-such-command-here {SECRET}",
        f"printf '\\\\377{SECRET}'",
        f": {SECRET}; kill $$",
    ],
)
def test_key_command_error_does_not_show_the_key(file, capfd, command):
    settings = keyed(file, f'api_key_command = "{command}"')
    with pytest.raises(ConfigError, match="api_key_command") as caught:
        api_key(settings)
    assert SECRET not in shown(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_key_command_has_a_timeout(file, monkeypatch):
    import subprocess

    def hangs(command, **options):
        assert options["stdin"] == subprocess.DEVNULL, "the command cannot prompt"
        raise subprocess.TimeoutExpired(command, options["timeout"], output=SECRET)

    monkeypatch.setattr(subprocess, "run", hangs)
    with pytest.raises(ConfigError, match="did not finish") as caught:
        api_key(keyed(file, f"api_key_command = 'echo {SECRET}'"))
    assert SECRET not in shown(caught.value)


def test_repr_of_settings_hides_the_key_command(file):
    config = file(f"profile = 'p'\n[profiles.p]\nvoice = 'v'\napi_key_command = 'echo {SECRET}'")
    for value in (config, config.profiles["p"], settled(config), settled(config).profile):
        assert SECRET not in repr(value) + str(value)
        assert "v" in repr(value)
