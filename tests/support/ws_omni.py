"""A fake of vLLM-omni's streaming speech server (from its source code, 2026)."""

import base64
from collections.abc import Callable
from typing import Any

from support.ws import Client
from support.ws_chatterbox import LETTER_FRAMES, RATE, pcm_of
from voice_cli.audio import AudioFormat
from voice_cli.codecs.wav import wav_header


class OmniServer:
    """Speaks each `input.done` as one sentence; with an aligner it sends word timestamps.

    `before(text)` is called before a text is spoken; it may wait, or raise RuntimeError.
    """

    def __init__(
        self,
        *,
        aligner: bool = True,
        before: Callable[[str], None] = lambda _text: None,
        rate: int = RATE,
        chunk: int = 1000,
        split_at: str = "",
        sound: Callable[[str], bytes] = pcm_of,
    ) -> None:
        self._sound = sound
        self._aligner = aligner
        self._before = before
        self._rate = rate
        self._chunk = chunk
        self._split_at = split_at
        """The separator of sentences within an utterance, for `split_granularity`."""

    def __call__(self, client: Client) -> None:
        config: dict[str, Any] | None = None
        held, utterance = "", 0
        while True:
            message = client.receive()
            kind = message["type"]
            if kind == "session.config":
                if held:
                    client.say({"type": "error", "message": "session.config cannot be applied while an utterance is"})
                    continue
                wrong = self._wrong_with(message)
                if wrong:
                    client.say({"type": "error", "message": f"Invalid session config: {wrong}"})
                    client.close()
                    return
                config = message
            elif config is None:
                client.say({"type": "error", "message": f"Expected session.config, got: {kind}"})
                client.close()
                return
            elif kind == "input.text":
                held += message["text"]
            elif kind == "input.done":
                sentences = held.split(self._split_at) if self._split_at else [held]
                for index, sentence in enumerate(sentences):
                    self._speak(client, config, sentence.strip(), utterance, index)
                total = {"utterance_index": utterance, "total_sentences": len(sentences)}
                client.say({"type": "session.done", **total})
                held, utterance = "", utterance + 1
            elif kind == "session.close":
                client.close()
                return

    def _wrong_with(self, config: dict[str, Any]) -> str | None:
        if config.get("stream_audio") and config.get("response_format") != "pcm":
            return "stream_audio=true requires response_format='pcm'"
        if config.get("stream_audio") and config.get("speed") not in (None, 1.0):
            return "stream_audio=true currently requires speed=1.0"
        return None

    def _speak(self, client: Client, config: dict[str, Any], text: str, utterance: int, index: int) -> None:
        if config.get("word_timestamps") and not self._aligner:
            reason = "word_timestamps=true but the server was launched without --forced-aligner"
            client.say({"type": "error", "message": reason})
            return
        here = {"utterance_index": utterance, "sentence_index": index}
        start = {"type": "audio.start", **here, "sentence_text": text, "format": config["response_format"]}
        sound, sent, failed = self._sound(text), 0, False
        if config.get("stream_audio"):
            start |= {"sample_rate": self._rate, "channels": 1}
        client.say(start)
        try:
            self._before(text)
            if not config.get("stream_audio"):
                sound = wav_header(AudioFormat(self._rate, 1), len(sound)) + sound
                client.send(sound)
                sent = len(sound)
            else:
                for at in range(0, len(sound), self._chunk):
                    self._send(client, config, sound[at : at + self._chunk], here)
                    sent += len(sound[at : at + self._chunk])
                if config.get("word_timestamps"):
                    self._send(client, config, b"", here, _times(text))
        except RuntimeError as error:
            failed = True
            partial = {"partial_audio": True, "action": "discard"} if sent else {}
            client.say({"type": "error", "message": f"Generation failed: {error}", **partial})
        client.say({"type": "audio.done", **here, "total_bytes": sent, "error": failed})

    def _send(
        self,
        client: Client,
        config: dict[str, Any],
        data: bytes,
        here: dict[str, int],
        times: list[dict[str, Any]] | None = None,
    ) -> None:
        if not config.get("word_timestamps"):
            client.send(data)
            return
        message = {"type": "audio.chunk", **here, "chunk_id": 0, "sample_rate": self._rate, "channels": 1}
        client.say({**message, "audio_b64": base64.b64encode(data).decode(), "timestamps": times})


def _times(text: str) -> list[dict[str, Any]]:
    """Return word timestamps as an aligner does, without punctuation."""
    times, at = [], 0
    for word in (word.strip(",.!?;:") for word in text.split()):
        at = text.index(word, at)
        times.append(
            {"word": word, "start_ms": milliseconds(text[:at]), "end_ms": milliseconds(text[: at + len(word)])}
        )
        at += len(word)
    return times


def milliseconds(text: str) -> float:
    """Return a text's duration."""
    return 1000 * LETTER_FRAMES * len(text.encode()) / RATE
