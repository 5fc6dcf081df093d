"""What was heard between two times."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from voice_cli.playback.history import History

RATE = 1000


def played(runs):
    """Return the history of runs: (seconds of silence before, frames, speed, frame of the speech or None)."""
    history = History(RATE)
    at = 0.0
    for gap, frames, speed, start in runs:
        at += gap
        history.move(at, history.speech_frame if start is None else start, speed, is_jump=start is not None)
        history.begin_run(at)
        history.position += frames
        at += frames / RATE
    return history, at


RUNS = st.lists(
    st.tuples(
        st.floats(0, 2), st.integers(1, 3000), st.sampled_from([0.5, 1.0, 2.0]), st.none() | st.integers(0, 5000)
    ),
    min_size=1,
    max_size=5,
)


@given(RUNS, st.lists(st.floats(0, 1), max_size=8))
def test_looks_at_any_times_cover_all_once(runs, shares):
    history, end = played(runs)
    times = [-1.0, *sorted(share * end for share in shares), end + 1]
    found = [each for since, until in itertools.pairwise(times) for each in history.between(since, until)]
    assert all(each.ended > each.began for each in found)
    assert all(a.ended <= b.began + 1e-9 for a, b in itertools.pairwise(found))
    heard = sum(each.end - each.start for each in found)
    assert abs(heard - sum(frames * speed for _, frames, speed, _ in runs) / RATE) < 1e-6


def test_a_part_of_a_run_at_another_speed():
    history, _ = played([(1.0, 1000, 2.0, None)])
    assert history.between(1.25, 1.5) == [(1.25, 1.5, 0.5, 1.0)]
    assert history.between(0.0, 0.9) == []
