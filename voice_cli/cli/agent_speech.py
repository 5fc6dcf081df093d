"""A speech of the agent: `say` for a client, whose text, files and terminal are at the other end of the socket."""

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from voice_cli.agent.kept import KeptBackends, KeptSink
from voice_cli.agent.messages import Message, ProtocolError
from voice_cli.agent.priorities import DEFAULT
from voice_cli.agent.session import Declined, Session, field
from voice_cli.backends import BACKENDS, is_remote
from voice_cli.backends.base import Backend
from voice_cli.cli import quick
from voice_cli.cli.agent_relay import Relay, RelayRecorder
from voice_cli.cli.caching import with_cache
from voice_cli.cli.console import print_message
from voice_cli.cli.history import remember, repeated
from voice_cli.cli.keys import TICK
from voice_cli.cli.narrating import checked_text, decoded_file, has_many, narrate, source_of
from voice_cli.cli.options import SayOptions, options
from voice_cli.cli.playing import (
    device_of,
    learn,
    learned_of,
    make_player,
    normalizer_of,
    speech_of,
    subtitles_of,
    wake_of,
)
from voice_cli.cli.report import account_of
from voice_cli.cli.say import backend_options, with_engine
from voice_cli.config import Config, Settings, load, parse, settle
from voice_cli.errors import Interrupted, UsageError, VoiceError
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.playback.sinks.portaudio import STREAM_PROPERTIES, is_stuck
from voice_cli.playback.timeline import Timeline
from voice_cli.state_file import state_path

if TYPE_CHECKING:
    from voice_cli.agent.host import Host
    from voice_cli.agent.turns import Turn
    from voice_cli.speech.narration import Narration

PROCESS_VARIABLES = ("PULSE_", "PIPEWIRE_", "ALSA_", "SSL_CERT_", "CURL_", "ESPEAK", "HF_", "CUDA_", "ORT_")
"""The start of the names of variables that libraries read, and that one process has once."""


def libraries_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a client of this machine must share with the agent."""
    return {
        name: value
        for name, value in environment.items()
        if (
            name.startswith(PROCESS_VARIABLES) or name.lower().endswith("_proxy") or name in ("HOME", "LD_LIBRARY_PATH")
        )
        and name not in STREAM_PROPERTIES
    }


MAX_REPLAYED = 100_000
"""The most characters of a text that can be spoken again."""


class AgentSpeech:
    """One `say` of a client."""

    def __init__(
        self, number: int, message: Message, session: Session, host: "Host", sink: KeptSink, backends: KeptBackends
    ) -> None:
        """Read the message.

        Raises:
            ProtocolError: it is not valid.

        """
        self.id = number
        self.name: str = field(message, "name", str) or ""
        self.player: Player | None = None
        self._session = session
        self._host = host
        self._sink = sink
        self._backends = backends
        self._arguments = _strings(message, "arguments")
        self._values = _options(message)
        self._environment: Mapping[str, str] = (
            _table(message, "environment") if "environment" in message else os.environ
        )
        self._folder: str | None = field(message, "folder", str)
        self._config: dict[str, Any] | None = field(message, "config", dict)
        self._terminals = _strings(message, "terminals")
        self._has_stdin: bool = field(message, "stdin", bool, True)
        self._program: str | None = field(message, "program", str)
        self._started = time.monotonic() - max(0.0, field(message, "age", float, 0.0))
        self._options: SayOptions | None = None
        self._cancelled = threading.Event()
        self._ended = threading.Event()
        self._outcome: dict[str, Any] | None = None

    def cancel(self) -> None:
        self._cancelled.set()
        player = self.player
        if player is not None:
            player.cancel()

    def wait_for_end(self, timeout: float) -> dict[str, Any] | None:
        self._ended.wait(timeout)
        return self._outcome

    def run(self) -> None:
        """Speak, and send what happens."""
        try:
            self._run()
        except Declined as exc:
            self._session.send({"type": "declined", "reason": str(exc)})
        except Exception as exc:  # a fault of the agent; the client must not wait
            self._session.send_error(VoiceError(f"internal error of the agent: {type(exc).__name__}: {exc}"))
            raise
        finally:
            self._host.forget(self)
            self._ended.set()

    def _run(self) -> None:
        settings: Settings | None = None
        narration: Narration | None = None
        result: PlaybackResult | None = None
        subtitles: str | None = None
        error: BaseException | None = None
        turn: Turn | None = None
        queued: float | None = None
        try:
            options = self._parse()
            options.check()
            settings = self._settings(options)
            text, recorder = self._accept(options, settings)
            if not options.no_play:
                self._session.limit_sending()
                began = time.monotonic()
                turn = self._take_turn(options, text)
                turn.wait(self._cancelled.wait, self._send_queued)
                queued = time.monotonic() - began
            with contextlib.ExitStack() as backends:
                backend = self._open(backends, settings)
                try:
                    self._session.text.set_pause(settings.defaults.flush_after)
                    open_fallback = partial(self._open, backends)
                    narration = narrate(
                        backend, options, settings, text, self._session.text, open_fallback, self._environment
                    )
                    result = self._play(narration, backend, settings, options, recorder, turn)
                finally:
                    if narration is not None:
                        narration.cancel()
            if options.subtitles is not None:
                subtitles = subtitles_of(result, options.subtitles)
            error = result.error
        except Declined:
            raise
        except Exception as exc:
            error = exc
        finally:
            if turn is not None:
                turn.release()
        self._end(settings, narration, result, error, queued, subtitles)

    def _open(self, backends: contextlib.ExitStack, settings: Settings) -> Backend:
        """Return the backend of a profile, which is in use until `backends` is closed."""

        def use() -> contextlib.AbstractContextManager[Backend]:
            return self._backends.use(*backend_options(settings, note=self._note, environment=self._environment))

        return backends.enter_context(with_cache(settings, use, self._environment))

    def _parse(self) -> SayOptions:
        options = quick.parse(["say", *self._arguments])
        if options is None:
            raise Declined("arguments")
        options = options._replace(**self._values)
        self._options = options
        if self._program is not None:
            if self._program != self._host.version:
                self._host.end()
                raise Declined("version")
            if libraries_environment(self._environment) != libraries_environment(os.environ):
                raise Declined("environment")
        return options

    def _settings(self, options: SayOptions) -> Settings:
        if self._config is None:
            config: Config = load(environment=self._environment)
        else:
            text = self._config.get("text")
            data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else None
            config = parse(str(self._config.get("path")), data, self._environment)
        settings = settle(config, options.flags(), self._environment, backend_names=BACKENDS)
        settings = with_engine(settings, self._environment)
        if settings.defaults.agent == "off":
            raise Declined("off")
        localized = self._localized(settings)
        return localized._replace(fallbacks=tuple(map(self._localized, settings.fallbacks)))

    def _localized(self, settings: Settings) -> Settings:
        """Make paths that are relative to the client's folder absolute."""
        if is_remote(str(settings.profile.backend)) or self._folder is None:
            return settings
        paths: dict[str, Any] = {}
        for name, exists in (("model", os.path.exists), ("voices", os.path.isdir), ("voice", os.path.isfile)):
            value = getattr(settings.profile, name)
            if value and exists(path := os.path.join(self._folder, value)):
                paths[name] = path
        return settings._replace(profile=settings.profile._replace(**paths)) if paths else settings

    def _accept(self, options: SayOptions, settings: Settings) -> tuple[str | None, RelayRecorder | None]:
        """Send `accepted`, and return the text (None: it is still arriving) and the recorder."""
        session = self._session
        source = source_of(options, has_stdin=self._has_stdin, is_terminal="stdin" in self._terminals)
        text = checked_text(" ".join(options.text)) if source is None else None
        is_file = source not in (None, "-")
        if is_file:
            session.text.collect()
        session.is_detached = options.detach
        waits = options.save is not None or options.subtitles is not None
        session.send(
            {
                "type": "accepted",
                "id": self.id,
                "options": options._asdict(),
                "many": has_many(options, settings) or settings.defaults.normalize,
                "backend": settings.profile.backend,
                "reads": source,
                "waits": waits,
            }
        )
        if waits:
            while not session.ready.wait(TICK):
                if self._cancelled.is_set():
                    raise Interrupted("interrupted")
        if is_file and source is not None:
            text = decoded_file(session.text.whole(self._cancelled.wait), source)
        return text, RelayRecorder(session, session.kept_codec) if options.save is not None else None

    def _take_turn(self, options: SayOptions, text: str | None) -> "Turn":
        turn = self._host.turns.take(
            options.priority or DEFAULT,
            options.mode,
            id=self.id,
            agent=self._host.path,
            name=self.name,
            text=text or "",
        )
        for ticket in turn.cancelled:
            self._host.cancel(ticket)
        return turn

    def _send_queued(self, ahead: int) -> None:
        self._session.send({"type": "queued", "ahead": ahead})

    def _note(self, line: str) -> None:
        self._session.send({"type": "note", "text": line})

    def _play(
        self,
        narration: "Narration",
        backend: Backend,
        settings: Settings,
        options: SayOptions,
        recorder: RelayRecorder | None,
        turn: "Turn | None",
    ) -> PlaybackResult:
        learned = learned_of(backend, settings, state_path(self._environment))
        sink = None
        if turn is not None:
            sink = self._sink.at(device_of(settings), learned.latency, wake_of(settings, turn))
        expected = backend.expected(settings.profile.format or "pcm").format
        normalizer = normalizer_of(narration, backend, settings, state_path(self._environment))
        timeline = Timeline({"process_start": self._started})
        player = make_player(sink, expected, settings, recorder, timeline, learned, normalizer=normalizer)
        self.player = player
        if self._cancelled.is_set():
            player.cancel()
        relay = Relay(
            self._session,
            narration,
            shows=options.show,
            watches="stderr" in self._terminals,
            events_since=self._started if options.events else None,
        )

        def tick(player: Player) -> None:
            if turn is not None and turn.is_cancelled:
                self.cancel()
            relay.update(player)

        result = player.play(speech_of(narration, settings, backend), on_tick=tick)
        relay.finish(player, result)
        if is_stuck():  # a thread of PortAudio is lost: the next speech gets another agent
            self._host.end()
        learn(learned, result, settings, options, normalizer)
        return result

    def _again(self, narration: "Narration", options: SayOptions) -> Message:
        """Return the message with which this speech can be spoken again."""
        return {
            "type": "say",
            "options": {"text": [narration.text()], **repeated(options)},
            "environment": dict(self._environment),
            "config": self._config,
            "folder": self._folder,
            "name": self.name,
        }

    def _end(
        self,
        settings: Settings | None,
        narration: "Narration | None",
        result: PlaybackResult | None,
        error: BaseException | None,
        queued: float | None,
        subtitles: str | None,
    ) -> None:
        account = account_of(settings, narration, result, error, queued=queued)
        if account["debug"] is not None:  # the client has another clock, perhaps
            times = account["debug"]["timestamps"]
            account["debug"]["timestamps"] = {name: at - self._started for name, at in times.items()}
        self._outcome = account["json"]
        if error is not None and self._session.is_detached and not isinstance(error, Interrupted):
            print_message(f"speech {self.id}: {error}")  # to the log: no client reports it
        if settings is not None and narration is not None and self._options is not None and not self._options.no_play:
            again = self._again(narration, self._options)
            if result is not None:
                again["history"] = remember(settings, self._options, narration, account, self._environment)
            if len(again["options"]["text"][0]) <= MAX_REPLAYED:
                self._host.remember(again)
        options = self._options or SayOptions()
        message: Message = {"type": "end", "account": account, "subtitles": subtitles, "options": options._asdict()}
        if error is not None and options.debug:
            import traceback

            message["traceback"] = "".join(traceback.format_exception(error))
        self._session.send(message)


def _options(message: Message) -> dict[str, Any]:
    """Return the field `options`: values of options by name, such as `base_url`, besides `arguments`."""
    kinds = {name: option.kind for name, option in options().items()}
    values = field(message, "options", dict, {})
    found: dict[str, Any] = {"text": tuple(_strings({**values, "type": "say"}, "text"))} if "text" in values else {}
    for name in values.keys() - {"text"}:
        if name not in kinds:
            raise UsageError(f"there is no option {name!r}")
        found[name] = field({**values, "type": "say"}, name, kinds[name])
    return found


def _strings(message: Message, name: str) -> list[str]:
    values = field(message, name, list, [])
    if not all(isinstance(value, str) for value in values):
        raise ProtocolError(f"{name} of the message {message['type']} must be a list of strings")
    return list(values)


def _table(message: Message, name: str) -> dict[str, str]:
    values = field(message, name, dict, {})
    if not all(isinstance(value, str) for value in values.values()):
        raise ProtocolError(f"{name} of the message {message['type']} must be an object of strings")
    return dict(values)
