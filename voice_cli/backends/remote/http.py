"""Any server that speaks OpenAI's `POST /v1/audio/speech`, over libcurl.

libcurl (pycurl, in a wheel) is the transport because it takes a quarter of what `httpx` takes to import, and a
twentieth of what the SDK does, and brings proxies, HTTP/2, Happy Eyeballs, TLS and its own timings.
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
from voice_cli.errors import ConfigError, ServerError
from voice_cli.protocol import openai

SEND_SECONDS = 0.01
"""How long `synthesize` goes on by itself to see the request off: enough for a server near by. A farther one is a
matter of round trips, in which the caller has better things to do."""


class HttpBackend(Backend):
    """One server. Its connections are kept between requests. Any number of streams, each read by one thread."""

    name = "http"
    is_remote = True

    def __init__(
        self, base_url: str = openai.DEFAULT_BASE_URL, *, api_key: str | None = None, timeout: float = 60.0
    ) -> None:
        """Make ready to talk to the server; nothing is sent yet.

        `base_url` ends before `/audio/speech`. `timeout`: seconds of silence after which the server is given up.

        Raises:
            ConfigError: that is no HTTP address, or no key that a header can carry.

        """
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(f"base_url {without_credentials(base_url)!r} is no http:// or https:// address")
        check_key(api_key)
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout = timeout
        self._transfers = Transfers()

    @property
    def where(self) -> str:
        """The server's name for people: no credentials, no path."""
        return self._base_url.partition("://")[2].partition("/")[0].rpartition("@")[2]

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
        """Open a connection, which the first request will find: by asking for the head of the list of models."""
        easy = self._easy(openai.MODELS_PATH, [])
        easy.setopt(pycurl.NOBODY, 1)
        stream = HttpStream(self._transfers, easy, where=self.where, timeout=self._timeout, expected=Encoding(None))
        threading.Thread(target=_read_out, args=(stream,), name="voice-connecting", daemon=True).start()

    def expected(self, codec: str) -> Encoding:
        return openai.expected_encoding(codec)

    def voices(self) -> list[Voice]:
        if self.where == "api.openai.com":
            return [Voice(name, language="") for name in openai.VOICES]
        found = openai.voices_in(self.get(openai.VOICES_PATH))
        if found is None:
            raise ServerError(f"{self.where} does not say which voices it has", hint="its documentation may")
        return [Voice(voice, name, language) for voice, name, language in found]

    def get(self, path: str) -> bytes:
        """Return the body of what is there.

        Raises:
            BackendError: it is not to be had.

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


def _read_out(stream: HttpStream) -> None:
    with contextlib.suppress(Exception):  # the request that counts tells what is wrong; or the backend was closed
        for _ in stream:
            continue


def trust_system_certificates(easy: Any) -> None:
    """Point libcurl, which came in a wheel and knows of no system, at the system's certificate authorities."""
    bundle = bundle_of_system()
    if bundle is not None:
        easy.setopt(pycurl.CAINFO, bundle)
    elif sys.platform == "win32":
        easy.setopt(pycurl.SSL_OPTIONS, pycurl.SSLOPT_NATIVE_CA)
