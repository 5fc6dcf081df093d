"""The server as an ASGI app."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from voice_cli import __version__
from voice_cli.backends.base import Backend
from voice_cli.config import load
from voice_cli.errors import VoiceError
from voice_cli.queues import BoundedQueue
from voice_cli.server.errors import Problem, problem_of
from voice_cli.server.guard import OPEN_PATHS, BodyRefused, Guard, log_stream
from voice_cli.server.routes import chatterbox, omni, openai, page, status, twilio, vibevoice
from voice_cli.server.service import Service
from voice_cli.server.settings import LOOPBACK, ServerSettings, allowed_origins, settle_server


def create_app(settings: ServerSettings | None = None, backend: Backend | None = None) -> FastAPI:
    """Return the app; its lifespan loads the engine and closes it. `app.state` has its `service` and `calls`.

    `settings`: those of the config file and the environment by default. `backend`: an engine that is open already.

    Raises:
        ConfigError, UsageError, BackendError: the settings are wrong, or `open_backend` failed.

    """
    if settings is None:
        settings = settle_server(load(), {})
    server = settings.server
    service = Service(settings, backend)
    service.on_end = log_stream

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            await _in_thread(service.warm_up)
            yield
        finally:
            service.close()

    app = FastAPI(
        title="voice",
        version=__version__,
        summary="A streaming speech server.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.calls = {}
    for module in (openai, chatterbox, vibevoice, omni, twilio, status, page):
        app.include_router(module.router)
    app.add_exception_handler(VoiceError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_status)
    app.add_exception_handler(Exception, _on_error)
    origins = list(allowed_origins(server))
    app.add_middleware(
        Guard,
        keys=settings.api_keys,
        origins=origins,
        loopback=server.host in LOOPBACK and not settings.insecure,
        max_body=4 * server.max_text + 65_536,
    )
    if origins:  # outside the guard, so that a page may read its errors
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"])
    if settings.api_keys:
        app.openapi = partial(_description_with_keys, app)  # type: ignore[method-assign]
    return app


def _description_with_keys(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description with the API key added."""
    if app.openapi_schema is None:
        description = FastAPI.openapi(app)
        description["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        }
        answer = {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}
        for path, methods in description["paths"].items():
            for operation in methods.values() if path not in OPEN_PATHS else ():
                operation["security"] = [{"bearer": []}, {"header": []}]
                operation["responses"]["401"] = {"description": "No key", "content": {"application/json": answer}}
        app.openapi_schema = description
    return app.openapi_schema


async def _in_thread(work: Callable[[], None]) -> None:
    """Run in a daemon thread, which does not delay the loop's end if cancelled; `to_thread` would."""
    done: BoundedQueue[None] = BoundedQueue(1)

    def run() -> None:
        try:
            work()
        except BaseException as exc:
            done.close(exc)
        done.close()

    threading.Thread(target=run, name="voice-warm-up", daemon=True).start()
    await done.take()


_INVALID = {
    "missing": "is missing",
    "string_type": "must be a string",
    "string_too_short": "is empty",
    "string_too_long": "has more than {max_length} characters",
    "string_pattern_mismatch": "is not a valid name",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
}
"""What is wrong with a parameter, by pydantic's name of the error."""


async def _on_error(_request: Request, error: Exception) -> Response:
    return problem_of(error).response()


async def _on_invalid(_request: Request, error: Exception) -> Response:
    """Return a body's validation error in OpenAI's shape, without the body's values."""
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    # Of a parameter that takes several types, the error of the type that it has.
    found: Mapping[str, Any] = min(errors, key=lambda one: one["type"].endswith(("_type", "literal_error")), default={})
    kind = str(found.get("type") or "invalid")
    param = next((str(step) for step in found.get("loc", ())[1:2] if isinstance(step, str)), None)
    if kind in ("json_invalid", "model_attributes_type") or param is None:
        return Problem(400, "the request is not a JSON object", "invalid_request_error", code=kind).response()
    reason = _INVALID.get(kind, "is not valid").format_map(defaultdict(str, found.get("ctx", {})))
    return Problem(400, f"{param} {reason}", "invalid_request_error", param, kind).response()


async def _on_status(_request: Request, error: Exception) -> Response:
    error = cast("HTTPException", error)
    code = error.code if isinstance(error, BodyRefused) else error.detail.lower().replace(" ", "_")
    answer = Problem(error.status_code, error.detail, "invalid_request_error", code=code).response()
    answer.headers.update(error.headers or {})
    return answer
