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
from voice_cli.backends.remote.certificates import bundle_of_system
from voice_cli.backends.remote.curl import pycurl
from voice_cli.backends.remote.failures import check_key, without_credentials
from voice_cli.backends.remote.http_transfer import HttpStream, Transfers
from voice_cli.errors import ConfigError, ServerError, server_name
from voice_cli.protocol import openai

SEND_SECONDS = 0.01
"""How long `synthesize` waits until the request is sent: enough for a server on the local network."""


class HttpBackend(Backend):
    """One server, with keep-alive connections. Any number of streams, each read by one thread."""

    name = "http"
    is_remote = True

    def __init__(
        self, base_url: str = openai.DEFAULT_BASE_URL, *, api_key: str | None = None, timeout: float = 60.0
    ) -> None:
        """Check the arguments. Nothing is sent yet.

        Args:
            base_url: the address, up to `/audio/speech`.
            api_key: sent as a bearer token.
            timeout: seconds without data after which a request fails.

        Raises:
            ConfigError: the address is not HTTP, or a header cannot carry the key.

        """
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(f"base_url {without_credentials(base_url)!r} is not an http:// or https:// address")
        check_key(api_key)
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout
        self._transfers = Transfers()

    @property
    def where(self) -> str:
        """The server's host and port, for messages."""
        return server_name(self._base_url)

    def synthesize(self, request: SpeechRequest) -> "HttpStream":
        body = openai.speech_body(
            text=request.text,
            model=request.model or openai.DEFAULT_MODEL,
            voice=request.voice or openai.DEFAULT_VOICE,
            codec=request.codec,
            speed=request.speed,
            instructions=request.instructions,
        )
        easy = self._easy(openai.SPEECH_PATH, ["Content-Type: application/json", "Expect:"])
        easy.setopt(pycurl.POSTFIELDS, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
        stream = HttpStream(
            self._transfers,
            easy,
            where=self.where,
            timeout=self._timeout,
            expected=openai.expected_encoding(request.codec),
        )
        stream.send(SEND_SECONDS)
        return stream

    def prepare(self) -> None:
        """Open a connection for the first request with a HEAD request for the list of models."""
        easy = self._easy(openai.MODELS_PATH, [])
        easy.setopt(pycurl.NOBODY, 1)
        stream = HttpStream(self._transfers, easy, where=self.where, timeout=self._timeout, expected=Encoding(None))
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

    def get(self, path: str) -> bytes:
        """Return the body of a GET request.

        Raises:
            BackendError: the request failed.

        """
        easy = self._easy(path, [])
        return b"".join(
            HttpStream(self._transfers, easy, where=self.where, timeout=self._timeout, expected=Encoding(None))
        )

    def _easy(self, path: str, headers: list[str]) -> Any:
        easy = pycurl.Curl()
        easy.setopt(pycurl.URL, self._base_url + path)
        easy.setopt(pycurl.USERAGENT, f"voice/{__version__}")
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(1000 * self._timeout)))
        if self._api_key is not None:
            headers = [*headers, f"Authorization: Bearer {self._api_key}"]
        easy.setopt(pycurl.HTTPHEADER, headers)
        if self._base_url.startswith("https"):
            trust_system_certificates(easy)
        return easy

    def close(self) -> None:
        self._transfers.close()


def _discard(stream: HttpStream) -> None:
    with contextlib.suppress(Exception):  # the next request reports what is wrong; or the backend was closed
        for _ in stream:
            continue


def trust_system_certificates(easy: Any) -> None:
    """Set the system's certificate authorities: a libcurl from a wheel does not know them."""
    bundle = bundle_of_system()
    if bundle is not None:
        easy.setopt(pycurl.CAINFO, bundle)
    elif sys.platform == "win32":
        easy.setopt(pycurl.SSL_OPTIONS, pycurl.SSLOPT_NATIVE_CA)
