"""The states of a playback.

The pump goes through the states, and enters each in one place: ::

    WAITING ──first byte──▶ BUFFERING ──prebuffer reached, or all written──▶ PLAYING ──all written──▶ DRAINING ──▶ DONE
                                ▲                                              │
                                └────────────────ring ran empty────────────────┘

If nothing was written, it is DONE at once.
"""

from enum import Enum


class State(Enum):
    """Where playback is."""

    WAITING = "waiting"
    BUFFERING = "buffering"
    PLAYING = "playing"
    DRAINING = "draining"
    DONE = "done"
