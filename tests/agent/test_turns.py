"""The queue of speeches: priorities, order, and the end of a process."""

import math
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.threads import WAIT, in_thread
from voice_cli.agent.priorities import PRIORITIES
from voice_cli.agent.turns import SPEAKING, Ticket, Turns, effects, remove
from voice_cli.errors import Dropped, Interrupted


@pytest.fixture
def turns(tmp_path):
    return Turns(str(tmp_path / "queue"))


def ticket(priority, *, speaking=False):
    return Ticket("path", 1, 1, "", priority, speaking, "", "")


# What a speech that arrives does to another one (rows: the new one; SSIP, "Priority Categories").
WAITING = {
    "important": {"notification", "progress"},
    "message": {"text", "notification", "progress"},
    "text": {"text", "notification", "progress"},
    "notification": {"notification"},
    "progress": {"progress"},
}
SPOKEN = {
    "important": {"message", "text", "notification", "progress"},
    "message": {"text", "notification", "progress"},
    "text": {"text", "notification", "progress"},
    "notification": {"notification"},
    "progress": set(),
}


@pytest.mark.parametrize("new", PRIORITIES)
@pytest.mark.parametrize("other", PRIORITIES)
@pytest.mark.parametrize("speaking", [True, False])
def test_what_a_speech_cancels(new, other, speaking):
    found = ticket(other, speaking=speaking)
    is_dropped, cancelled = effects(new, "queue", [found])
    assert is_dropped == (new == "notification" and other != "notification")
    assert cancelled == ([found] if other in (SPOKEN if speaking else WAITING)[new] and not is_dropped else [])


@pytest.mark.parametrize("other", PRIORITIES)
def test_interrupt_cancels_what_is_spoken_unless_it_is_important(other):
    spoken, waiting = ticket(other, speaking=True), ticket("message")
    expected = [] if other == "important" else [spoken]
    assert effects("message", "interrupt", [spoken, waiting]) == (False, expected)


def test_if_idle_is_dropped_if_anything_is_spoken_or_waits():
    assert effects("message", "if-idle", []) == (False, [])
    assert effects("important", "if-idle", [ticket("progress")]) == (True, [])


def wait(turn, told=None):
    turn.wait(lambda seconds: threading.Event().wait(seconds) or False, told)


def test_the_first_speech_does_not_wait(turns):
    turn = turns.take("message", "queue")
    wait(turn, lambda _: pytest.fail("it waits"))
    assert [each.is_speaking for each in turns.tickets()] == [True]
    turn.release()
    assert turns.tickets() == []


def test_speeches_come_in_order_and_one_at_a_time(turns):
    spoken, told = [], threading.Event()
    first = turns.take("message", "queue", text="0")
    wait(first)

    def speak(turn, name):
        wait(turn, lambda ahead: told.set())
        assert sum(each.is_speaking for each in turns.tickets()) == 1
        spoken.append(name)
        turn.release()

    arrivals = [("a", "message"), ("b", "message"), ("c", "important"), ("d", "progress")]
    entered = [(turns.take(priority, "queue"), name) for name, priority in arrivals[:2]]
    entered.append((turns.take("message", "interrupt"), "front"))
    results = [in_thread(lambda turn=turn, name=name: speak(turn, name)) for turn, name in entered]
    assert told.wait(WAIT)
    assert first.is_cancelled, "--interrupt cancels what is spoken"
    first.release()
    for result in results:
        result()
    assert spoken == ["front", "a", "b"]


def test_a_waiting_speech_hears_how_many_are_ahead(turns):
    first, second, third = (turns.take("message", "queue") for _ in range(3))
    wait(first)
    told = []

    def tell(ahead):
        told.append(ahead)
        if ahead == 2:
            second.release()
        else:
            first.release()

    wait(third, tell)
    assert told == [2, 1]
    third.release()


def test_a_cancelled_speech_does_not_wait_further(turns):
    first = turns.take("message", "queue")
    wait(first)
    second = turns.take("text", "queue")
    with pytest.raises(Interrupted):
        second.wait(lambda _: True)
    (speaking, waiting) = turns.tickets()
    assert speaking.is_speaking
    remove(waiting.path)
    with pytest.raises(Interrupted, match="another speech"):
        wait(second)
    second.release()
    first.release()


def test_a_notification_is_dropped_while_another_speech_waits(turns):
    turn = turns.take("message", "queue")
    with pytest.raises(Dropped):
        turns.take("notification", "queue")
    turn.release()


def test_the_ticket_says_who_speaks(turns):
    turn = turns.take("text", "queue", id=7, agent="/run/a.sock", name="a\nb", text=" one\ntwo " + "x" * 200)
    (found,) = turns.tickets()
    assert found[1:5] == (os.getpid(), 7, "/run/a.sock", "text")
    assert (found.name, found.text[:9]) == ("a b", "one two x")
    assert len(found.text) <= 80
    turn.release()


def test_only_one_of_many_that_come_at_once_finds_the_queue_idle(turns):
    start = threading.Barrier(8)

    def take():
        start.wait(WAIT)
        try:
            return turns.take("message", "if-idle")
        except Dropped:
            return None

    results = [result() for result in [in_thread(take) for _ in range(8)]]
    (taken,) = [turn for turn in results if turn is not None]
    taken.release()


def test_the_silence_before_a_speech_is_known(turns):
    first = turns.take("message", "queue")
    wait(first)
    assert first.seconds_of_silence == math.inf, "no speech came before"
    first.release()
    second = turns.take("message", "queue")
    wait(second)
    assert 0 <= second.seconds_of_silence < WAIT
    second.release()


def test_a_long_name_is_cut(turns):
    turn = turns.take("message", "queue", name="x" * 5000)
    (found,) = turns.tickets()
    assert found.name == "x" * 80
    turn.release()


def test_what_a_crash_leaves_is_removed(turns):
    turns.take("message", "queue").release()
    with open(os.path.join(turns.folder, ".11-00000000000000000001-1-1"), "w"):
        pass
    assert turns.tickets() == []
    assert ".11-00000000000000000001-1-1" in os.listdir(turns.folder), "it may be a ticket that is being made"
    turns.take("message", "queue").release()
    assert os.listdir(turns.folder) == ["lock"]


KILLED = """
import os, signal, sys
from voice_cli.agent.turns import Turns
turn = Turns(sys.argv[1]).take("message", "queue")
turn.wait(lambda _: False)
print("speaks", flush=True)
signal.pause()
"""


def test_a_process_that_is_killed_leaves_the_queue(turns):
    process = subprocess.Popen([sys.executable, "-c", KILLED, turns.folder], stdout=subprocess.PIPE)
    assert process.stdout.readline()
    turn = turns.take("message", "queue")
    result = in_thread(lambda: wait(turn))
    process.kill()
    process.wait()
    process.stdout.close()
    result()
    assert [each.pid for each in turns.tickets()] == [os.getpid()]
    turn.release()
    assert sorted(os.listdir(turns.folder)) == ["lock", SPEAKING]


def test_without_a_folder_every_speech_is_spoken(tmp_path):
    (tmp_path / "file").touch()
    turns = Turns(str(tmp_path / "file" / "queue"))
    first, second = turns.take("message", "queue"), turns.take("message", "queue")
    wait(first)
    wait(second)
    first.release()
    second.release()


def test_a_folder_of_others_is_not_used(tmp_path):
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue").chmod(0o777)
    turns = Turns(str(tmp_path / "queue"))
    wait(turns.take("message", "queue"))
    assert os.listdir(turns.folder) == []


def test_strange_files_are_no_tickets(turns):
    turns.take("message", "queue").release()
    for name in ("1", "9x", "README", "11-00000000000000000001-1-1"):
        with open(os.path.join(turns.folder, name), "wb") as file:
            file.write(b"\xff\x00 no ticket")
    assert turns.tickets() == []


@given(
    st.lists(st.tuples(st.sampled_from(PRIORITIES), st.sampled_from(["queue", "interrupt", "if-idle"])), max_size=12)
)
def test_any_arrivals_are_spoken_or_cancelled_or_dropped(tmp_path_factory, arrivals):
    """None is left over, and no speech waits behind one of a lower priority."""
    turns = Turns(str(tmp_path_factory.mktemp("q") / "queue"))
    entered = []
    for priority, mode in arrivals:
        try:
            entered.append((turns.take(priority, mode), priority))
        except Dropped:
            assert mode == "if-idle" or priority == "notification"
    spoken = []
    while waiting := [(turn, priority) for turn, priority in entered if not turn.is_cancelled]:
        path = turns.tickets()[0].path
        turn, priority = next(each for each in waiting if each[0].path == path)
        wait(turn)
        spoken.append(PRIORITIES.index(priority))
        turn.release()
        entered.remove((turn, priority))
    assert spoken == sorted(spoken)
    for turn, _ in entered:
        turn.release()
    assert turns.tickets() == []
