"""The server's own errors, and OpenAI's shape of every error: `{"error": {message, type, param, code}}`.

::

    UsageError
    └── OrderError             a request with a wrong parameter
        └── VoiceNotFoundError
    RateLimitError
    └── OverloadError          the admission limit is reached
    ServerError
    ├── LateError              a stream ran into a time limit
    └── DrainingError          the server is shutting down
"""

import json
from typing import Any, NamedTuple

from pydantic import BaseModel
from starlette.responses import Response

from voice_cli.backends.base import UnknownVoiceError
from voice_cli.errors import EngineError, Hint, NetworkError, RateLimitError, ServerError, UsageError, VoiceError


class OrderError(UsageError):
    """A request with a wrong parameter; `param` and `code` are those of OpenAI's errors."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = "invalid_value",
        hint: str | Hint | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.param = param
        self.code = code


class VoiceNotFoundError(OrderError):
    """The server has no voice with that id."""

    def __init__(self, *, param: str | None = None) -> None:
        super().__init__(
            "there is no such voice", param=param, code="voice_not_found", hint=Hint("choose one of {list_voices}")
        )


class OverloadError(RateLimitError):
    """The admission limit is reached."""


class LateError(ServerError, kind="late"):
    """A stream ran into a time limit."""


class DrainingError(ServerError, kind="draining"):
    """The server is shutting down."""


class Problem(NamedTuple):
    """An error as a client gets it."""

    status: int
    message: str
    type: str
    param: str | None = None
    code: str | None = None
    retry_after: int | None = None

    @property
    def error(self) -> dict[str, Any]:
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def response(self) -> Response:
        headers = {"retry-after": str(self.retry_after)} if self.retry_after is not None else {}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return Response(json.dumps({"error": self.error}), self.status, headers, "application/json")


def problem_of(error: BaseException) -> Problem:
    """Return what a client gets for an error. Other packages' messages may hold secrets and are left out."""
    if not isinstance(error, VoiceError):
        return Problem(500, "the server failed", "server_error", code="internal_error")
    message = error.message + (f" ({error.hint})" if error.hint else "")
    if isinstance(error, OrderError):
        return Problem(error.status, message, "invalid_request_error", error.param, error.code)
    if isinstance(error, UsageError):
        code = "voice_not_found" if isinstance(error, UnknownVoiceError) else "invalid_value"
        return Problem(400, message, "invalid_request_error", code=code)
    if isinstance(error, OverloadError):
        return Problem(429, message, "rate_limit_error", code="rate_limit_exceeded", retry_after=1)
    if isinstance(error, LateError | DrainingError):
        return Problem(503, message, "server_error", code=error.kind, retry_after=1)
    status = 502 if isinstance(error, NetworkError) else 500
    code = "engine_error" if isinstance(error, EngineError) else error.kind
    return Problem(status, error.message, "server_error", code=code)


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    error: ErrorBody


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route for these error statuses."""
    return {status: {"model": ErrorAnswer} for status in statuses}
