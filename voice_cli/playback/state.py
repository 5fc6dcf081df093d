"""The states of a playback, set by the pump::

    WAITING ──first byte──▶ BUFFERING ──prebuffer reached, or all written──▶ PLAYING ──all written──▶ DRAINING ──▶ DONE
                                ▲                                              │
                                └────────────────ring ran empty────────────────┘

If nothing was written, DRAINING is skipped.
"""

from enum import Enum


class State(Enum):
    """A state of the playback."""

    WAITING = "waiting"
    BUFFERING = "buffering"
    PLAYING = "playing"
    DRAINING = "draining"
    DONE = "done"
