"""Messages of Twilio Media Streams, where Twilio is the client: JSON both ways, µ-law in base64.

::

    Twilio  connected · start · media · media … · mark · dtmf · … · stop        while the call's <Stream> lasts
    server  media … · mark · … · clear

The server sends only to a bidirectional stream (`<Connect><Stream>`). Twilio plays the audio in order, and buffers
without limit. It returns a `mark` when all audio sent before it was played. `clear` discards the buffer; Twilio then
returns the marks in it as well, although they were not played.

Source: Twilio's documentation, "Media Streams: WebSocket messages".
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from voice_cli.audio import AudioFormat
from voice_cli.protocol.fields import Message, as_object, base64_of, text_of, whole_of

STREAM_PATH = "/twilio"
FORMAT = AudioFormat(rate=8_000, channels=1)
"""Of the decoded µ-law."""
FRAME_BYTES = 160
"""20 ms, a frame of the telephone network."""
FRAME_SECONDS = FRAME_BYTES / FORMAT.rate

ENCODING = "audio/x-mulaw"


class Media(NamedTuple):
    """Audio for the caller."""

    data: bytes
    """µ-law, 8000 Hz, mono, without a header."""

    def message(self, stream_sid: str) -> Message:
        return {"event": "media", "streamSid": stream_sid, "media": {"payload": base64_of(self.data)}}


class Mark(NamedTuple):
    """A position in the audio. From Twilio: all audio before it was played, or cleared."""

    name: str

    def message(self, stream_sid: str) -> Message:
        return {"event": "mark", "streamSid": stream_sid, "mark": {"name": self.name}}


class Clear(NamedTuple):
    """Discard the buffered audio."""

    def message(self, stream_sid: str) -> Message:
        return {"event": "clear", "streamSid": stream_sid}


class Start(NamedTuple):
    """The start of the stream."""

    stream_sid: str
    call_sid: str = ""
    parameters: Mapping[str, str] = {}
    """The `<Parameter>`s of the TwiML; Twilio takes at most 500 characters of name and value together."""


class Dtmf(NamedTuple):
    """A key that the caller pressed."""

    digit: str


class Stop(NamedTuple):
    """The end of the stream, or of the call."""


def parse(value: Any) -> Start | Mark | Dtmf | Stop | None:
    """Parse a message from Twilio; None: `connected`, the caller's audio, or an unknown event.

    Raises:
        ValueError: it is invalid; one line that says why.

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
        raise ValueError("event is missing")  # noqa: TRY004  as for any invalid message
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
