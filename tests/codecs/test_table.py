"""The table of codecs, with entries from entry points."""

import importlib.metadata
import subprocess
import sys
import types

import pytest

from support import material
from voice_cli.audio import Encoding, PcmChunk
from voice_cli.codecs import open_decoder, open_encoder, preload, table
from voice_cli.codecs.base import Decoder, Encoder
from voice_cli.codecs.media_types import content_type_of, encoding_of
from voice_cli.codecs.sniff import HEAD_BYTES, sniff
from voice_cli.errors import DecodeError, EngineError, UsageError
from voice_cli.recording.recorder import FileRecorder


class PlainDecoder(Decoder):
    def decode(self, data):
        return [PcmChunk(material.MONO24, data)]

    def flush(self):
        return []


class PlainEncoder(Encoder):
    def __init__(self, source, rate):
        super().__init__(source, Encoding("plain", source), source)
        self._head = b"PLAIN"

    def _encoded(self, pcm):
        return pcm


PLAIN = table.Codec(
    "plain",
    "a_package.plain",
    decoder="PlainDecoder",
    encoder="PlainEncoder",
    media_types=("audio/plain",),
    suffixes=(".pln",),
    first_bytes=(b"PLAIN",),
)


@pytest.fixture
def install(monkeypatch):
    """Return a function that installs a codec's entry point and returns the list of groups looked up."""

    def do(load):
        point = types.SimpleNamespace(name="plain", value="a_package.plain:CODEC", load=load)
        asked = []

        def entry_points(*, group):
            asked.append(group)
            return [point]

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
        return asked

    table.added.cache_clear()
    yield do
    table.added.cache_clear()


@pytest.fixture
def plain(install, monkeypatch):
    """Install a package with a codec."""
    module = types.ModuleType("a_package.plain")
    module.PlainDecoder, module.PlainEncoder = PlainDecoder, PlainEncoder
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return install(lambda: PLAIN)


def test_plugin_codec_is_used_everywhere(plain, tmp_path):
    assert encoding_of("audio/plain") == Encoding("plain")
    assert content_type_of(Encoding("plain")) == "audio/plain"
    for announced, expected in ((Encoding("plain"), Encoding("pcm")), (None, Encoding(None))):
        name, decoder = open_decoder(announced, expected, b"PLAIN\x80\x81", final=True)
        assert name == "plain"
        assert isinstance(decoder, PlainDecoder)
    assert open_encoder("plain", material.MONO24).encode(b"\1\2") == b"PLAIN\1\2"
    preload("plain")
    recorder = FileRecorder(str(tmp_path / "a.pln"))
    recorder.check()
    recorder.begin("mp3")
    recorder.write_pcm(PcmChunk(material.MONO24, b"\3\4"))
    recorder.close(complete=True)
    assert (tmp_path / "a.pln").read_bytes() == b"PLAIN\3\4"
    assert plain == ["voice_cli.codecs"]  # looked up once


def test_first_bytes_of_a_plugin_may_be_longer_than_the_head(install):
    first = bytes(range(0x80, 0x80 + 2 * HEAD_BYTES))
    install(lambda: PLAIN._replace(first_bytes=(first,)))
    unknown = Encoding(None)
    for size in range(len(first)):
        assert sniff(None, unknown, first[:size], final=False) is None
        with pytest.raises(DecodeError, match="not recognised"):
            sniff(None, unknown, first[:size], final=True)
    assert sniff(None, unknown, first, final=False) == "plain"


def test_plugin_load_errors_are_raised_by_its_streams(plain, tmp_path):
    module = sys.modules["a_package.plain"]
    module.load = fail
    preload("plain")
    del module.PlainEncoder
    FileRecorder(str(tmp_path / "a.pln")).preload("pcm")
    with pytest.raises(EngineError, match="the codec plain"):
        open_encoder("plain", material.MONO24)


def test_entry_points_are_not_read_for_built_in_codecs(plain):
    for codec in table.BUILT_IN.values():
        assert encoding_of(codec.media_types[0]).codec == codec.name
        assert table.by_name(codec.name) is codec
        assert all(table.by_suffix(suffix) is codec for suffix in codec.suffixes)
    assert encoding_of("text/html").codec is None
    assert plain == []


def fail():
    raise RuntimeError("its license\nhas expired")


@pytest.mark.parametrize(
    ("load", "reason"), [(fail, "RuntimeError: its license has expired"), (lambda: 7, "it is not a Codec")]
)
def test_broken_plugin_is_named(load, reason, install):
    install(load)
    message = r"^the codec plain \(a_package.plain:CODEC\) does not load: .*" + reason
    for use in (
        lambda: encoding_of("audio/plain"),
        lambda: open_decoder(Encoding("plain"), Encoding(None), b"PLAIN\x80", final=True),
        lambda: open_encoder("plain", material.MONO24),
        lambda: FileRecorder("a.pln"),
    ):
        with pytest.raises(EngineError, match=message):
            use()
    preload("plain")
    assert encoding_of("audio/mpeg") == Encoding("mp3")


def test_codec_whose_module_fails_to_load_is_named(install):
    install(lambda: PLAIN)
    message = r"the codec plain \(a_package.plain\) does not load: ModuleNotFoundError"
    with pytest.raises(EngineError, match=message):
        open_encoder("plain", material.MONO24)
    with pytest.raises(EngineError, match=message):
        open_decoder(Encoding("plain"), Encoding(None), b"PLAIN\x80", final=True)
    preload("plain")


def test_unknown_codec_is_an_error():
    with pytest.raises(DecodeError, match="the server sent speex, which voice does not decode"):
        open_decoder(Encoding("speex"), Encoding(None), bytes([1, 2, 3, 200]), final=True)
    with pytest.raises(UsageError, match="there is no codec 'speex'"):
        open_encoder("speex", material.MONO24)
    with pytest.raises(ValueError, match="no such codec"):
        preload("speex")


def test_raw_mu_law_is_decoded():
    name, decoder = open_decoder(encoding_of("audio/basic"), Encoding("mulaw"), b"\xff\x80", final=True)
    assert name == "mulaw"
    assert decoder.decode(b"\xff\x80") == [PcmChunk(decoder.decode(b"\xff")[0].format, b"\0\0\x7c\x7d")]
    assert decoder.flush() == []


def test_libmpg123_decodes_mp3_without_loading_pyav():
    code = (
        "import sys, voice_cli.codecs as c; from voice_cli.codecs import mpg123; c.preload('mp3')\n"
        "print('av' in sys.modules, mpg123.library() is None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout in ("False False\n", "True True\n")
