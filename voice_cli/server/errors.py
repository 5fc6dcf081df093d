"""What went wrong, as a status and a body of OpenAI's shape: `{"error": {message, type, param, code}}`."""

import json
from typing import Any, NamedTuple

from pydantic import BaseModel
from starlette.responses import Response

from voice_cli.backends.base import UnknownVoiceError
from voice_cli.errors import EngineError, NetworkError, UsageError, VoiceError
from voice_cli.server.service import DrainingError, LateError, OverloadError


class OrderError(UsageError):
    """An order that cannot be, with what OpenAI's clients are told of it."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


class Problem(NamedTuple):
    """An answer instead of speech."""

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
    """Say what a client is told of an error. What is none of ours is told without its words."""
    if isinstance(error, OrderError):
        return Problem(error.status, error.message, "invalid_request_error", error.param, error.code)
    if isinstance(error, UsageError):
        code = "voice_not_found" if isinstance(error, UnknownVoiceError) else "invalid_value"
        return Problem(400, _told(error), "invalid_request_error", code=code)
    if isinstance(error, OverloadError):
        return Problem(429, _told(error), "rate_limit_error", code="rate_limit_exceeded", retry_after=error.retry_after)
    if isinstance(error, LateError | DrainingError):
        return Problem(503, _told(error), "server_error", code=error.kind, retry_after=1)
    if isinstance(error, NetworkError):
        return Problem(502, error.message, "server_error", code=error.kind)
    if isinstance(error, EngineError):
        return Problem(500, error.message, "server_error", code="engine_error")
    if isinstance(error, VoiceError):
        return Problem(500, error.message, "server_error", code=error.kind)
    return Problem(500, "the server failed", "server_error", code="internal_error")


def _told(error: VoiceError) -> str:
    return error.message + (f" ({error.hint})" if error.hint else "")


class ErrorBody(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """OpenAI's shape of an error."""

    error: ErrorBody


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Give what a route's description says of its errors."""
    return {status: {"model": ErrorAnswer} for status in statuses}
