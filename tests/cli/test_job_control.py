"""Ctrl-Z for a speech of the agent."""

import os
import signal

import pytest

from support.threads import in_thread
from voice_cli.cli import job_control
from voice_cli.cli.job_control import JobControl


@pytest.fixture
def sent(monkeypatch):
    """What was sent to the agent, and the signals that stop this process."""
    sent = []

    class Connection:
        def settimeout(self, seconds):
            assert seconds < 5

        def sendall(self, data):
            sent.append(data)

        def recv(self, _most):
            return answers.pop() if answers else b'{"type":"done","id":7}\n'

        def close(self):
            sent.append("closed")

    answers = []
    monkeypatch.setattr(job_control, "connect", Connection)
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid == os.getpid(), number)))
    sent_to = signal.getsignal(signal.SIGTSTP), signal.getsignal(signal.SIGCONT)
    yield sent, answers
    assert sent_to == (signal.getsignal(signal.SIGTSTP), signal.getsignal(signal.SIGCONT))


def press(number):
    """Call the handler of a signal."""
    signal.getsignal(number)(number, None)


PAUSE, RESUME = b'{"type":"pause","id":7}\n', b'{"type":"resume","id":7}\n'
STOPPED = (True, signal.SIGTSTP)


def test_a_stop_pauses_and_going_on_resumes(sent):
    sent, _ = sent
    job = JobControl(7, lambda: False)
    for _ in range(2):
        press(signal.SIGTSTP)
        assert signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL
        press(signal.SIGCONT)
    job.close()
    assert sent == 2 * [PAUSE, "closed", STOPPED, RESUME, "closed"]


def stop_and_continue(*, is_paused):
    """Press Ctrl-Z, and continue the process, in a speech that the user has paused or not."""
    job = JobControl(7, lambda: is_paused)
    press(signal.SIGTSTP)
    press(signal.SIGCONT)
    job.close()


def test_what_the_user_has_paused_stays_paused(sent):
    sent, _ = sent
    stop_and_continue(is_paused=True)
    assert sent == [STOPPED]


def test_a_speech_that_waits_is_not_resumed(sent):
    sent, answers = sent
    answers.append(b'{"type":"error","message":"nothing is spoken"}\n')
    stop_and_continue(is_paused=False)
    assert sent == [PAUSE, "closed", STOPPED]


def test_an_agent_that_has_gone_does_not_keep_the_process_from_stopping(sent, monkeypatch):
    sent, _ = sent
    monkeypatch.setattr(job_control, "connect", lambda: None)
    stop_and_continue(is_paused=False)
    assert sent == [STOPPED]


def test_another_thread_leaves_the_signals_alone(sent):
    before = signal.getsignal(signal.SIGTSTP)
    in_thread(lambda: JobControl(7, lambda: False).close())()
    assert signal.getsignal(signal.SIGTSTP) == before


def test_a_handler_of_the_program_is_left_alone(sent):
    def ours(*_):
        pass

    before = signal.signal(signal.SIGTSTP, ours)
    try:
        job = JobControl(7, lambda: False)
        assert signal.getsignal(signal.SIGTSTP) == ours
        job.close()
        assert signal.getsignal(signal.SIGTSTP) == ours
    finally:
        signal.signal(signal.SIGTSTP, before)
