"""The behaviour that all engines share, tested with a scripted engine."""

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
from voice_cli.backends.local.worker import AHEAD_BYTES, BATCH_BYTES, EngineBackend, failed
from voice_cli.errors import EngineError, Interrupted, UsageError

FORMAT = AudioFormat(8000, 1)


class Scripted(EngineBackend):
    """Generate each character of `text` twice, as bytes; wait for the test at '|' and fail at '!'."""

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
            raise OSError("weights not found")

    def unload(self):
        self.log.append("unload")

    def speak(self, generation):
        self.threads.add(threading.current_thread().name)
        self.log.append(generation.request.text)
        generation.format = FORMAT
        generation.notes.append("a note")
        for letter in generation.request.text:
            if letter == "|":
                self.waiting.release()
                assert self.go_on.acquire(timeout=20)
            elif letter == "!":
                raise RuntimeError("two\nlines")
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
    assert stream.notes == ["a note"]
    assert set(stream.timestamps) == {"request_sent", "engine_ready", "first_byte", "last_byte"}
    assert list(stream.timestamps.values()) == sorted(stream.timestamps.values())


def test_synthesize_returns_before_the_model_is_loaded(engine):
    stream = engine.synthesize(SpeechRequest("|a"))
    engine.at_a_stop()
    assert stream.announced is None
    engine.go_on.release()
    assert b"".join(stream) == b"aa"


def test_requests_run_in_order_and_the_model_loads_once(engine):
    streams = [engine.synthesize(SpeechRequest(text)) for text in ("|a", "b", "c")]
    last = in_thread(lambda: b"".join(streams[2]))
    engine.at_a_stop()
    assert engine.log == ["load", "|a"]
    engine.go_on.release()
    assert last() == b"cc"
    assert engine.log == ["load", "|a", "b", "c"]
    assert engine.threads == {"voice-scripted"}


def test_earliest_due_runs_first_and_ties_keep_their_order(engine):
    requests = (("|", None), ("d", float("inf")), ("c", 2.0), ("a", 1.0), ("b", 1.0), ("e", float("inf")))
    streams = [engine.synthesize(SpeechRequest(text, due=due)) for text, due in requests[:1]]
    engine.at_a_stop()
    streams += [engine.synthesize(SpeechRequest(text, due=due)) for text, due in requests[1:]]
    engine.go_on.release()
    engine.join(20)
    assert engine.log == ["load", "|", "a", "b", "c", "d", "e"]
    assert [b"".join(stream) for stream in streams] == [b"", b"dd", b"cc", b"aa", b"bb", b"ee"]


def test_prepare_loads_the_model_without_generating(engine):
    engine.prepare()
    engine.join(20)
    assert engine.log == ["load"]
    assert b"".join(engine.synthesize(SpeechRequest("a"))) == b"aa"
    assert engine.log == ["load", "a"]


def test_request_loads_the_model_if_prepare_failed():
    engine = Scripted(loads=False)
    engine.prepare()
    engine.join(20)
    engine.loads = True
    assert b"".join(engine.synthesize(SpeechRequest("a"))) == b"aa"
    assert engine.log == ["load", "load", "a"]
    engine.close()


def test_worker_thread_ends_when_idle(engine):
    said(engine, "a")
    engine.join(20)
    assert "voice-scripted" not in {thread.name for thread in threading.enumerate()}
    assert said(engine, "b") == b"bb"


def test_a_long_sentence_is_split_into_chunks(engine):
    stream = engine.synthesize(SpeechRequest("|"))
    engine.at_a_stop()
    stream._generation.write(bytes(2 * 8000))
    engine.go_on.release()
    chunks = [len(chunk) for chunk in stream]
    assert sum(chunks) == 16_000
    assert all(size % 4000 == 0 for size in chunks)


def test_a_reader_that_is_late_gets_several_chunks_at_once(engine):
    stream = engine.synthesize(SpeechRequest("ab" * BATCH_BYTES))
    engine.join(20)
    sizes = [len(chunk) for chunk in stream]
    assert sum(sizes) == 4 * BATCH_BYTES
    assert max(sizes) <= BATCH_BYTES
    assert len(sizes) < 2 * BATCH_BYTES / 10


class TestBounds:
    def test_engine_waits_when_it_is_too_far_ahead(self, engine):
        stream = engine.synthesize(SpeechRequest("|"))
        engine.at_a_stop()
        generation = stream._generation
        put = in_thread(lambda: generation.write(bytes(2 * AHEAD_BYTES)))
        assert next(iter(stream))
        stream.cancel()
        assert put() is False


class TestErrors:
    def test_engine_error_follows_the_audio_on_one_line(self, engine):
        heard = []
        with pytest.raises(EngineError, match="scripted failed: two lines") as caught:
            heard.extend(engine.synthesize(SpeechRequest("ab!")))
        assert b"".join(heard) == b"aabb"
        assert isinstance(caught.value.__cause__, RuntimeError)

    @pytest.mark.parametrize(
        "error", [type("OutOfMemoryError", (RuntimeError,), {})("no room"), RuntimeError("MPS backend out of memory")]
    )
    def test_out_of_memory_has_a_hint(self, error):
        assert "smaller model" in str(failed("scripted", error).hint)

    def test_request_after_a_failed_one_succeeds(self, engine):
        with pytest.raises(EngineError):
            said(engine, "!")
        assert said(engine, "a") == b"aa"

    def test_model_load_is_retried_on_the_next_request(self):
        backend = Scripted(loads=False)
        with pytest.raises(EngineError, match="weights not found"):
            said(backend, "a")
        backend.loads = True
        assert said(backend, "a") == b"aa"
        backend.close()

    @pytest.mark.parametrize("text", ["", " ", "\n\t"])
    def test_blank_text_is_refused(self, engine, text):
        with pytest.raises(UsageError, match="blank"):
            engine.synthesize(SpeechRequest(text))
        assert engine.log == []

    def test_speed_is_refused_by_an_engine_without_speed(self, engine):
        assert said(engine, "a", speed=1.0) == b"aa"
        with pytest.raises(UsageError, match="no speed setting"):
            engine.synthesize(SpeechRequest("a", speed=1.1))


class TestCancel:
    def test_reader_stops_at_once_and_engine_at_its_next_step(self, engine):
        stream = engine.synthesize(SpeechRequest("|ab"))
        engine.at_a_stop()
        stream.cancel()
        with pytest.raises(Interrupted):
            next(iter(stream))
        engine.go_on.release()
        engine.join(20)
        assert engine.log[-1] == "stopped"

    def test_waiting_request_is_never_generated(self, engine):
        first, second = (engine.synthesize(SpeechRequest(text)) for text in ("|a", "b"))
        second.cancel()
        engine.go_on.release()
        assert b"".join(first) == b"aa"
        engine.join(20)
        assert "b" not in engine.log

    def test_unreferenced_stream_is_cancelled(self, engine):
        stream = engine.synthesize(SpeechRequest("|ab"))
        engine.at_a_stop()
        del stream
        gc.collect()
        engine.go_on.release()
        engine.join(20)
        assert engine.log[-1] == "stopped"


class TestClose:
    def test_close_unloads_the_model(self, engine):
        said(engine, "a")
        engine.join(20)
        engine.close()
        engine.close()
        assert engine.log == ["load", "a", "unload"]
        with pytest.raises(RuntimeError, match="closed"):
            engine.synthesize(SpeechRequest("a"))

    def test_close_during_generation_unloads_after_the_step(self, engine):
        stream = engine.synthesize(SpeechRequest("|ab"))
        engine.at_a_stop()
        engine.close()
        assert engine.log[-1] != "unload"
        with pytest.raises(Interrupted):
            list(stream)
        engine.go_on.release()
        engine.join(20)
        assert engine.log[-2:] == ["stopped", "unload"]

    def test_close_does_not_unload_an_unloaded_model(self, engine):
        engine.close()
        assert engine.log == []

    def test_unreferenced_backend_is_collected(self):
        backend = Scripted()
        said(backend, "a")
        backend.join(20)
        gone = weakref.ref(backend)
        del backend
        gc.collect()
        assert gone() is None


class TestDiscardedStdout:
    def test_only_this_threads_output_is_dropped(self, capsys):
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

    def test_stdout_is_restored_after_the_last_thread(self):
        before = sys.stdout
        inside, out = threading.Event(), threading.Event()

        def other():
            with discarded_stdout():
                inside.set()
                happened(out)

        with discarded_stdout():
            done = in_thread(other)
            happened(inside)
        assert sys.stdout is not before  # the other thread still discards its output
        out.set()
        done()
        assert sys.stdout is before

    def test_other_attributes_come_from_the_stream(self):
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

    def test_files_are_found_by_name(self, folder):
        assert VoiceFolder([str(folder)], [".wav"]).files() == {
            "Alice": str(folder / "Alice.wav"),
            "bob": str(folder / "sub" / "bob.wav"),
        }

    def test_missing_folder_has_no_files(self):
        assert VoiceFolder(["/none"], [".wav"]).files() == {}

    def test_path_with_another_suffix_is_refused(self, folder):
        with pytest.raises(UsageError, match="no voice") as caught:
            VoiceFolder([str(folder)], [".wav"]).find(str(folder / "notes.txt"))
        assert "Alice, bob" in caught.value.hint

    @pytest.mark.parametrize("allowed", [True, False])
    def test_path_is_accepted_only_if_allowed(self, folder, allowed):
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
    def test_fastest_available_device_is_chosen(self, there, device):
        assert pick_device(FakeTorch(*there), None) == device

    def test_configured_device_is_chosen(self):
        assert pick_device(FakeTorch("cuda"), "cpu") == "cpu"
        assert pick_device(FakeTorch("cuda"), "cuda:1") == "cuda:1"
        with pytest.raises(UsageError):
            pick_device(FakeTorch(), "cuda:1")

    def test_device_names(self):
        assert check_device("auto") is None
        assert check_device("cuda:0") == "cuda:0"
        with pytest.raises(UsageError):
            check_device("gpu")


def test_process_exit_waits_for_the_engines_step():
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
            time.sleep(0.2)  # the process exits during a step
        print("let go", flush=True)

backend = Slow()
print(len(next(iter(backend.synthesize(SpeechRequest("x"))))), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split("\n")[:2] == ["2", "let go"]
