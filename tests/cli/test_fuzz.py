"""Any bytes as a file, a pipe, a config, an environment or an answer end in speech or one of the exit codes."""

import random

import pytest

from support.server import Answer
from voice_cli.codecs.sniff import UNDECODED

RUNS = 12
"""Of each kind; a run is a process."""
CODES = {0, *range(2, 12), 130}
WORDS = (
    b"Hello there.",
    b"\xff\xfe",
    b"\0",
    b"\x1b]0;t\x07",
    b"\xef\xbb\xbf",
    b"RIFF",
    b"[profiles.x]\n",
    b"# \n",
    b"\xc3(",
)
TOML = (
    b"volume = ",
    b"[profiles.p]\n",
    b"profile = 'p'\n",
    b"1",
    b"'x'",
    b"{}",
    b"[[",
    b"= =",
    b"\n",
    b"\xff",
    b"pronounce = ",
)
VALUES = (
    "",
    "-1",
    "nan",
    "1e999",
    "\udcff",
    "x" * 5000,
    "auto",
    "http://",
    "http://[",
    "ws://x",
    "espeak",
    "../..",
    "\x1b[31m",
)
VARIABLES = (
    *("VOICE_BACKEND", "VOICE_BASE_URL", "VOICE_SPEED", "VOICE_PREBUFFER", "VOICE_FORMAT", "VOICE_DEVICE", "HOME"),
    *("VOICE_MARKDOWN", "VOICE_TIMEOUT", "VOICE_CONFIG", "http_proxy", "OPENAI_BASE_URL"),
)
TYPES = ("audio/pcm", "audio/mpeg", "audio/wav", "text/html", "application/json", "", "audio/pcm;rate=0", "\xff\xfe")


def rubbish(rng, words):
    return b"".join(rng.choice((*words, rng.randbytes(rng.randrange(40)))) for _ in range(rng.randrange(1, 12)))


@pytest.fixture
def ends_clearly(voice, tmp_path):
    def run(*arguments, **options):
        done = voice("say", "--no-play", "-o", "a.wav", *arguments, **options)
        assert done.code in CODES, done.err
        assert "Traceback" not in done.err
        assert "internal error" not in done.err
        assert all(character.isprintable() or character == "\n" for character in done.err)
        if done.code == 0:
            assert (tmp_path / "a.wav").stat().st_size > 44
        (tmp_path / "a.wav").unlink(missing_ok=True)
        return done

    return run


@pytest.mark.parametrize("seed", range(RUNS))
def test_any_text(ends_clearly, tmp_path, seed):
    rng = random.Random(seed)
    data = rubbish(rng, WORDS)
    (tmp_path / "a.txt").write_bytes(data)
    ends_clearly("-f", "a.txt")
    ends_clearly(text=data)


@pytest.mark.parametrize("seed", range(RUNS))
def test_any_config(ends_clearly, tmp_path, seed):
    (tmp_path / "config.toml").write_bytes(rubbish(random.Random(seed), TOML))
    ends_clearly("Hello", environment={"VOICE_CONFIG": str(tmp_path / "config.toml")})


@pytest.mark.parametrize("seed", range(2 * RUNS))
def test_any_environment(ends_clearly, seed):
    rng = random.Random(seed)
    ends_clearly("Hello", environment={name: rng.choice(VALUES) for name in rng.sample(VARIABLES, 3)})


@pytest.mark.parametrize("seed", range(2 * RUNS))
def test_any_answer(ends_clearly, serve, seed):
    rng = random.Random(seed)
    _, at, magic = rng.choice(UNDECODED)
    body = rng.choice((rubbish(rng, WORDS), rng.randbytes(9000), bytes(at) + magic + rng.randbytes(500), b""))
    headers = {"Content-Encoding": rng.choice(("gzip", "br", "none", "\x01"))} if rng.random() < 0.3 else {}
    if rng.random() < 0.3:
        headers["Location"] = rng.choice(("http://x/\x1b[0m", "//", "mailto:x", "http://[::1", "/v1/audio/speech"))
    status = rng.choice((200, 200, 200, 206, 302, 307, 400, 401, 404, 429, 500, 599))
    options = {"chunk": rng.choice((1, 100, 4096)), "chunked": rng.random() < 0.7}
    server = serve(Answer(body, rng.choice(TYPES), status, headers, **options))
    ends_clearly("Hello", "--base-url", server.url, "--timeout", "5", "--format", rng.choice(("pcm", "mp3", "wav")))
