"""Twilio Media Streams on the wire, where Twilio is the client: JSON messages both ways, µ-law in base64.

::

    Twilio  connected · start · media · media … · mark · dtmf · … · stop        for as long as the call's <Stream> lasts
    server  media … · mark · … · clear

The server sends only to a stream that goes both ways (`<Connect><Stream>`). Twilio plays what it is sent in its order,
without bound: it keeps what is not due yet. A `mark` comes back once all that was sent before it was heard. `clear`
throws away what is kept, and then all marks in it come back as well: they were not heard.

Source: Twilio's documentation, "Media Streams: WebSocket messages".
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from voice_cli.audio import AudioFormat
from voice_cli.protocol.fields import Message, as_object, base64_of, text_of, whole_of

STREAM_PATH = "/twilio"
FORMAT = AudioFormat(rate=8_000, channels=1)
"""What the µ-law decodes to."""
FRAME_BYTES = 160
"""20 ms, as the telephone network has them."""
FRAME_SECONDS = FRAME_BYTES / FORMAT.rate

ENCODING = "audio/x-mulaw"


class Media(NamedTuple):
    """Sound for the caller."""

    data: bytes
    """µ-law, 8000 Hz, mono, without a header."""

    def message(self, stream_sid: str) -> Message:
        return {"event": "media", "streamSid": stream_sid, "media": {"payload": base64_of(self.data)}}


class Mark(NamedTuple):
    """A place in what is played. From Twilio: all before it was heard, or cleared."""

    name: str

    def message(self, stream_sid: str) -> Message:
        return {"event": "mark", "streamSid": stream_sid, "mark": {"name": self.name}}


class Clear(NamedTuple):
    """Play nothing more of what was sent."""

    def message(self, stream_sid: str) -> Message:
        return {"event": "clear", "streamSid": stream_sid}


class Start(NamedTuple):
    """The stream begins."""

    stream_sid: str
    call_sid: str = ""
    parameters: Mapping[str, str] = {}
    """The `<Parameter>`s of the TwiML; Twilio takes at most 500 characters of name and value together."""


class Dtmf(NamedTuple):
    """The caller pressed a key."""

    digit: str


class Stop(NamedTuple):
    """The stream, or the call, is over."""


def parse(value: Any) -> Start | Mark | Dtmf | Stop | None:
    """Read a message of Twilio's; None: `connected`, the caller's sound, or one that is not known here.

    Raises:
        ValueError: one line that says what is wrong with it.

    """
    message = as_object(value)
    event = message.get("event")
    if event == "start":
        return _start(message)
    if event == "mark":
        return Mark(text_of(as_object(message.get("mark")), "name") or "")
    if event == "dtmf":
        return Dtmf(text_of(as_object(message.get("dtmf")), "digit") or "")
    if event == "stop":
        return Stop()
    if not isinstance(event, str):
        raise ValueError("event is missing")  # noqa: TRY004  as all that is wrong with a message
    return None


def _start(message: Mapping[str, Any]) -> Start:
    start = as_object(message.get("start"))
    stream_sid = text_of(start, "streamSid") or text_of(message, "streamSid")
    if not stream_sid:
        raise ValueError("streamSid is missing")
    media = as_object(start.get("mediaFormat") or {})
    encoding, rate = text_of(media, "encoding") or ENCODING, whole_of(media, "sampleRate") or FORMAT.rate
    if encoding != ENCODING or rate != FORMAT.rate:
        raise ValueError(f"the stream must be {ENCODING} at {FORMAT.rate} Hz")
    given = as_object(start.get("customParameters") or {})
    parameters = {name: value for name, value in given.items() if isinstance(value, str)}
    return Start(stream_sid, text_of(start, "callSid") or "", parameters)
