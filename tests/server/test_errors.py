"""Error responses: a status, OpenAI's shape, and no internal details."""

import json

import pytest

from voice_cli.backends.base import UnknownVoiceError
from voice_cli.errors import DecodeError, EngineError, Hint, NetworkError, ServerError, UsageError, VoiceError
from voice_cli.server.errors import (
    DrainingError,
    LateError,
    OrderError,
    OverloadError,
    Problem,
    VoiceNotFoundError,
    problem_of,
)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "retry"),
    [
        (OrderError("no", status=404, param="voice", code="gone"), 404, "invalid_request_error", "gone", None),
        (UnknownVoiceError("there is none"), 400, "invalid_request_error", "voice_not_found", None),
        (VoiceNotFoundError(), 400, "invalid_request_error", "voice_not_found", None),
        (UsageError("a voice takes no such speed"), 400, "invalid_request_error", "invalid_value", None),
        (UsageError("the text is blank"), 400, "invalid_request_error", "invalid_value", None),
        (OverloadError("full"), 429, "rate_limit_error", "rate_limit_exceeded", 1),
        (LateError("late"), 503, "server_error", "late", 1),
        (DrainingError("stops"), 503, "server_error", "draining", 1),
        (NetworkError("not reached"), 502, "server_error", "network", None),
        (EngineError("broken"), 500, "server_error", "engine_error", None),
        (ServerError("strange"), 500, "server_error", "server", None),
        (DecodeError("strange"), 500, "server_error", "decode", None),
        (VoiceError("strange"), 500, "server_error", "error", None),
    ],
)
def test_an_error_has_a_status_and_a_code(error, status, kind, code, retry):
    problem = problem_of(error)
    assert (problem.status, problem.type, problem.code, problem.retry_after) == (status, kind, code, retry)
    assert error.message in problem.message


@pytest.mark.parametrize("error", [KeyError("/etc/secret"), RuntimeError("sk-topsecret"), OSError(2, "no", "/home/me")])
def test_messages_of_other_exceptions_are_not_sent(error):
    problem = problem_of(error)
    assert (problem.status, problem.message, problem.code) == (500, "the server failed", "internal_error")


def test_hints_are_added_to_errors_that_clients_can_fix():
    assert problem_of(UsageError("too fast", hint="0.5 to 4")).message == "too fast (0.5 to 4)"
    assert problem_of(EngineError("broken", hint="pip install /home/me/x")).message == "broken"


def test_hints_name_no_flags():
    hint = Hint("choose one of {list_voices}, or leave {voice} out")
    for error in (UsageError("no", hint=hint), OrderError("no", hint=hint)):
        assert problem_of(error).message == "no (choose one of the list of voices, or leave the voice out)"


def test_the_response_has_openais_shape():
    answer = Problem(429, "come “again”", "rate_limit_error", "input", "busy", retry_after=3).response()
    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["retry-after"] == "3"
    assert json.loads(answer.body) == {
        "error": {"message": "come “again”", "type": "rate_limit_error", "param": "input", "code": "busy"}
    }
    assert Problem(401, "no", "invalid_request_error").response().headers["www-authenticate"] == "Bearer"
