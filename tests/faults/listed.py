"""The faults of an answer over HTTP, by name. A specification is a list such as ``cut=12000,reset,every=2``."""

import itertools
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

from support.server import Answer, Request
from voice_cli.codecs.wav import HEADER_BYTES

PAGE = b"<!doctype html><title>Sign in</title><p>Please sign in to this network."
ERROR = b'{"error": {"message": "the model crashed", "type": "server_error"}}'


class Sound(NamedTuple):
    """What an answer speaks."""

    data: bytes
    content_type: str
    seconds: float


class Case(NamedTuple):
    """What a fault needs to know."""

    request: Request
    path: str
    """The request's path without the faults in it."""
    sound: Sound

    def place(self, value: str) -> int:
        """Return a place in the body: bytes, or a percentage such as `50%`."""
        if value.endswith("%"):
            return int(len(self.sound.data) * float(value[:-1]) / 100)
        return int(value)


class Fault(NamedTuple):
    """A fault. `apply` changes an answer; `value` is the name of its value in the help, or None."""

    name: str
    value: str | None
    text: str
    apply: Callable[[Answer, str, Case], Any]


FAULTS: dict[str, Fault] = {}


def fault(value: str | None, text: str) -> Callable[[Callable[[Answer, str, Case], Any]], Any]:
    """Add a function to `FAULTS`."""

    def add(apply: Callable[[Answer, str, Case], Any]) -> Any:
        name = apply.__name__.strip("_").replace("_", "-")
        FAULTS[name] = Fault(name, value, text, apply)
        return apply

    return add


# Slow answers.


@fault("SECONDS", "wait before the answer")
def latency(answer: Answer, value: str, _case: Case) -> None:
    answer.first_byte = float(value)


@fault(None, "accept the request and never answer")
def silent(answer: Answer, _value: str, _case: Case) -> None:
    answer.first_byte = 86_400.0


@fault("SECONDS", "wait up to this long before each piece, at random")
def jitter(answer: Answer, value: str, _case: Case) -> None:
    answer.jitter = float(value)


@fault("FACTOR", "send at this multiple of real time")
def rate(answer: Answer, value: str, case: Case) -> None:
    answer.byte_rate = float(value) * len(case.sound.data) / case.sound.seconds
    answer.chunk = min(4096, max(1, int(answer.byte_rate / 20)))


@fault("SECONDS", "send in real time, this much sound at once")
def burst(answer: Answer, value: str, case: Case) -> None:
    answer.byte_rate = len(case.sound.data) / case.sound.seconds
    answer.chunk = max(1, int(answer.byte_rate * float(value)))


@fault("BYTES", "send nothing more after this many bytes of the body, and keep the connection open")
def stall(answer: Answer, value: str, case: Case) -> None:
    answer.stall_after = case.place(value)


@fault("BYTES:SECONDS", "pause in the body")
def pause(answer: Answer, value: str, case: Case) -> None:
    where, _, seconds = value.partition(":")
    at = case.place(where)
    answer.parts = [case.sound.data[:at], case.sound.data[at:]]
    answer.pause_at = {at: float(seconds or 2)}


@fault("SECONDS", "send the head a byte at a time, with this pause")
def slow_head(answer: Answer, value: str, _case: Case) -> None:
    answer.head_pace = float(value)


@fault("SECONDS", "send the body a byte at a time, with this pause")
def slow_body(answer: Answer, value: str, _case: Case) -> None:
    answer.chunk, answer.byte_rate = 1, 1 / float(value)


@fault("BYTES", "send the body in pieces of this size, such as 3: samples are divided")
def chunk(answer: Answer, value: str, _case: Case) -> None:
    answer.chunk = int(value)


# Cuts.


@fault("BYTES", "close the connection after this many bytes of the body")
def cut(answer: Answer, value: str, case: Case) -> None:
    answer.die_after = case.place(value)


@fault("BYTES", "close the connection after this many bytes of the head; 0: instead of an answer")
def cut_head(answer: Answer, value: str, _case: Case) -> None:
    answer.die_in_head = int(value)


@fault(None, "with a cut: reset the connection (RST) instead of closing it (FIN)")
def reset(answer: Answer, _value: str, _case: Case) -> None:
    answer.resets = True


# Types and lengths.


@fault("TYPE", "announce this media type")
def type_(answer: Answer, value: str, _case: Case) -> None:
    answer.content_type = value or None


@fault(None, "answer 200 with a web page, as networks that want a login do")
def page(answer: Answer, _value: str, _case: Case) -> None:
    answer.body, answer.content_type = PAGE, "text/html"


@fault(None, "answer 200 with an error in JSON")
def error_200(answer: Answer, _value: str, _case: Case) -> None:
    answer.body, answer.content_type = ERROR, "application/json"


@fault(None, "answer 200 without a byte of sound")
def empty(answer: Answer, _value: str, _case: Case) -> None:
    answer.body, answer.chunked = b"", False


@fault("BYTES", "announce a Content-Length that is this much too long, and close")
def long(answer: Answer, value: str, case: Case) -> None:
    answer.chunked, answer.announced = False, len(case.sound.data) + int(value)


@fault("BYTES", "announce a Content-Length that is this much too short")
def short(answer: Answer, value: str, case: Case) -> None:
    answer.chunked, answer.announced = False, len(case.sound.data) - int(value)


@fault("LENGTH", "send both Transfer-Encoding: chunked and this Content-Length")
def both(answer: Answer, value: str, _case: Case) -> None:
    answer.chunked, answer.announced = True, int(value)


@fault(None, "close without the last chunk")
def no_last_chunk(answer: Answer, _value: str, _case: Case) -> None:
    answer.last_chunk = b""


@fault(None, "end with a chunk whose size is not a number")
def bad_chunk(answer: Answer, _value: str, _case: Case) -> None:
    answer.last_chunk = b"sound\r\n\r\n"


@fault(None, "answer as HTTP/1.0, without a length: the close is the end")
def http10(answer: Answer, _value: str, _case: Case) -> None:
    answer.version, answer.close_delimited = "1.0", True


@fault(None, "state the size of a WAV's data in its header")
def wav_size(answer: Answer, _value: str, case: Case) -> None:
    data = case.sound.data
    size = len(data) - HEADER_BYTES
    answer.body = b"".join(
        (data[:4], (size + 36).to_bytes(4, "little"), data[8:40], size.to_bytes(4, "little"), data[HEADER_BYTES:])
    )


@fault(None, "never end the body: the sound is repeated")
def endless(answer: Answer, _value: str, case: Case) -> None:
    data = case.sound.data
    pieces = [data[at : at + 4096] for at in range(0, len(data), 4096)]
    answer.parts = itertools.cycle(pieces)


@fault("MEGABYTES", "send a gzip bomb of this size")
def bomb(answer: Answer, value: str, _case: Case) -> None:
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(int(value))) + packer.flush()
    answer.parts = [packed]
    answer.headers["Content-Encoding"] = "gzip"


# Refusals.


@fault("STATUS", "answer with this status, such as 429 or 503, and an error in JSON")
def status(answer: Answer, value: str, _case: Case) -> None:
    answer.status, answer.body, answer.content_type = int(value), ERROR, "application/json"


@fault("SECONDS", "with a status: send Retry-After; with a D at the end, as a date that far ahead")
def retry_after(answer: Answer, value: str, _case: Case) -> None:
    if value.endswith("D"):
        at = datetime.now(UTC) + timedelta(seconds=float(value[:-1]))
        value = format_datetime(at, usegmt=True)
    answer.headers["Retry-After"] = value


@fault("COUNT", "redirect this many times on this server, then answer")
def redirect(answer: Answer, value: str, case: Case) -> None:
    if int(value) > 0:
        _redirect(answer, f"/redirect={int(value) - 1}{case.path}")


@fault(None, "redirect to the same address for ever")
def redirect_loop(answer: Answer, _value: str, case: Case) -> None:
    _redirect(answer, case.request.path)


@fault("URL", "redirect to another server")
def redirect_to(answer: Answer, value: str, case: Case) -> None:
    _redirect(answer, value + case.path.removeprefix("/v1"))


def _redirect(answer: Answer, location: str) -> None:
    answer.status, answer.body, answer.chunked = 307, b"", False
    answer.headers["Location"] = location


# Which requests.

EVERY = Fault("every", "N", "only each Nth request has the other faults", lambda *_: None)
FIRST = Fault("first", "N", "only the first N requests have the other faults", lambda *_: None)
TAKE = Fault("take", None, "each request gets another take of the text, faster or slower", lambda *_: None)
FAULTS |= {one.name: one for one in (EVERY, FIRST, TAKE)}

Spec = dict[str, str]


def parse(text: str, faults: Mapping[str, Fault] = FAULTS) -> Spec:
    """Return the faults of a specification.

    Raises:
        ValueError: one is not known, or has no value.

    """
    spec: Spec = {}
    for one in filter(None, text.split(",")):
        name, equals, value = one.partition("=")
        if name not in faults:
            raise ValueError(f"there is no fault {name!r}")
        if (faults[name].value is not None) != bool(equals):
            raise ValueError(f"{name} needs a value" if not equals else f"{name} has no value")
        spec[name] = value
    return spec


def split_path(path: str) -> tuple[str | None, str]:
    """Return the specification at the start of a path, or None, and the rest of the path."""
    first, slash, rest = path.removeprefix("/").partition("/")
    try:
        parse(first)
    except ValueError:
        return None, path
    return (first, slash + rest) if first else (None, path)


def is_due(spec: Spec, number: int) -> bool:
    """Return whether the faults apply to the request with this number, which counts from 1."""
    return number % int(spec.get("every", "1")) == 0 and number <= int(spec.get("first", number))
