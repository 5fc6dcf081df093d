"""Parsing of server addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.backends.remote.address import Address, parse_address, without_credentials
from voice_cli.errors import ConfigError

HTTP = ("http", "https")


@pytest.mark.parametrize(
    ("url", "speech"),
    [
        ("http://h", "http://h/audio/speech"),
        ("http://h/", "http://h/audio/speech"),
        ("http://h/v1", "http://h/v1/audio/speech"),
        ("http://h/v1/", "http://h/v1/audio/speech"),
        ("http://h/v1/audio/speech", "http://h/v1/audio/speech"),
        ("http://h/v1/audio/speech/", "http://h/v1/audio/speech"),
        ("  http://h/v1\n", "http://h/v1/audio/speech"),
        ("HTTP://Host:8880/V1", "http://Host:8880/V1/audio/speech"),
        ("http://h/v1?api-version=1", "http://h/v1/audio/speech?api-version=1"),
        ("http://h?a=b&c", "http://h/audio/speech?a=b&c"),
        ("http://h/v1/?", "http://h/v1/audio/speech"),
        ("http://user:pass@h/v1", "http://user:pass@h/v1/audio/speech"),
        ("http://us%40er:p%2Fss@h:1/v1", "http://us%40er:p%2Fss@h:1/v1/audio/speech"),
        ("https://[::1]:8880/v1", "https://[::1]:8880/v1/audio/speech"),
        ("http://tts.münchen.example/v1", "http://tts.xn--mnchen-3ya.example/v1/audio/speech"),
        ("http://TTS.MÜNCHEN.example:80/v1", "http://tts.xn--mnchen-3ya.example:80/v1/audio/speech"),
        ("http://h/größe/a b/%20", "http://h/gr%C3%B6%C3%9Fe/a%20b/%20/audio/speech"),
        ("http://h/v1;x=1/$y", "http://h/v1;x=1/$y/audio/speech"),
        ("http://h//v1", "http://h//v1/audio/speech"),
    ],
)
def test_path_is_added_before_the_query(url, speech):
    assert parse_address(url, HTTP).without("/audio/speech").url("/audio/speech") == speech


def test_added_path_may_have_a_query():
    assert parse_address("ws://h/a?x=1", ("ws",)).url("/stream?text=b") == "ws://h/a/stream?text=b&x=1"
    assert parse_address("ws://h", ("ws",)).url("/stream?text=b", scheme="http") == "http://h/stream?text=b"


@pytest.mark.parametrize(
    "url",
    [
        *("", "h", "h:80", "//h", "ftp://h", "http:/h", "http://", "http:///v1", "http://:80", "http://h:x"),
        *("http://h:0", "http://h:99999", "http://[::1", "http://h#a", "http://h/a#b", "http://h/\x1b", "http://a b/"),
        *("http://h\\@x", "http://a\u2100.example", f"http://{'ü' * 70}.example", "http://\ud800/", "http://user@"),
    ],
)
def test_invalid_address_is_refused(url):
    with pytest.raises(ConfigError, match="is not the address of a server"):
        parse_address(url, HTTP)


@pytest.mark.parametrize("url", ["http://user:secret@h:x", "ftp://user:secret@h", "http://user:secret@h/#f"])
def test_errors_contain_no_credentials(url):
    with pytest.raises(ConfigError) as caught:
        parse_address(url, HTTP)
    assert "secret" not in caught.value.message
    assert "secret" not in without_credentials(url)


@given(url=st.text(max_size=30).map("http://{}".format) | st.text(max_size=30))
def test_any_text_is_an_ascii_address_or_an_error(url):
    try:
        found = parse_address(url, HTTP)
    except ConfigError:
        return
    assert isinstance(found, Address)
    assert found.url("/audio/speech").isascii()
