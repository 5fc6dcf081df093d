"""Where skips go to."""

import pytest

from voice_cli.playback.goals import Goal, next_goal

RATE = 100
STARTS = [0, 300, 900]


@pytest.mark.parametrize(
    ("count", "here", "awaited", "goal"),
    [
        (1, 0, None, 1),
        (1, 300, None, 2),
        (2, 950, None, 4),
        (-1, 350, None, 0),  # near the start: the one before
        (-1, 400, None, 1),
        (-1, 50, None, 0),
        (1, 0, Goal(5), 6),
        (-9, 0, Goal(5), 0),
    ],
)
def test_by_sentences(count, here, awaited, goal):
    assert next_goal(count, here, STARTS, awaited, RATE, None) == Goal(goal)


@pytest.mark.parametrize(
    ("count", "here", "awaited", "frame"),
    [(1, 250, None, 750), (-1, 750, None, 250), (-1, 100, None, 0), (2, 0, Goal(None, 600), 1600)],
)
def test_by_steps(count, here, awaited, frame):
    assert next_goal(count, here, [], awaited, RATE, 5.0) == Goal(None, frame)


def test_a_goal_is_found_when_it_has_arrived():
    assert Goal(2).find(STARTS, 0, 1000) == 900
    assert Goal(3).find(STARTS, 0, 1000) is None
    assert Goal(0).find(STARTS, 200, 1000) == 300, "the first sentence that is kept"
    assert Goal(1).find(STARTS[:2], 400, 1000) == 400
    assert Goal(None, 999).find([], 0, 1000) == 999
    assert Goal(None, 1000).find([], 0, 1000) is None
    assert Goal(None, 100).find([], 200, 1000) == 200
