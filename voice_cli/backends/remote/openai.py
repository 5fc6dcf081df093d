"""OpenAI's SDK, for the SDK's own authentication, such as Azure's by AZURE_OPENAI_ENDPOINT.

The SDK takes half a second to import, so it is imported only for this backend. Its own environment variables set the
key, the organisation and the address unless the profile does.
"""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

from voice_cli.audio import Encoding
from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream, Voice
from voice_cli.backends.remote.address import MAX_REDIRECTS, redirected_base, redirected_url
from voice_cli.backends.remote.failures import LARGEST_ERROR, body_length, broken, check_key, redirected, refusal
from voice_cli.errors import ConfigError, Hint, NetworkError, VoiceError, server_name
from voice_cli.printable import one_line
from voice_cli.protocol import openai as wire
from voice_cli.queues import BoundedQueue

AHEAD_BYTES = 1 << 20
"""Bytes that are buffered before the server has to wait."""
LARGEST_ENCODED_ERROR = 4096
"""Bytes of an error's compressed body that are read: gzip's ratio is at most about 1000."""

_thread = threading.local()
"""`stream`: the one that this thread reads."""


class OpenAIBackend(Backend):
    """OpenAI, or Azure OpenAI if the address is one of Azure's or AZURE_OPENAI_ENDPOINT is set."""

    name = "openai"
    is_remote = True
    has_formats = True

    def __init__(self, base_url: str | None = None, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        """Create the client. Nothing is sent yet.

        Raises:
            ConfigError: the SDK finds no key, or something else that it needs is missing.

        """
        check_key(api_key)
        endpoint = base_url or os.environ.get("AZURE_OPENAI_ENDPOINT", "")
        is_azure = server_name(endpoint).partition(":")[0].lower().endswith(".azure.com")
        if base_url is not None and api_key is None and not is_azure:  # the SDK would send $OPENAI_API_KEY there
            raise ConfigError("the openai SDK has no API key for this address", hint="set the profile's api_key_env")
        import openai

        self.sdk: Any = openai
        make: Any = openai.OpenAI
        self.latest_connection: Any = None
        """The last one that was opened, of any stream."""
        self.rate_is_refused = False
        """Whether the server refused a request with `sample_rate`."""
        hooks = {
            "request": [lambda request: _thread.stream.watch(request)],  # noqa: PLW0108  as it is when called
            "response": [lambda response: _thread.stream.check(response)],  # noqa: PLW0108
        }
        options: dict[str, Any] = {
            "api_key": api_key,
            "timeout": timeout,
            "max_retries": 0,
            "http_client": openai.DefaultHttpxClient(event_hooks=hooks),
        }
        if is_azure:
            make = openai.AzureOpenAI
            options |= {"azure_endpoint": endpoint} if base_url else {}
        else:
            options |= {"base_url": base_url}
        try:
            self.client = make(**options)
        except (openai.OpenAIError, ValueError) as exc:
            raise ConfigError(f"the openai SDK cannot start: {one_line(str(exc))}") from exc

    def synthesize(self, request: SpeechRequest) -> "SdkStream":
        return SdkStream(self, request)

    def expected(self, codec: str) -> Encoding:
        return wire.expected_encoding(codec)

    def voices(self) -> list[Voice]:
        return [Voice(name) for name in wire.VOICES]

    def close(self) -> None:
        self.client.close()


class SdkStream(SpeechStream):
    """The SDK's streaming response, read on its own thread, so that the request is sent at once."""

    def __init__(self, backend: OpenAIBackend, request: SpeechRequest) -> None:
        self.expected = wire.expected_encoding(request.codec)
        self.timestamps = {"request_sent": time.monotonic()}
        self._backend = backend
        self._request = request
        self._where = str(backend.client.base_url.host)
        is_pcm = request.codec == "pcm"
        self._pcm_is_defined = is_pcm and wire.pcm_is_defined(self._where, request.model or wire.DEFAULT_MODEL)
        self._rate = wire.PCM.rate if is_pcm and not (self._pcm_is_defined or backend.rate_is_refused) else None
        self._received = 0
        self._headers: dict[str, str] = {}
        self._redirects = 0
        self._handoff: BoundedQueue[bytes] = BoundedQueue(AHEAD_BYTES)
        self._connection: Any = None
        """httpcore's network stream while it is used: the SDK has no other way to cancel a wait."""
        threading.Thread(target=self._run, name="voice-openai", daemon=True).start()

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._handoff:  # noqa: UP028  closing a `yield from` would call the handoff's close()
                yield data
        finally:
            self.cancel()

    def cancel(self) -> None:
        self._handoff.cancel()
        connection = self._connection
        sock = connection.get_extra_info("socket") if self._handoff.cancelled and connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def watch(self, request: Any) -> None:
        """Trace the request to know its connection. httpx calls it on the stream's thread."""
        self._connection = self._backend.latest_connection  # a kept connection may be used again
        request.extensions["trace"] = self._on_event

    def check(self, response: Any) -> None:
        """Read the beginning of the body of an error. httpx calls it on the stream's thread.

        httpx follows all redirections that this does not refuse: those with 307 and 308 to the same origin.

        Raises:
            ServerError: the response is another redirection.

        """
        if response.is_success:
            return
        limit = LARGEST_ENCODED_ERROR if "content-encoding" in response.headers else LARGEST_ERROR
        body = bytearray()
        with contextlib.closing(response.stream), contextlib.suppress(Exception):  # the status is the error to report
            for data in response.stream:
                body += data
                if len(body) >= limit:
                    break
        response.stream = type(response)(200, content=bytes(body[:limit])).stream
        if not response.has_redirect_location:
            return
        url, location = str(response.url), response.headers["location"]
        target = redirected_url(url, location) if response.status_code in (307, 308) else None
        if target is None or self._redirects >= MAX_REDIRECTS:
            base = redirected_base(url, location, wire.SPEECH_PATH)
            raise redirected(self._where, base, f" ({response.status_code})")
        self._redirects += 1
        response.headers["location"] = target

    def _on_event(self, name: str, info: dict[str, Any]) -> None:
        if name.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._connection = self._backend.latest_connection = info["return_value"]

    def _run(self) -> None:
        _thread.stream = self
        try:
            try:
                self._read()
            except self._backend.sdk.APIStatusError as exc:
                if exc.status_code not in (400, 422) or wire.RATE_KEY not in exc.response.text or not self._rate:
                    raise
                self._backend.rate_is_refused, self._rate = True, None
                self._read()
            self._handoff.close()
        except Exception as exc:
            self._handoff.close(self._failure(exc))
        finally:
            self.timestamps["last_byte"] = time.monotonic()
            self._connection = None

    def _read(self) -> None:
        request = self._request
        omit = self._backend.sdk.omit
        with self._backend.client.audio.speech.with_streaming_response.create(
            input=request.text,
            model=request.model or wire.DEFAULT_MODEL,
            voice=request.voice or wire.DEFAULT_VOICE,
            response_format=request.codec,
            speed=omit if request.speed is None else request.speed,
            instructions=omit if request.instructions is None else request.instructions,
            extra_body={wire.RATE_KEY: self._rate} if self._rate else None,
        ) as response:
            from voice_cli.codecs.media_types import encoding_in  # not needed for the request

            self.announced = encoding_in(response.headers, self.expected if self._pcm_is_defined else None)
            self._headers = {name.lower(): value for name, value in response.headers.items()}
            self.total_bytes = body_length(self._headers)
            self.end_is_marked = bool({"content-length", "transfer-encoding"} & set(response.headers))
            for data in response.iter_bytes():
                if data and not self._received:
                    self.timestamps["first_byte"] = time.monotonic()
                self._received += len(data)
                if data and not self._handoff.put(data):
                    return

    def _failure(self, exc: Exception) -> VoiceError:
        sdk, where = self._backend.sdk, self._where
        failure: VoiceError
        if isinstance(exc, VoiceError):
            return exc
        if isinstance(exc.__cause__, VoiceError):  # some versions of the SDK wrap what `check` raises
            return exc.__cause__
        if isinstance(exc, sdk.APIStatusError):
            message = wire.error_message(exc.response.content)
            failure = refusal(exc.status_code, message, where=where, headers=exc.response.headers)
        elif isinstance(exc, sdk.APITimeoutError):
            failure = NetworkError(f"{where} did not answer in time", hint=Hint("raise {timeout}"), is_transient=True)
        elif self._received:  # while a body is read, the SDK raises httpx's errors
            ended = type(exc).__name__ == "RemoteProtocolError"  # httpx's: closed in good order, but before the end
            failure = broken(where, self._received, self._headers if ended else None)
        else:
            failure = NetworkError(
                f"cannot reach {where}: {one_line(str(exc.__cause__ or exc))}", is_transient=not _is_untrusted(exc)
            )
        failure.__cause__ = exc
        return failure


def _is_untrusted(exc: BaseException) -> bool:
    """Return whether the server's certificate is the cause of an error of the SDK."""
    cause: BaseException | None = exc
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
