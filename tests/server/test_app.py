"""The app on any ASGI host."""

import asyncio
import json

import pytest

from support.environment import cleaned
from support.loops import run
from support.speech_app import SpeechApp, SteppedEngine, sound_of
from voice_cli import __version__
from voice_cli.errors import ConfigError, EngineError
from voice_cli.server.app import create_app
from voice_cli.server.settings import Server, ServerSettings


async def call(app, method, path, content=None):
    """Call an app directly; return status, headers and body."""
    body = b"" if content is None else json.dumps(content).encode()
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    sent = []

    async def receive():
        if incoming:
            return incoming.pop()
        return await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": headers,
    }
    await app(scope, receive, send)
    start, *bodies = sent
    return start["status"], dict(start["headers"]), b"".join(message.get("body", b"") for message in bodies)


def test_it_runs_on_any_host():
    engine = SteppedEngine()
    app = create_app(ServerSettings(Server()), engine)

    async def main():
        async with app.router.lifespan_context(app):
            status, headers, body = await call(
                app, "POST", "/v1/audio/speech", {"input": "Hello.", "response_format": "pcm"}
            )
            assert (status, body) == (200, sound_of("Hello."))
            assert headers[b"content-type"].startswith(b"audio/pcm")
        with pytest.raises(RuntimeError, match="closed"):
            engine.synthesize(None)

    run(main)


def test_settings_come_from_the_config_file_by_default(monkeypatch, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("[server]\nmax_text = 5\n")
    cleaned(monkeypatch, VOICE_CONFIG=str(config))
    app = create_app(backend=SteppedEngine())

    async def main():
        async with app.router.lifespan_context(app):
            assert (await call(app, "POST", "/v1/audio/speech", {"input": "123456"}))[0] == 400
            assert (await call(app, "POST", "/v1/audio/speech", {"input": "12345"}))[0] == 200

    run(main)
    config.write_text("[server]\nmax_text = 0\n")
    with pytest.raises(ConfigError):
        create_app()


def test_an_engine_load_failure_fails_the_startup():
    app = create_app(ServerSettings(Server()), SteppedEngine(lambda _: [EngineError("no model")]))

    async def main():
        with pytest.raises(EngineError, match="no model"):
            async with app.router.lifespan_context(app):
                pass

    run(main)


def test_cancelling_startup_does_not_wait_for_the_engine():
    engine = SteppedEngine()
    engine.hold()
    app = create_app(ServerSettings(Server()), engine)

    async def main():
        async def opened():
            async with app.router.lifespan_context(app):
                raise AssertionError("the app started")

        opening = asyncio.create_task(opened())
        await asyncio.to_thread(engine.wait_for_requests, 1)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    run(main)
    engine.wait_until_idle()


def test_the_openapi_description_has_every_route():
    with SpeechApp(SteppedEngine()) as app:
        described = app.request("GET", "/openapi.json").json
        assert described["info"]["version"] == __version__
        paths = {(path, method) for path, methods in described["paths"].items() for method in methods}
        assert paths >= {
            ("/v1/audio/speech", "post"),
            ("/v1/models", "get"),
            ("/v1/audio/voices", "get"),
            ("/health", "get"),
            ("/metrics", "get"),
            ("/preload", "post"),
            ("/warmup", "post"),
            ("/synthesize", "post"),
        }
        assert app.request("GET", "/docs").status == app.request("GET", "/redoc").status == 404, (
            "they load remote scripts"
        )


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/audio/speech", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/audio/speech", 400, None),
    ],
)
def test_every_error_has_one_shape(method, path, status, code):
    with SpeechApp(SteppedEngine()) as app:
        answer = app.request(method, path)
        assert answer.status == status
        error = answer.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert code in (None, error["code"])
        assert status != 405 or answer.headers["allow"] in ("POST", "GET", "GET, HEAD", "HEAD, GET")
