"""The course of a playback: its states, and where the streams of a speech stand in it.

The pump goes through the states, and enters each in one place: ::

    WAITING ──first byte──▶ BUFFERING ──prebuffer there, or all──▶ PLAYING ──all written──▶ DRAINING ──heard──▶ DONE
                                ▲                                     │
                                └──────────ring ran dry───────────────┘

Where nothing was written that could be heard, it is DONE at once.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from voice_cli.backends.base import SpeechStream


class State(Enum):
    """Where playback is."""

    WAITING = "waiting"
    BUFFERING = "buffering"
    PLAYING = "playing"
    DRAINING = "draining"
    DONE = "done"


class Between(NamedTuple):
    """What is to be known of a row of streams that are one speech."""

    pause_after: Callable[[int], float]
    """Seconds of silence after the stream of that index (from 0)."""
    waits_for_text: Callable[[], bool]
    """Whether there is no next stream because its text has not come: then silence is nobody's fault."""
    cancel: Callable[[], None]
    """Give up all that was asked for. Any thread."""


class Section(NamedTuple):
    """Where one stream stands in all that was made."""

    start: float
    """Seconds of audio before its first frame, pauses included."""
    end: float | None
    """The same of its end; None: it has not come."""
    lead: float
    """Seconds of silence at its head that were left out."""
    stream: SpeechStream
