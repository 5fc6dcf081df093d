"""docs/faults.md: what becomes of each fault, found by running `voice say` against it."""

import json
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from faults.listed import parse
from faults.server import WS_FAULTS, FaultyServer, with_ws_faults
from faults.voice import SECONDS, noise
from support.command import TIMEOUT, VOICE, environment_in
from support.threads import wait_until
from support.tls import certificate
from support.ws import WsServer
from support.ws_chatterbox import FlushingServer
from support.ws_omni import OmniServer
from support.ws_vibevoice import PAGES, DemoServer

PAGE = Path(__file__).parent.parent.parent / "docs" / "faults.md"
TEXT = "Hello there, my dear Ann"
VARIANTS: tuple[tuple[str, ...], ...] = ((), ("--no-resume",))
"""The options with which each fault is run; one that changes nothing gets no line."""


class Row(NamedTuple):
    """A fault, and how it is run. `spec`: as `listed.parse`; `server`: a key of `SERVERS`."""

    text: str
    spec: str
    format: str = "pcm"
    server: str = "http"
    options: tuple[str, ...] = ()


def rows(server: str, *rows: tuple[str, str]) -> tuple[Row, ...]:
    """Return rows of one server."""
    return tuple(Row(text, spec, server=server) for text, spec in rows)


WITH_DONE = (
    ("reset in the sound", "cut=5"),
    ("closed in the sound with code 1011", "close=5"),
    ("closed in the sound with code 1000", "close=5:1000"),
    ("nothing more", "stall=5"),
    ("the message that says that it is complete is missing", "no-done"),
    ("a message that is not JSON", "garbage=5"),
    ("reset before the sound", "cut=0"),
    ("the first connection is reset in the sound", "first=1,cut=5"),
)
"""The faults of the WebSocket protocols with a message at the end of the speech."""

SECTIONS: Mapping[str, tuple[Row, ...]] = {
    "Slow answers": (
        Row("the answer comes after 0.4 s", "latency=0.4"),
        Row("the request is accepted and never answered", "silent"),
        Row("each piece waits up to 20 ms more", "jitter=0.02"),
        Row("1.5 times real time", "rate=1.5"),
        Row("in real time, in bursts of 0.5 s", "burst=0.5"),
        Row("a pause of 0.5 s in the body", "pause=24000:0.5"),
        Row("nothing more after 0.5 s of sound", "stall=24000"),
        Row("the head comes a byte at a time", "slow-head=0.005"),
        Row("the body comes a byte at a time", "slow-body=0.00005", "mp3"),
        Row("the body comes 3 bytes at a time", "chunk=3"),
        Row("the body never ends", "endless"),
    ),
    "Cuts": (
        Row("closed instead of an answer", "cut-head=0"),
        Row("reset instead of an answer", "cut-head=0,reset"),
        Row("closed in the first line of the head", "cut-head=9"),
        Row("closed in a field of the head", "cut-head=30"),
        Row("closed after the head", "cut=0"),
        Row("closed after the first byte", "cut=1"),
        Row("closed after 0.5 s of sound", "cut=24000"),
        Row("closed inside a sample", "cut=24001"),
        Row("reset after 0.5 s of sound", "cut=24000,reset"),
        Row("closed before the last byte", "cut=95999"),
        Row("closed in the middle of an MP3", "cut=50%", "mp3"),
        Row("closed in the middle of an Opus stream", "cut=50%", "opus"),
        Row("closed in the middle of a FLAC", "cut=50%", "flac"),
        Row("closed in the middle of a WAV", "cut=50%", "wav"),
        Row("HTTP/1.0 without a length, closed in the middle of PCM", "http10,cut=50%"),
        Row("the same, in a WAV that does not state its size", "http10,cut=50%", "wav"),
        Row("the same, in a WAV that states its size", "http10,wav-size,cut=50%", "wav"),
        Row("the same, inside a frame of an MP3", "http10,cut=51%", "mp3"),
        Row("the same, in an Opus stream", "http10,cut=50%", "opus"),
        Row("the same, in a FLAC", "http10,cut=50%", "flac"),
        Row("the first request is closed after 0.5 s; the next has another take", "first=1,cut=24000,take"),
    ),
    "TLS": (
        Row("the certificate is not trusted", "", server="https"),
        Row("the certificate has another name", "", server="https, another name"),
        Row("closed in the handshake", "", server="https, cut"),
        Row("HTTP where HTTPS is expected", "", server="https to http"),
        Row("HTTPS where HTTP is expected", "", server="http to https"),
    ),
    "Types and lengths": (
        Row("PCM, announced as MP3", "type=audio/mpeg"),
        Row("MP3, announced as PCM", "type=audio/pcm", "mp3"),
        Row("MP3, announced as a web page", "type=text/html", "mp3"),
        Row("WAV, announced as nothing", "type=", "wav"),
        Row("a web page with status 200", "page"),
        Row("an error in JSON with status 200", "error-200"),
        Row("status 200 without a byte of sound", "empty"),
        Row("Content-Length 1000 bytes too long", "long=1000"),
        Row("Content-Length 1000 bytes too short", "short=1000"),
        Row("Transfer-Encoding and Content-Length", "both=24000"),
        Row("closed without the last chunk", "no-last-chunk"),
        Row("a chunk whose size is no number", "bad-chunk"),
        Row("HTTP/1.0 without a length", "http10"),
        Row("a gzip bomb of 200 MB", "bomb=200"),
    ),
    "Refusals": (
        Row("408", "status=408"),
        Row("429", "status=429"),
        Row("429, Retry-After: 30", "status=429,retry-after=30"),
        Row("429, Retry-After: a date in 30 s", "status=429,retry-after=30D"),
        Row("500", "status=500"),
        Row("502", "status=502"),
        Row("503, Retry-After: 1", "status=503,retry-after=1"),
        Row("503 for the first request only", "first=1,status=503"),
        Row("429 for the first request only, Retry-After: 1", "first=1,status=429,retry-after=1"),
        Row("the first request is closed instead of answered", "first=1,cut-head=0"),
        Row("503 for every second request", "every=2,status=503"),
        Row("three redirects on the same server", "redirect=3"),
        Row("redirects without end", "redirect-loop"),
        Row("a redirect to another server", "redirect-to=http://example.com/v1"),
        Row("nothing listens", "", server="nothing"),
    ),
    "`chatterbox-ws`": rows("chatterbox-ws", *WITH_DONE),
    "`omni-ws`": rows("omni-ws", *WITH_DONE),
    "`vibevoice-ws`": rows(
        "vibevoice-ws",
        ("reset in the sound", "cut=10"),
        ("closed in the sound with code 1011", "close=10"),
        ("closed in the sound with code 1000", "close=10:1000"),
        ("nothing more", "stall=10"),
        ("neither the message that says that it is complete nor a close", "no-done"),
        ("a message that is not JSON", "garbage=10"),
        ("reset before the sound", "cut=0"),
        ("refused as busy", "close=0:1013"),
        ("the first connection is reset in the sound", "first=1,cut=10"),
    ),
}


class Outcome(NamedTuple):
    """What became of a run."""

    heard: str
    code: int
    message: str
    did: str


def _ws_sound(_text: str) -> bytes:
    return noise("", "pcm", 0).data


WS_SERVERS = {
    "chatterbox-ws": FlushingServer(sound=_ws_sound, cut=6000),
    "omni-ws": OmniServer(sound=_ws_sound, chunk=6000),
    "vibevoice-ws": DemoServer(_ws_sound("")),
}


@contextmanager
def serving(row: Row, folder: Path) -> Iterator[tuple[str, dict[str, str], Any]]:
    """Serve a row; yield the address, variables for the client, and the server."""
    if row.server in WS_SERVERS:
        with WsServer(with_ws_faults(WS_SERVERS[row.server], parse(row.spec, WS_FAULTS)), pages=PAGES) as ws:
            yield ws.url, {}, ws
        return
    variables, tls = {}, None
    if row.server in ("https", "https, another name", "http to https"):
        tls, bundle = certificate(folder)
        if row.server == "https, another name":
            variables["SSL_CERT_FILE"] = bundle
    with FaultyServer(noise, row.spec, tls=tls, cuts_handshake=row.server == "https, cut") as server:
        address = {
            "https": server.url.replace("127.0.0.1", "localhost"),
            "https to http": server.url.replace("http:", "https:"),
            "http to https": server.url.replace("https:", "http:"),
        }.get(row.server, server.url)
        if row.server == "nothing":
            server.close()
        yield address, variables, server


def outcome(row: Row, variant: tuple[str, ...]) -> Outcome:
    """Run `voice say` against a row's server."""
    with tempfile.TemporaryDirectory() as name, serving(row, Path(name)) as (address, variables, server):
        backend = row.server if row.server in WS_SERVERS else "http"
        timeout = "2" if re.search("stall|silent|no-done|retry-after=30", row.spec) else "60"
        command = [*VOICE, "say", TEXT, "--no-play", "--json", "--timeout", timeout, "--backend", backend]
        command += ["--base-url", address, *([] if backend != "http" else ["--format", row.format]), *variant]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment_in(Path(name), variables),
            cwd=name,
        )
        if "endless" in row.spec:
            wait_until(lambda: server.sent > len(noise(TEXT, "pcm", 0).data), "the sound was not repeated")
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT)
        place = address.partition("://")[2].removesuffix("/v1")
        count = len(server.clients if isinstance(server, WsServer) else server.requests)
        return Outcome(
            _heard(row, json.loads(out)["heard_ms"]),
            process.returncode if process.returncode >= 0 else 128 - process.returncode,  # as a shell sees it
            _message(row, err.replace(place, "SERVER")),
            f"{count} request{'s' * (count != 1)}",
        )


def _heard(row: Row, milliseconds: float | None) -> str:
    if "endless" in row.spec:
        return "the sound until Ctrl-C"
    if "bomb" in row.spec:
        return "silence"
    return f"{milliseconds / 1000:.1f} s" if milliseconds else "nothing"


def _message(row: Row, err: str) -> str:
    """Return the messages, without what depends on the versions of libraries."""
    text = " / ".join(line.removeprefix("voice: ") for line in err.splitlines())
    text = re.sub(r"(no secure connection to SERVER: ).*?( \(SSL_CERT_FILE|$)", r"\1…\2", text)
    if row.spec.endswith("D"):  # a date has whole seconds, and an answer takes some time
        text = re.sub(r"in 2[89] s", "in 30 s", text)
    return text if row.format == "pcm" else re.sub(r"\d+ bytes", "… bytes", text)


def outcomes(section: str) -> list[tuple[Row, tuple[str, ...], Outcome]]:
    """Run the rows of a section, and return them with their outcomes; without variants that change nothing."""
    with ThreadPoolExecutor(4) as pool:
        runs = [(row, variant, pool.submit(outcome, row, variant)) for row in SECTIONS[section] for variant in VARIANTS]
        done = [(row, variant, run.result()) for row, variant, run in runs]
    default = {row: found for row, variant, found in done if not variant}
    return [(row, variant, found) for row, variant, found in done if not variant or found != default[row]]


def lines_of(section: str) -> str:
    """Return a section of the page."""
    lines = [f"## {section}", "", "| fault | option | heard | exit code | message | `voice` sent |", "|" + " --- |" * 6]
    for row, variant, found in outcomes(section):
        fault = row.text + (f" (`{row.spec}`)" if row.spec else "")
        message = found.message.replace("|", "\\|")
        option = f"`{' '.join(variant)}`" if variant else ""
        lines.append(f"| {fault} | {option} | {found.heard} | {found.code} | {message} | {found.did} |")
    return "\n".join(lines) + "\n"


INTRODUCTION = f"""\
# Faults

What `voice say` does when a server, or the network, fails. A test runs each fault and compares; `python -m tests.faults
--table` writes this page.

Each row was run without a device, with `--timeout 2` if the server stops or demands a wait of 30 s, and with a server
that speaks {SECONDS:g} s.
*Heard* is the sound that was decoded; a device plays it to its end before the error is printed. A fault is an option of
the server, or a part of its address:

```
python -m tests.faults                     # from a checkout; prints the address and the list of faults
voice say "Hello there" --base-url http://127.0.0.1:PORT/cut=24000/v1
python -m tests.faults --backend omni-ws --cut 5
```
"""


def page() -> str:
    """Return docs/faults.md."""
    return "\n".join((INTRODUCTION, *map(lines_of, SECTIONS)))
