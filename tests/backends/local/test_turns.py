"""An engine turns to whoever needs it first."""

from hypothesis import given
from hypothesis import strategies as st

from voice_cli.backends.local.turns import Turns


def taken(turns):
    return list(iter(turns.take, None))


@given(st.lists(st.floats(0, 1e9)))
def test_the_earliest_comes_first_and_of_the_same_moment_the_first_that_came(dues):
    turns = Turns()
    for number, due in enumerate(dues):
        turns.add(number, due)
    assert sorted(turns) == list(range(len(dues)))
    assert taken(turns) == sorted(range(len(dues)), key=lambda number: (dues[number], number))
    assert turns.take() is None


@given(st.integers(0, 20))
def test_who_says_nothing_comes_in_the_order_of_asking(count):
    turns = Turns()
    for number in range(count):
        turns.add(number)
    assert taken(turns) == list(range(count))


def test_who_has_sound_in_hand_lets_a_newcomer_go_first():
    turns = Turns()
    turns.add("later", float("inf"))
    turns.add("now")
    assert taken(turns) == ["now", "later"]
