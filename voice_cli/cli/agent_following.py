"""`voice say` through the agent: what happens after the request.

The agent sends what the player, the recorder and the displays of this process would get, and they do the same with it.
If the agent dies, this process speaks what was not heard.
"""

import threading
from _socket import SHUT_RD
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING

from voice_cli.agent.messages import LONG_LINES, Message, MessageReader, ProtocolError, encode
from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.cli import interrupts
from voice_cli.cli.agent_text import TextSender, not_heard
from voice_cli.cli.console import check_writable, is_watched, print_note, report_error, write_file, write_stdout
from voice_cli.cli.options import SayOptions
from voice_cli.errors import FileError, Interrupted, TruncatedAudio, VoiceError, error_of

if TYPE_CHECKING:
    from _socket import socket

    from voice_cli.cli.event_lines import EventLines
    from voice_cli.cli.job_control import JobControl
    from voice_cli.cli.keys import Keys
    from voice_cli.cli.status import FileProgress, StandardOutput, StatusLine
    from voice_cli.recording.recorder import Recorder


class AgentDied(Exception):  # noqa: N818
    """The agent ended during the speech."""


def follow(connection: "socket") -> int | None:
    """Handle the agent's messages until the speech has ended; return the exit code; None: this process must speak."""
    interrupts.watch()
    followed = FollowedSpeech(connection)
    try:
        try:
            return followed.run()
        except AgentDied:
            return followed.speak_rest()
    except KeyboardInterrupt:
        return interrupts.exit_code()
    finally:
        connection.close()


class FollowedSpeech:
    """A speech that the agent speaks for this process."""

    def __init__(self, connection: "socket") -> None:
        self._connection = connection
        self._send_lock = threading.Lock()
        self._messages = self._read()
        self._options = SayOptions()
        self._accepted: Message = {}
        self._text: TextSender | None = None
        self._recorder: Recorder | None = None
        self._output: StandardOutput | None = None
        self._lines: EventLines | None = None
        self._status: StatusLine | FileProgress | None = None
        self._player = RemotePlayer(self._send)
        self._keys: Keys | None = None
        self._job: JobControl | None = None
        self._error: BaseException | None = None
        """The first error of this process's files."""
        self._heard: Message = {"rest": "", "end": 0}
        self._has_started = False

    def run(self) -> int | None:
        """Handle the agent's messages until the speech has ended, or a detached one has its text; return as `follow`.

        Raises:
            AgentDied: the agent ended first.

        """
        try:
            for message, payload in self._messages:
                kind = message["type"]
                if kind == "declined":
                    return None
                if kind == "accepted":
                    code = self._accept(message)
                    if code is not None:
                        return code
                elif kind == "end":
                    self._close_displays()
                    return self._finish(message)
                elif kind == "error" and message["of"] is None:
                    self._close_displays()
                    return self._conclude(error_of(message["kind"], message["message"], message["hint"]))
                else:
                    self._handle(kind, message, payload)
        finally:
            self._close_displays()
            self._close_recorder()
        if self._options.detach and self._text is not None and self._text.is_sent:
            write_stdout(str(self._accepted["id"]))
            return 0
        raise AgentDied

    def _close_displays(self) -> None:
        """Restore the terminal and the signals. Until then, what is printed goes to the status line's console."""
        for shown in (self._keys, self._job, self._status):
            if shown is not None:
                shown.close()
        self._keys = self._job = self._status = None

    def _read(self) -> Iterator[tuple[Message, bytes]]:
        reader = MessageReader(self._connection.recv, limit=LONG_LINES)
        with suppress(OSError, ProtocolError):
            while (read := reader.read()) is not None:
                yield read

    def _send(self, message: Message, payload: bytes = b"") -> None:
        """Send a message. If the agent has died, `_read` ends."""
        with self._send_lock, suppress(OSError):
            self._connection.sendall(encode(message, payload))

    def _end_messages(self) -> None:
        """End `_messages` after those that have arrived."""
        with suppress(OSError):
            self._connection.shutdown(SHUT_RD)

    def _cancel(self) -> None:
        self._send({"type": "cancel"})

    def _accept(self, message: Message) -> int | None:
        """Open files and displays for an accepted speech; return an exit code if it ends here."""
        self._accepted = message
        self._options = options = _options_of(message)
        interrupts.stop_with(self._cancel)
        if options.events:
            from voice_cli.cli.event_lines import EventLines

            self._lines = EventLines().start(message["backend"], message["id"])
        try:
            self._prepare_files(options)
            if message["reads"] is not None:
                sent = self._end_messages if options.detach else None
                self._text = TextSender(message["reads"], self._send, sent)
        except VoiceError as exc:
            self._connection.close()
            return self._conclude(exc)
        if options.detach:
            if self._text is not None:
                return None
            write_stdout(str(message["id"]))
            return 0
        if is_watched() and not (options.quiet or options.debug or options.show):
            from voice_cli.cli.status import status_line

            makes_file = options.no_play and message["many"]
            self._status = status_line(message["backend"], self._player, makes_file=makes_file)  # type: ignore[arg-type]
        if not options.no_play:
            from voice_cli.cli.job_control import JobControl

            self._job = JobControl(message["id"], lambda: self._player.is_paused)
        if not options.no_play and message["reads"] != "-":
            from voice_cli.cli.keys import Keys, are_usable

            if are_usable():
                self._player.id = message["id"]
                self._keys = Keys(self._player, self._status.note if self._status is not None else print_note)
        self._tick()
        return None

    def _prepare_files(self, options: SayOptions) -> None:
        if options.subtitles is not None:
            check_writable(options.subtitles)
        keeps = None
        if options.save is not None:
            from voice_cli.cli.saving import make_recorder

            self._recorder = make_recorder(options.save, many=self._accepted["many"])
            keeps = self._recorder.kept_codec
        if options.show:
            from voice_cli.cli.status import StandardOutput

            self._output = StandardOutput()
        if self._accepted["waits"]:
            self._send({"type": "ready", "keeps": keeps})

    def _conclude(self, error: VoiceError | None, spoken: str | None = None) -> int:
        """Report the outcome of a speech whose account the agent has not sent. `error` None: all was heard."""
        from voice_cli.cli.report import account_of, report

        self._close_recorder()
        has_traceback = error is not None and error.__traceback__ is not None  # not one that the agent sent
        code = report_error(error, debug=self._options.debug and has_traceback) if error is not None else 0
        account = account_of(None, None, None, error)
        account["json"] |= {"backend": self._accepted.get("backend"), "text_spoken": spoken}
        if error is None:
            account["json"]["outcome"] = "complete"
        report(self._options, account, saved=self._recorder.saved if self._recorder else None, lines=self._lines)
        return code

    def _close_recorder(self) -> None:
        """Close the file, if it is open, as that of a speech that has failed."""
        if self._recorder is not None:
            with suppress(VoiceError):
                self._recorder.close(complete=False)

    def _handle(self, kind: str, message: Message, payload: bytes) -> None:
        if kind == "heard":
            self._heard = message
        elif kind in ("done", "error"):
            self._player.answered()
        elif kind == "taken":
            if self._text is not None:
                self._text.credit(message["bytes"])
        elif kind == "shown" and self._output is not None:
            self._output.write(message["text"])
            if self._output.is_closed:
                self._cancel()
        elif kind == "event" and self._lines is not None:
            self._lines.send_object(message["fields"])
            if self._lines.is_closed:
                self._cancel()
        elif kind == "recording" and self._recorder is not None:
            recorder, codec = self._recorder, message["codec"]
            self._record(lambda: recorder.begin(codec))
        elif kind == "spliced" and self._recorder is not None:
            self._record(self._recorder.splice)
        elif kind == "recorded" and self._recorder is not None:
            self._record(lambda: self._write(message, payload))
        elif kind == "note":
            print_note(message["text"])
        elif kind == "queued":
            from voice_cli.cli.say import tell_waiting

            tell_waiting(message["ahead"], self._options, self._lines)
        elif kind == "started":
            self._has_started = True
        elif kind == "progress":
            self._player.set(message)
            self._tick()

    def _tick(self) -> None:
        if self._keys is not None:
            self._keys.poll(is_playing=self._has_started)
        if self._status is not None:
            self._status.update(self._player)  # type: ignore[arg-type]

    def _write(self, message: Message, payload: bytes) -> None:
        if self._recorder is not None:
            if "rate" in message:
                self._recorder.write_pcm(PcmChunk(AudioFormat(message["rate"], message["channels"]), payload))
            else:
                self._recorder.write_encoded(payload)

    def _record(self, action: Callable[[], None]) -> None:
        """Record; if the file cannot be written, the playback continues."""
        if self._error is None:
            try:
                action()
            except FileError as exc:
                self._error = exc
            except Interrupted:
                self._cancel()

    def _finish(self, message: Message) -> int:
        """Report the outcome as `say` does."""
        account = message["account"]
        sent = account["json"]["error"]
        self._options = options = _options_of(message)
        if self._recorder is not None:
            try:
                self._recorder.close(complete=sent is None and self._error is None)
            except VoiceError as exc:
                self._error = self._error or exc
        has_file_failed = self._error is not None
        if message["subtitles"] is not None and options.subtitles is not None:
            try:
                write_file(options.subtitles, message["subtitles"])
            except FileError as exc:
                self._error = self._error or exc
        for written in filter(None, (self._output, self._lines)):
            self._error = self._error or written.error
        code = 0
        if sent is not None:
            if options.debug and message.get("traceback"):
                from voice_cli.cli.console import print_traceback

                print_traceback(message["traceback"])
            code = report_error(error_of(sent["kind"], sent["message"], sent["hint"]), debug=False)
            if self._error is not None:
                report_error(self._error, debug=options.debug)
        elif self._error is not None:
            code = report_error(self._error, debug=options.debug)
        if account["debug"] is not None or options.json or options.events:
            from voice_cli.cli.report import fail, report

            if sent is None and self._error is not None:
                fail(account, self._error, of_file=has_file_failed)
            report(options, account, saved=self._recorder.saved if self._recorder else None, lines=self._lines)
        return code

    def speak_rest(self) -> int | None:
        """Speak the rest in this process after the agent has died; None: speak the whole text."""
        interrupts.stop_with(None)
        options = self._options
        if not self._accepted:
            return None
        if self._recorder is not None or options.no_play:
            return self._conclude(TruncatedAudio("the agent ended during the speech"))
        from voice_cli.cli.say import say

        text, arriving = None, None
        try:
            if self._text is None or self._text.path != "-":
                whole = self._text.whole() if self._text is not None else " ".join(options.text)
                text, spoken = not_heard(whole, self._heard)
            else:
                arriving, spoken = self._text.rest(self._heard)
        except FileError as exc:
            return self._conclude(exc)
        if text is not None and not text.strip():
            return self._conclude(None, spoken.strip())
        if self._has_started:
            # The rest of a speech is neither dropped nor interrupts others.
            priority = None if options.priority == "notification" else options.priority
            options = options._replace(interrupt=False, if_idle=False, priority=priority)
            if not options.quiet:
                print_note("the agent ended during the speech; this process speaks the rest")
        return say(options, has_tried_agent=True, text=text, arriving=arriving, spoken=spoken)


def _options_of(message: Message) -> SayOptions:
    options = {name: value for name, value in message["options"].items() if name in SayOptions._fields}
    return SayOptions(**options | {"text": tuple(options["text"])})


class RemotePlayer:
    """The agent's player, for the status line and `Keys`; also the progress of its narration."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        """Set what sends a message to the agent."""
        from voice_cli.playback.state import State

        self.id = 0
        self.state = State.WAITING
        self.position = 0.0
        self.timeline = SimpleNamespace(audio_seconds=0.0)
        self.is_paused = False
        self.volume = self.speed = 1.0
        self.total: int | None = None
        self.recovery = SimpleNamespace(fallback=None)
        self._done: int | None = None
        self._send = send
        self._unanswered = 0
        """Changes that the agent has not answered. Until then, `progress` may have the values before them."""

    def set(self, message: Message) -> None:
        """Set the values of a message `progress`."""
        from voice_cli.playback.state import State

        self.state, self.position = State(message["state"]), message["position"]
        self.timeline.audio_seconds = message["made"]
        if not self._unanswered:
            self.is_paused, self.volume, self.speed = message["paused"], message["volume"], message["speed"]
        self._done, self.total = message["done"], message["total"]
        self.recovery.fallback = message.get("fallback")

    def progress(self) -> int | None:
        """As `Narration.progress`."""
        return self._done

    def answered(self) -> None:
        """Count an answer to a change."""
        self._unanswered = max(0, self._unanswered - 1)

    def _control(self, kind: str, **values: float) -> None:
        self._unanswered += 1
        self._send({"type": kind, "id": self.id, **values})

    def pause(self) -> None:
        self.is_paused = True
        self._control("pause")

    def resume(self) -> None:
        self.is_paused = False
        self._control("resume")

    def skip(self, count: int) -> None:
        self._control("skip", count=count)

    def set_volume(self, factor: float) -> None:
        self.volume = factor
        self._control("volume", factor=factor)

    def set_speed(self, factor: float) -> None:
        self.speed = factor
        self._control("speed", factor=factor)

    def cancel(self) -> None:
        self._send({"type": "cancel"})
