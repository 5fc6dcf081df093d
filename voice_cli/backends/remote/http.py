"""Servers with OpenAI's `POST /v1/audio/speech`, over libcurl.

libcurl (pycurl) is imported in a quarter of the time of `httpx` and a twentieth of the SDK's, and has proxies, HTTP/2,
Happy Eyeballs, TLS and timings.
"""

import contextlib
import json
import sys
import threading
from typing import Any

from voice_cli import __version__
from voice_cli.audio import Encoding
from voice_cli.backends.base import Backend, SpeechRequest, Voice
from voice_cli.backends.remote.address import parse_address
from voice_cli.backends.remote.certificates import bundle_of_system, folder_of_environment
from voice_cli.backends.remote.curl import pycurl
from voice_cli.backends.remote.failures import check_key
from voice_cli.backends.remote.http_transfer import HttpStream, Transfers
from voice_cli.errors import ServerError
from voice_cli.protocol import openai

LARGEST_BODY = 8 << 20
"""Bytes of a body that is no audio, such as a list of voices."""
SEND_SECONDS = 0.01
"""How long `synthesize` waits until the request is sent: enough for a server on the local network."""


class HttpBackend(Backend):
    """One server, with keep-alive connections. Any number of streams, each read by one thread."""

    name = "http"
    is_remote = True
    has_formats = True
    settings = ("api_key_header",)

    def __init__(
        self,
        base_url: str = openai.DEFAULT_BASE_URL,
        *,
        api_key: str | None = None,
        api_key_header: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        """Check the arguments. Nothing is sent yet.

        Args:
            base_url: the address, up to `/audio/speech`, which is ignored. A query is sent with each request.
            api_key: sent as a bearer token, or as the value of `api_key_header`.
            api_key_header: a header's name.
            timeout: seconds without data after which a request fails.

        Raises:
            ConfigError: the address is not HTTP, or a header cannot carry the key.

        """
        self._address = parse_address(base_url, ("http", "https")).without(openai.SPEECH_PATH)
        check_key(api_key)
        self._key_header = f"{api_key_header}: {api_key}" if api_key_header else f"Authorization: Bearer {api_key}"
        self._has_key = api_key is not None
        self._timeout = timeout
        self._transfers = Transfers()
        self._rate_is_refused = False

    @property
    def where(self) -> str:
        """The server's host and port, for messages."""
        return self._address.place

    def synthesize(self, request: SpeechRequest) -> "HttpStream":
        model = request.model or openai.DEFAULT_MODEL
        is_pcm = request.codec == "pcm"
        defined = is_pcm and openai.pcm_is_defined(self.where, model)
        body = openai.speech_body(
            text=request.text,
            model=model,
            voice=request.voice or openai.DEFAULT_VOICE,
            codec=request.codec,
            speed=request.speed,
            instructions=request.instructions,
            rate=openai.PCM.rate if is_pcm and not (defined or self._rate_is_refused) else None,
        )
        easy = self._easy(["Content-Type: application/json", "Expect:"])
        easy.setopt(pycurl.POSTFIELDS, _json(body))
        stream = self._stream(easy, openai.SPEECH_PATH, openai.expected_encoding(request.codec))
        stream.pcm_is_defined = defined
        if openai.RATE_KEY in body:
            stream.on_refusal = lambda message: self._without_rate(message, body)
        stream.send(SEND_SECONDS)
        return stream

    def _without_rate(self, message: bytes, body: dict[str, Any]) -> bytes | None:
        """Return the body to send to a server that refused the rate; None: the refusal has another reason."""
        if openai.RATE_KEY.encode() not in message:
            return None
        self._rate_is_refused = True
        return _json({key: value for key, value in body.items() if key != openai.RATE_KEY})

    def prepare(self) -> None:
        """Open a connection for the first request with a HEAD request for the list of models."""
        easy = self._easy([])
        easy.setopt(pycurl.NOBODY, 1)
        stream = self._stream(easy, openai.MODELS_PATH)
        threading.Thread(target=_discard, args=(stream,), name="voice-connecting", daemon=True).start()

    def expected(self, codec: str) -> Encoding:
        return openai.expected_encoding(codec)

    def voices(self) -> list[Voice]:
        if self.where == "api.openai.com":
            return [Voice(name, language="") for name in openai.VOICES]
        found = openai.voices_in(self.get(openai.VOICES_PATH))
        if found is None:
            raise ServerError(f"{self.where} does not list its voices", hint="see its documentation")
        return [Voice(voice, name, language) for voice, name, language in found]

    def check_access(self) -> None:
        self.get(openai.MODELS_PATH)

    def get(self, path: str) -> bytes:
        """Return the body of a GET request.

        Raises:
            BackendError: the request failed, or the body has more than LARGEST_BODY bytes.

        """
        body = bytearray()
        with contextlib.closing(iter(self._stream(self._easy([]), path))) as chunks:
            for data in chunks:
                body += data
                if len(body) > LARGEST_BODY:
                    raise ServerError(
                        f"{self.where} sent more than {LARGEST_BODY >> 20} MiB, but no audio was expected"
                    )
        return bytes(body)

    def _stream(self, easy: Any, path: str, expected: Encoding = Encoding(None)) -> HttpStream:  # noqa: B008  a constant
        return HttpStream(self._transfers, easy, self._address, path, timeout=self._timeout, expected=expected)

    def _easy(self, headers: list[str]) -> Any:
        """Return a handle with all but its URL and its callbacks."""
        easy = new_handle(self._timeout)
        if self._has_key:
            headers = [*headers, self._key_header]
        # With a value, libcurl decodes what the server encodes; without the header, no server is asked to encode.
        easy.setopt(pycurl.ACCEPT_ENCODING, "")
        easy.setopt(pycurl.HTTPHEADER, [*headers, "Accept-Encoding:"])
        if self._address.scheme == "https":
            trust_system_certificates(easy)
        return easy

    def close(self) -> None:
        self._transfers.close()


def new_handle(timeout: float) -> Any:
    """Return a handle with what all requests have. `timeout`: seconds for the connection."""
    easy = pycurl.Curl()
    easy.setopt(pycurl.USERAGENT, f"voice/{__version__}")
    easy.setopt(pycurl.NOSIGNAL, 1)
    easy.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(1000 * timeout)))
    return easy


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _discard(stream: HttpStream) -> None:
    with contextlib.suppress(Exception):  # the next request reports what is wrong; or the backend was closed
        for _ in stream:
            continue


def trust_system_certificates(easy: Any) -> None:
    """Set the system's certificate authorities: a libcurl from a wheel does not know them."""
    bundle, folder = bundle_of_system(), folder_of_environment()
    if folder is not None:
        easy.setopt(pycurl.CAPATH, folder)
    if bundle is not None:
        easy.setopt(pycurl.CAINFO, bundle)
    elif sys.platform == "win32":
        easy.setopt(pycurl.SSL_OPTIONS, pycurl.SSLOPT_NATIVE_CA)
