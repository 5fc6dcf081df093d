"""What all engines share, with an engine whose every step is the test's."""

import gc
import subprocess
import sys
import threading
import weakref

import pytest

from support.threads import happened, in_thread
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.local.torch_engine import VoiceFolder, check_device, discarded_stdout, pick_device
from voice_cli.backends.local.worker import AHEAD_BYTES, EngineBackend, failed
from voice_cli.errors import EngineError, Interrupted, UsageError

FORMAT = AudioFormat(8000, 1)


class Scripted(EngineBackend):
    """Speaks `text` as bytes, twice each; waits at '|' until the test lets it go, fails at '!'."""

    name = "scripted"

    def voices(self):
        return []

    def __init__(self, *, loads=True):
        super().__init__()
        self.loads = loads
        self.log = []
        self.waiting = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.threads = set()

    def load(self):
        self.log.append("load")
        if not self.loads:
            raise OSError("the weights are not there")

    def unload(self):
        self.log.append("unload")

    def speak(self, generation):
        self.threads.add(threading.current_thread().name)
        self.log.append(generation.request.text)
        generation.format = FORMAT
        generation.notes.append("as the script says")
        for letter in generation.request.text:
            if letter == "|":
                self.waiting.release()
                assert self.go_on.acquire(timeout=20)
            elif letter == "!":
                raise RuntimeError("it broke\nin two")
            elif not generation.write(letter.encode() * 2):
                self.log.append("stopped")
                return

    def at_a_stop(self):
        assert self.waiting.acquire(timeout=20)


@pytest.fixture
def engine():
    backend = Scripted()
    yield backend
    backend.go_on.release(100)
    backend.close()
    backend.join(20)


def said(backend, text, **request):
    return b"".join(backend.synthesize(SpeechRequest(text, **request)))


def test_written_pcm_is_read(engine):
    stream = engine.synthesize(SpeechRequest("abc"))
    assert b"".join(stream) == b"aabbcc"
    assert stream.announced == Encoding("pcm", FORMAT)
    assert stream.notes == ["as the script says"]
    assert set(stream.timestamps) == {"request_sent", "engine_ready", "first_byte", "last_byte"}
    assert list(stream.timestamps.values()) == sorted(stream.timestamps.values())


def test_it_returns_before_the_model_is_loaded(engine):
    stream = engine.synthesize(SpeechRequest("|a"))
    engine.at_a_stop()
    assert stream.announced is None
    engine.go_on.release()
    assert b"".join(stream) == b"aa"


def test_one_at_a_time_in_order_and_the_model_is_loaded_once(engine):
    streams = [engine.synthesize(SpeechRequest(text)) for text in ("|a", "b", "c")]
    last = in_thread(lambda: b"".join(streams[2]))
    engine.at_a_stop()
    assert engine.log == ["load", "|a"]
    engine.go_on.release()
    assert last() == b"cc"
    assert engine.log == ["load", "|a", "b", "c"]
    assert engine.threads == {"voice-scripted"}


def test_the_earliest_due_is_next_and_equal_ones_keep_their_order(engine):
    requests = (("|", None), ("d", float("inf")), ("c", 2.0), ("a", 1.0), ("b", 1.0), ("e", float("inf")))
    streams = [engine.synthesize(SpeechRequest(text, due=due)) for text, due in requests[:1]]
    engine.at_a_stop()
    streams += [engine.synthesize(SpeechRequest(text, due=due)) for text, due in requests[1:]]
    engine.go_on.release()
    engine.join(20)
    assert engine.log == ["load", "|", "a", "b", "c", "d", "e"]
    assert [b"".join(stream) for stream in streams] == [b"", b"dd", b"cc", b"aa", b"bb", b"ee"]


def test_prepare_loads_the_model_and_generates_nothing(engine):
    engine.prepare()
    engine.join(20)
    assert engine.log == ["load"]
    assert b"".join(engine.synthesize(SpeechRequest("a"))) == b"aa"
    assert engine.log == ["load", "a"]


def test_one_that_could_not_be_prepared_is_loaded_for_the_request():
    engine = Scripted(loads=False)
    engine.prepare()
    engine.join(20)
    engine.loads = True
    assert b"".join(engine.synthesize(SpeechRequest("a"))) == b"aa"
    assert engine.log == ["load", "load", "a"]
    engine.close()


def test_no_thread_is_left_when_there_is_nothing_to_do(engine):
    said(engine, "a")
    engine.join(20)
    assert "voice-scripted" not in {thread.name for thread in threading.enumerate()}
    assert said(engine, "b") == b"bb"


def test_a_long_sentence_is_split_into_chunks(engine):
    stream = engine.synthesize(SpeechRequest("|"))
    engine.at_a_stop()
    stream._generation.write(bytes(2 * 8000))
    engine.go_on.release()
    assert [len(chunk) for chunk in stream] == [4000] * 4


class TestBounds:
    def test_an_engine_that_is_far_ahead_waits(self, engine):
        stream = engine.synthesize(SpeechRequest("|"))
        engine.at_a_stop()
        generation = stream._generation
        put = in_thread(lambda: generation.write(bytes(2 * AHEAD_BYTES)))
        assert len(next(iter(stream))) == 4000
        stream.cancel()
        assert put() is False


class TestErrors:
    def test_the_engines_own_is_one_line_after_the_sound(self, engine):
        stream = iter(engine.synthesize(SpeechRequest("ab!")))
        assert next(stream) + next(stream) == b"aabb"
        with pytest.raises(EngineError, match="scripted failed: it broke in two") as caught:
            next(stream)
        assert isinstance(caught.value.__cause__, RuntimeError)

    @pytest.mark.parametrize(
        "error", [type("OutOfMemoryError", (RuntimeError,), {})("no room"), RuntimeError("MPS backend out of memory")]
    )
    def test_out_of_memory_has_a_hint(self, error):
        assert "smaller model" in str(failed("scripted", error).hint)

    def test_a_request_after_a_failed_one_succeeds(self, engine):
        with pytest.raises(EngineError):
            said(engine, "!")
        assert said(engine, "a") == b"aa"

    def test_a_model_that_does_not_load_is_tried_again(self):
        backend = Scripted(loads=False)
        with pytest.raises(EngineError, match="weights are not there"):
            said(backend, "a")
        backend.loads = True
        assert said(backend, "a") == b"aa"
        backend.close()

    @pytest.mark.parametrize("text", ["", " ", "\n\t"])
    def test_blank(self, engine, text):
        with pytest.raises(UsageError, match="blank"):
            engine.synthesize(SpeechRequest(text))
        assert engine.log == []

    def test_a_speed_for_an_engine_without_one(self, engine):
        assert said(engine, "a", speed=1.0) == b"aa"
        with pytest.raises(UsageError, match="no speed setting"):
            engine.synthesize(SpeechRequest("a", speed=1.1))


class TestCancel:
    def test_the_reader_is_free_at_once_and_the_engine_at_its_next_step(self, engine):
        stream = engine.synthesize(SpeechRequest("|ab"))
        engine.at_a_stop()
        stream.cancel()
        with pytest.raises(Interrupted):
            next(iter(stream))
        engine.go_on.release()
        engine.join(20)
        assert engine.log[-1] == "stopped"

    def test_one_that_waits_is_never_spoken(self, engine):
        first, second = (engine.synthesize(SpeechRequest(text)) for text in ("|a", "b"))
        second.cancel()
        engine.go_on.release()
        assert b"".join(first) == b"aa"
        engine.join(20)
        assert "b" not in engine.log

    def test_an_unreferenced_stream_is_cancelled(self, engine):
        stream = engine.synthesize(SpeechRequest("|ab"))
        engine.at_a_stop()
        del stream
        gc.collect()
        engine.go_on.release()
        engine.join(20)
        assert engine.log[-1] == "stopped"


class TestClose:
    def test_the_model_is_freed(self, engine):
        said(engine, "a")
        engine.join(20)
        engine.close()
        engine.close()
        assert engine.log == ["load", "a", "unload"]
        with pytest.raises(RuntimeError, match="closed"):
            engine.synthesize(SpeechRequest("a"))

    def test_while_it_speaks_by_the_worker(self, engine):
        stream = engine.synthesize(SpeechRequest("|ab"))
        engine.at_a_stop()
        engine.close()
        assert engine.log[-1] != "unload"
        with pytest.raises(Interrupted):
            list(stream)
        engine.go_on.release()
        engine.join(20)
        assert engine.log[-2:] == ["stopped", "unload"]

    def test_what_was_never_loaded_is_not_unloaded(self, engine):
        engine.close()
        assert engine.log == []

    def test_an_unreferenced_backend_is_collected(self):
        backend = Scripted()
        said(backend, "a")
        backend.join(20)
        gone = weakref.ref(backend)
        del backend
        gc.collect()
        assert gone() is None


class TestHush:
    def test_this_threads_prints_are_dropped_and_others_are_not(self, capsys):
        inside, out = threading.Event(), threading.Event()

        def loud():
            with discarded_stdout(), discarded_stdout():
                print("dropped")
                inside.set()
                happened(out)
                print("dropped too")

        done = in_thread(loud)
        happened(inside)
        print("kept")
        out.set()
        done()
        print("kept as well")
        assert capsys.readouterr().out == "kept\nkept as well\n"

    def test_standard_output_is_itself_again(self):
        before = sys.stdout
        inside, out = threading.Event(), threading.Event()

        def other():
            with discarded_stdout():
                inside.set()
                happened(out)

        with discarded_stdout():
            done = in_thread(other)
            happened(inside)
        assert sys.stdout is not before  # the other thread is discarded_stdout still
        out.set()
        done()
        assert sys.stdout is before

    def test_other_attributes_are_those_of_the_stream(self):
        with discarded_stdout():
            assert sys.stdout.encoding
            sys.stdout.flush()


class TestVoiceFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("Alice.wav", "sub/bob.wav", "notes.txt"):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
        return tmp_path

    def test_names(self, folder):
        assert VoiceFolder([str(folder)], [".wav"]).files() == {
            "Alice": str(folder / "Alice.wav"),
            "bob": str(folder / "sub" / "bob.wav"),
        }

    def test_no_folder_is_none(self):
        assert VoiceFolder(["/none"], [".wav"]).files() == {}

    def test_a_path_of_another_kind_is_no_voice(self, folder):
        with pytest.raises(UsageError, match="no voice") as caught:
            VoiceFolder([str(folder)], [".wav"]).find(str(folder / "notes.txt"))
        assert "Alice, bob" in caught.value.hint

    @pytest.mark.parametrize("allowed", [True, False])
    def test_a_path(self, folder, allowed):
        voices = VoiceFolder([], [".wav"], allow_paths=allowed)
        path = str(folder / "Alice.wav")
        if allowed:
            assert voices.find(path) == path
        else:
            with pytest.raises(UsageError):
                voices.find(path)


class FakeTorch:
    def __init__(self, *there):
        def has(name):
            return type("Device", (), {"is_available": staticmethod(lambda: name in there)})

        self.cuda = has("cuda")
        self.backends = type("Backends", (), {"mps": has("mps")})


class TestDevices:
    @pytest.mark.parametrize(
        ("there", "device"), [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("cuda", "mps"), "cuda")]
    )
    def test_the_quickest_that_is_there(self, there, device):
        assert pick_device(FakeTorch(*there), None) == device

    def test_the_one_that_is_wanted(self):
        assert pick_device(FakeTorch("cuda"), "cpu") == "cpu"
        assert pick_device(FakeTorch("cuda"), "cuda:1") == "cuda:1"
        with pytest.raises(UsageError):
            pick_device(FakeTorch(), "cuda:1")

    def test_names(self):
        assert check_device("auto") is None
        assert check_device("cuda:0") == "cuda:0"
        with pytest.raises(UsageError):
            check_device("gpu")


def test_the_end_of_the_process_waits_for_the_engines_step():
    program = """
import time
from voice_cli.audio import AudioFormat
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.local.worker import EngineBackend

class Slow(EngineBackend):
    name = "slow"
    voices = load = lambda self: None
    def speak(self, generation):
        generation.format = AudioFormat(8000, 1)
        while generation.write(bytes(2)):
            time.sleep(0.2)  # a step of an engine takes its time: the end of the process comes in the midst of one
        print("let go", flush=True)

backend = Slow()
print(len(next(iter(backend.synthesize(SpeechRequest("x"))))), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split("\n")[:2] == ["2", "let go"]
