"""The official SDK, for what only it knows: Azure, and its own ways to authenticate.

It takes half a second to import, which the `http` backend does without; so it is loaded only when it is chosen. The
key, the organisation and the address come from the SDK's own environment variables where the profile names none.
"""

import os
import time
from collections.abc import Iterator
from typing import Any

from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream, Voice
from voice_cli.backends.failures import refusal
from voice_cli.errors import ConfigError, Interrupted, NetworkError, TruncatedAudio, one_line
from voice_cli.protocol import openai as wire
from voice_cli.protocol.media_types import encoding_of


class OpenAIBackend(Backend):
    """OpenAI, or Azure OpenAI where the address is one of Azure's or AZURE_OPENAI_ENDPOINT is set."""

    name = "openai"

    def __init__(self, base_url: str | None = None, *, api_key: str | None = None, timeout: float = 60.0) -> None:
        """Make the client; nothing is sent yet.

        Raises:
            ConfigError: the SDK finds no key, or lacks something else that it needs.

        """
        import openai

        self._sdk = openai
        endpoint = base_url or os.environ.get("AZURE_OPENAI_ENDPOINT", "")
        make: Any = openai.OpenAI
        options: dict[str, Any] = {"api_key": api_key, "timeout": timeout, "max_retries": 0}
        if ".azure.com" in endpoint:
            make = openai.AzureOpenAI
            options |= {"azure_endpoint": endpoint} if base_url else {}
        else:
            options |= {"base_url": base_url}
        try:
            self._client = make(**options)
        except (openai.OpenAIError, ValueError) as exc:
            raise ConfigError(f"the openai SDK cannot start: {one_line(str(exc))}") from exc

    def synthesize(self, request: SpeechRequest) -> "SdkStream":
        return SdkStream(self._sdk, self._client, request)

    def voices(self) -> list[Voice]:
        return [Voice(name) for name in wire.VOICES]

    def close(self) -> None:
        self._client.close()


class SdkStream(SpeechStream):
    """The SDK's streaming response. The request leaves when the iteration begins: the SDK knows no other way."""

    def __init__(self, sdk: Any, client: Any, request: SpeechRequest) -> None:
        self.expected = wire.expected_encoding(request.codec)
        self.announced = None
        self.moments = {}
        self._sdk = sdk
        self._client = client
        self._request = request
        self._response: Any = None
        self._cancelled = False
        self._received = 0

    def __iter__(self) -> Iterator[bytes]:
        sdk = self._sdk
        where = str(self._client.base_url.host)
        try:
            yield from self._chunks()
        except sdk.APIStatusError as exc:
            headers = exc.response.headers
            raise refusal(
                exc.status_code,
                wire.error_message(exc.response.content) or one_line(exc.message),
                where=where,
                retry_after=headers.get("retry-after"),
                location=headers.get("location"),
            ) from exc
        except sdk.OpenAIError as exc:
            self._stop_if_cancelled(exc)
            if isinstance(exc, sdk.APITimeoutError):
                raise NetworkError(f"{where} did not answer in time", hint="--timeout gives it longer") from exc
            reason = one_line(str(exc.__cause__ or exc))
            raise NetworkError(f"{where} was not reached: {reason}") from exc
        except (GeneratorExit, Interrupted):
            raise
        except Exception as exc:  # the SDK lets its HTTP library's errors through while a body is read
            self._stop_if_cancelled(exc)
            if self._received:
                raise TruncatedAudio(f"the connection to {where} broke after {self._received} bytes of audio") from exc
            raise NetworkError(f"the request to {where} failed: {one_line(str(exc))}") from exc
        finally:
            self.moments["last_byte"] = time.monotonic()

    def _chunks(self) -> Iterator[bytes]:
        request = self._request
        omit = self._sdk.omit
        self._stop_if_cancelled(None)
        self.moments["request_sent"] = time.monotonic()
        with self._client.audio.speech.with_streaming_response.create(
            input=request.text,
            model=request.model or wire.DEFAULT_MODEL,
            voice=request.voice or wire.DEFAULT_VOICE,
            response_format=request.codec,
            speed=omit if request.speed is None else request.speed,
            instructions=omit if request.instructions is None else request.instructions,
        ) as response:
            self._response = response
            self.announced = encoding_of(response.headers.get("content-type", ""))
            for data in response.iter_bytes():
                self._stop_if_cancelled(None)
                if data:
                    if not self._received:
                        self.moments["first_byte"] = time.monotonic()
                    self._received += len(data)
                    yield data

    def _stop_if_cancelled(self, cause: BaseException | None) -> None:
        if self._cancelled:
            raise Interrupted("interrupted") from cause

    def cancel(self) -> None:
        self._cancelled = True
        response = self._response
        if response is not None:
            response.close()
