"""The real espeak-ng library. Tests that affect the whole process run in a subprocess."""

import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
from importlib.machinery import PathFinder

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.local import espeak_library, worker
from voice_cli.backends.local.espeak import EspeakBackend
from voice_cli.backends.local.espeak_library import shared_library
from voice_cli.backends.local.espeak_voices import voice_files
from voice_cli.backends.local.worker import BATCH_BYTES
from voice_cli.errors import EngineError, Interrupted, UsageError

WAIT = 10.0
"""Timeout of a step, in seconds."""

LOADER = PathFinder.find_spec("espeakng_loader").submodule_search_locations[0]
LONG_TEXT = "This goes on for a while, and then it goes on. " * 2000
"""Over an hour of speech."""


@pytest.fixture
def backend():
    backend = EspeakBackend()
    yield backend
    backend.close()
    idle(backend)


@pytest.fixture
def short_lead(monkeypatch):
    """Limit the engine's lead over its reader to 0.1 s of audio."""
    monkeypatch.setattr(worker, "AHEAD_BYTES", 4410)


def idle(backend):
    """Wait until the engine is idle."""
    backend.join(WAIT)
    assert backend._worker is None


def say(backend, text, **options):
    return b"".join(backend.synthesize(SpeechRequest(text, **options)))


def current_voice():
    return shared_library()._library.espeak_GetCurrentVoice().contents.identifier.decode()


def in_process(script, *, path=None, argv=()):
    """Run a script in a new process, check that it succeeds with no errors, and return its output."""
    env = dict(os.environ)
    env["PYTHONPATH"] = os.pathsep.join(place for place in (path, os.getcwd()) if place)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *argv],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


DIGEST = """
    import hashlib, sys
    from voice_cli.backends.base import SpeechRequest
    from voice_cli.backends.local.espeak import EspeakBackend, shared_library
    stream = EspeakBackend().synthesize(SpeechRequest("One, two, and a half: it is 3.30 pm."))
    print(hashlib.sha256(b"".join(stream)).hexdigest())
"""


def test_synthesize_returns_audio(backend):
    stream = backend.synthesize(SpeechRequest("Hello, world."))
    assert stream.expected == Encoding("pcm", AudioFormat(22050, 1))
    chunks = list(stream)
    assert stream.announced == stream.expected
    assert all(0 < len(chunk) <= BATCH_BYTES for chunk in chunks)
    samples = memoryview(b"".join(chunks)).cast("h")
    assert 1.0 < len(samples) / 22050 < 3.0
    assert max(samples) > 5000
    timestamps = stream.timestamps
    assert (
        timestamps["request_sent"] <= timestamps["engine_ready"] <= timestamps["first_byte"] <= timestamps["last_byte"]
    )


def test_new_processes_produce_the_same_bytes():
    assert in_process(DIGEST) == in_process(DIGEST)


def test_no_slow_modules_are_imported():
    loaded = in_process("""
        import sys
        import voice_cli.backends.local.espeak
        print(*sys.modules)
    """).split()
    heavy = {
        "asyncio",
        "difflib",
        "espeakng_loader",
        "logging",
        "numpy",
        "pathlib",
        "rich",
        "tempfile",
        "typer",
    }
    assert heavy.isdisjoint(loaded)


def test_four_requests_take_turns(backend):
    texts = [f"This is number {number}, and it has something to say." for number in range(4)]
    alone = [len(say(backend, text)) for text in texts]
    streams = [backend.synthesize(SpeechRequest(text)) for text in texts]
    together = [0] * 4
    barrier = threading.Barrier(4)

    def read(index):
        barrier.wait(WAIT)
        together[index] = sum(map(len, streams[index]))

    readers = [threading.Thread(target=read, args=(index,), daemon=True) for index in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(WAIT)
    # espeak-ng's durations vary by a few samples with the text spoken before.
    assert together == pytest.approx(alone, abs=500)


def test_four_backends_in_four_threads_are_independent():
    lengths = in_process("""
        import threading
        from voice_cli.backends.base import SpeechRequest
        from voice_cli.backends.local.espeak import EspeakBackend
        lengths = []
        def speak(voice):
            for _ in range(10):
                request = SpeechRequest("Something to say, in a voice.", voice=voice)
                lengths.append(sum(map(len, EspeakBackend().synthesize(request))))
        voices = ("en-us", "de", "en-gb+f3", "fr-fr")
        threads = [threading.Thread(target=speak, args=(voice,)) for voice in voices]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(len(lengths), min(lengths) > 40000)
    """)
    assert lengths == "40 True\n"


def test_cancel_stops_within_one_callback(backend, short_lead):
    stream = backend.synthesize(SpeechRequest(LONG_TEXT))
    chunks = iter(stream)
    next(chunks)
    given = []
    put = stream._generation.queue.put
    cancelled = threading.Event()

    def counted(data):
        if cancelled.is_set():
            given.append(data)
        return put(data)

    stream._generation.queue.put = counted
    next(chunks)
    stream.cancel()
    cancelled.set()
    idle(backend)
    assert len(given) <= 1
    with pytest.raises(Interrupted):
        next(chunks)
    with pytest.raises(Interrupted):
        next(iter(stream))
    assert "last_byte" not in stream.timestamps


def test_cancel_interrupts_a_waiting_request(backend, short_lead):
    running = backend.synthesize(SpeechRequest(LONG_TEXT))
    chunks = iter(running)
    next(chunks)
    waiting = backend.synthesize(SpeechRequest("I wait."))
    waiting.cancel()
    with pytest.raises(Interrupted):
        next(iter(waiting))
    next(chunks)
    running.cancel()
    assert say(backend, "Next.")


def test_closed_iterator_frees_the_engine(backend, short_lead):
    stream = backend.synthesize(SpeechRequest(LONG_TEXT))
    chunks = iter(stream)
    next(chunks)
    chunks.close()
    assert say(backend, "Next.")


def test_dropped_iterator_frees_the_engine(backend, short_lead):
    for _ in backend.synthesize(SpeechRequest(LONG_TEXT)):
        break
    gc.collect()
    assert say(backend, "Next.")


def test_unread_dropped_stream_frees_the_engine(backend, short_lead):
    backend.synthesize(SpeechRequest(LONG_TEXT))
    gc.collect()
    assert say(backend, "Next.")


def test_engine_waits_for_its_reader(backend, short_lead):
    stream = backend.synthesize(SpeechRequest(LONG_TEXT))
    chunks = iter(stream)
    full = threading.Event()
    queue = stream._generation.queue
    wait = queue._changed.wait

    def announced(timeout=None):
        if threading.current_thread().name == "voice-espeak":
            full.set()
        return wait(timeout)

    queue._changed.wait = announced
    next(chunks)
    assert full.wait(WAIT)
    assert queue._held <= 0.1 * 44100
    stream.cancel()


def test_process_exits_during_speech():
    assert (
        in_process("""
            from voice_cli.backends.base import SpeechRequest
            from voice_cli.backends.local.espeak import EspeakBackend
            stream = EspeakBackend().synthesize(SpeechRequest("And so on, and so on. " * 100000))
            chunks = iter(stream)
            print(len(next(chunks)) > 0)
        """)
        == "True\n"
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_child_can_synthesize():
    assert (
        in_process("""
            import os
            from voice_cli.backends.base import SpeechRequest
            from voice_cli.backends.local.espeak import EspeakBackend
            backend = EspeakBackend()
            def say():
                return len(b"".join(backend.synthesize(SpeechRequest("Hello there."))))
            say()
            backend.join(10)
            child = os.fork()
            if not child:
                os._exit(0 if say() > 10000 else 1)
            print(os.waitpid(child, 0)[1])
        """)
        == "0\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the workaround uses Linux's /proc")
@pytest.mark.parametrize("length", [*range(118, 124), 159, 160, 161, 200, 1000])
def test_long_data_path_is_opened(tmp_path, length):
    place = str(tmp_path)
    padding = length - len(f"{place}/") - len("/espeakng_loader")
    if padding < 1:
        pytest.skip("the temporary folder's path is longer")
    while padding > 0:
        part = min(padding, 200)
        part -= padding - part == 1  # leave room for a name after the slash
        place += "/" + "d" * part
        padding -= part + 1
    os.makedirs(place)
    os.symlink(LOADER, f"{place}/espeakng_loader")
    assert len(f"{place}/espeakng_loader") == length
    script = DIGEST + "    print(shared_library()._data)\n"
    digest, data = in_process(script, path=place).split()
    assert digest == in_process(DIGEST).strip()
    assert data == f"{place}/espeakng_loader/espeak-ng-data" or data.startswith("/proc/self/fd/")


def test_long_data_path_on_other_systems_is_an_error(tmp_path, monkeypatch):
    folder = tmp_path / ("d" * 150)
    folder.mkdir()
    (folder / "espeak-ng-data").symlink_to(f"{LOADER}/espeak-ng-data")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(EngineError, match="too long") as caught:
        espeak_library._data_path(str(folder))
    assert "120 bytes" in caught.value.hint


@pytest.mark.parametrize("present", [(), ("phontab",)])
def test_missing_data_is_an_error_and_does_not_exit_the_process(tmp_path, present):
    folder = tmp_path / "espeakng_loader"
    (folder / "espeak-ng-data").mkdir(parents=True)
    (folder / "__init__.py").touch()
    for name in os.listdir(LOADER):
        if "espeak-ng" in name and name != "espeak-ng-data":
            (folder / name).symlink_to(f"{LOADER}/{name}")
    for name in present:
        (folder / "espeak-ng-data" / name).symlink_to(f"{LOADER}/espeak-ng-data/{name}")
    said = in_process(
        """
        import os, sys
        from voice_cli.backends.base import SpeechRequest
        from voice_cli.backends.local.espeak import EspeakBackend
        from voice_cli.errors import EngineError
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # espeak-ng's own messages if some of the data exists
        backend = EspeakBackend()
        for attempt in (lambda: list(backend.synthesize(SpeechRequest("Hello."))), backend.voices):
            try:
                attempt()
            except EngineError as error:
                print(error.message, "/", error.hint)
        """,
        path=str(tmp_path),
    )
    assert said.count("does not find its data") == 2
    assert said.count("espeakng-loader") == 2


def test_missing_library_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(espeak_library.PathFinder, "find_spec", lambda *_: None)
    monkeypatch.setattr(espeak_library, "_SYSTEM", ("libno-such-thing.so.1",))
    with pytest.raises(EngineError, match="library is not installed") as caught:
        espeak_library.load_library()
    assert "pip install espeakng-loader" in caught.value.hint


def test_system_library_is_the_fallback():
    said = in_process("""
        import ctypes
        from voice_cli.backends.local import espeak, espeak_library
        from voice_cli.backends.base import SpeechRequest
        try:
            ctypes.CDLL(espeak_library._SYSTEM[0])
        except OSError:
            print("none")
            raise SystemExit
        import voice_cli.backends.local.espeak_voices  # import before PathFinder is patched
        espeak_library.PathFinder.find_spec = lambda *_: None
        backend = espeak.EspeakBackend()
        for voice in (None, "en-us+f3", "en-gb+f3", "fr-fr"):
            print(len(b"".join(backend.synthesize(SpeechRequest("Hello.", voice=voice)))) > 10000)
        print(len(backend.voices()) > 100)
    """)
    if said == "none\n":
        pytest.skip("the system has no espeak-ng")
    assert said == "True\n" * 5


def test_voices_match_the_librarys_list():
    listed = json.loads(
        in_process("""
            import ctypes, json
            from voice_cli.backends.local.espeak_library import shared_library
            class Voice(ctypes.Structure):
                _fields_ = [("name", ctypes.c_char_p), ("languages", ctypes.c_char_p),
                    ("identifier", ctypes.c_char_p), ("gender", ctypes.c_ubyte)]
            library = shared_library()._library
            library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(Voice))
            voices = []
            for wanted in (None, ctypes.byref(Voice(languages=b"variant"))):
                found, index = library.espeak_ListVoices(wanted), 0
                while found[index]:
                    voice = found[index].contents
                    voices.append([voice.identifier.decode(), voice.name.decode().strip(),
                        voice.languages[1:].decode(), voice.gender])
                    index += 1
            print(json.dumps(voices))
        """)
    )
    ours = {
        (file.identifier, file.name, file.language.lower(), {"male": 1, "female": 2}[file.gender])
        for file in shared_library().voice_files()
    }
    assert ours == {(identifier, name, tag.lower(), gender) for identifier, name, tag, gender in listed}


def test_every_listed_voice_can_be_chosen(backend, capfd):
    voices = backend.voices()
    assert len(voices) == len({voice.id for voice in voices}) > 200
    assert [voice.id for voice in voices if voice.id == "en-us"]
    english = next(voice for voice in voices if voice.id == "en-us")
    assert (english.name, english.language, english.gender) == ("English (America)", "en-us", "male")
    f3 = next(voice for voice in voices if voice.id == "+f3")
    assert (f3.name, f3.language, f3.gender) == ("female3", "", "female")
    for voice in voices:
        assert say(backend, "a", voice=voice.id), voice
        chosen = current_voice().lower()
        assert chosen.endswith(voice.id.lower().lstrip("+")), voice


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (None, "gmw/en-US"),
        ("en-us", "gmw/en-US"),
        ("EN-US", "gmw/en-US"),
        ("en_US", "gmw/en-US"),
        ("English (America)", "gmw/en-US"),
        ("english (america)", "gmw/en-US"),
        ("gmw/en-US", "gmw/en-US"),
        ("en", "gmw/en"),
        ("en-gb", "gmw/en"),
        ("fr-fr", "roa/fr"),
        ("zh", "sit/cmn"),
        ("pt-pt", "roa/pt"),
        ("no", "gmq/nb"),
        ("en-us+f3", "gmw/en-US+f3"),
        ("en-gb+f3", "gmw/en+f3"),
        ("fr-fr+F3", "roa/fr+f3"),
        ("+f3", "gmw/en-US+f3"),
        ("de+mike", "gmw/de+Mike"),
        ("de+female3", "gmw/de+f3"),
        ("de+mr_serious", "gmw/de+Mr serious"),
    ],
)
def test_voice_is_found_by_name_language_or_variant(backend, asked, chosen):
    assert say(backend, "a", voice=asked)
    assert current_voice() == chosen


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("en-uss", "the nearest: en-us, en-us-nyc; see the list of voices"),
        ("en-zz", "the nearest: en-us, en-gb; see the list of voices"),
        ("Germann", "the nearest: German, Romanian; see the list of voices"),
        ("en-us+f33", "the nearest: f3; see the list of voices"),
        ("x-q-w-k-z", "see the list of voices"),
    ],
)
def test_unknown_voice_error_suggests_the_nearest(backend, asked, hint):
    stream = backend.synthesize(SpeechRequest("a", voice=asked))
    with pytest.raises(UsageError, match="espeak-ng has no v") as caught:
        list(stream)
    assert str(caught.value.hint) == hint
    assert say(backend, "Next.")


@pytest.mark.parametrize(
    "asked",
    ["", "../../etc/passwd", "/etc/passwd", "!v/f3", "a\0b", "en-us\n", "x" * 1000, "\udc80", "..\\x"],
)
def test_invalid_voice_name_is_not_passed_to_the_library(backend, asked):
    with pytest.raises(UsageError, match="not a voice name"):
        backend.synthesize(SpeechRequest("a", voice=asked))


def test_speed_is_a_factor(backend):
    text = "The quick brown fox jumps over the lazy dog, and then the long day is done."
    normal = len(say(backend, text))
    for speed in (0.46, 0.75, 1.0, 1.5, 2.0, 4.0):
        # The final 0.3 s of silence shrinks less.
        assert len(say(backend, text, speed=speed)) == pytest.approx(normal / speed, rel=0.1)
    assert len(say(backend, text)) == pytest.approx(normal, rel=0.02)


@pytest.mark.parametrize("speed", [0.0, -1.0, 0.3, 4.1, float("nan"), float("inf"), float("-inf")])
def test_speed_out_of_range_is_refused(backend, speed):
    with pytest.raises(UsageError, match="cannot speak at") as caught:
        backend.synthesize(SpeechRequest("a", speed=speed))
    assert caught.value.hint == "a speed from 0.46 to 4"


@given(st.text(max_size=120).filter(str.strip))
@example("\0")
@example("a\0b")
@example("\udc80\ud83d")
@example("\x01" + "80S")
@example("<speak><break time='10s'/></speak> [[h@'loU]]")
@example("\u202e\ufeff\u200b\U0010ffff")
@settings(max_examples=60)
def test_any_text_is_spoken_or_skipped(text):
    stream = EspeakBackend().synthesize(SpeechRequest(text))
    chunks = list(stream)
    assert chunks
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    for word in stream.words:
        assert 0 <= word.text_start <= len(text)
        assert word.text_length >= 0
        assert word.seconds * 44100 <= sum(map(len, chunks)) + 44.1


def test_commands_in_a_text_do_not_affect_later_texts():
    # Repeated lengths vary slightly; U+0001 begins a command that would affect all later texts.
    said = in_process(r"""
        from voice_cli.backends.base import SpeechRequest
        from voice_cli.backends.local.espeak import EspeakBackend
        def length(text, **options):
            return len(b"".join(EspeakBackend().synthesize(SpeechRequest(text, **options))))
        before = length("A text that takes its time.")
        length("\x01" + "80S slow \x0130P deep")
        length("<prosody rate='x-slow'>slow")
        length("fast", speed=3.0, voice="de+whisper")
        print(abs(length("A text that takes its time.") - before) < 500)
    """)
    assert said == "True\n"


def test_nul_does_not_end_the_text(backend):
    assert len(say(backend, "one two\0 three four")) > 1.5 * len(say(backend, "one two"))


def test_megabyte_of_text_starts_and_cancels_at_once(backend):
    text = "All work and no play makes Jack a dull boy. " * 24000
    assert len(text) > 1_000_000
    stream = backend.synthesize(SpeechRequest(text))
    assert next(iter(stream))
    stream.cancel()
    idle(backend)


def test_words_have_positions_and_times(backend):
    text = "Tschüss 😀, my brave\tworld. Bye!"
    stream = backend.synthesize(SpeechRequest(text))
    heard = 0
    for chunk in stream:
        heard += len(chunk) / 44100
        known = [word for word in stream.words if word.seconds < heard]
    assert known == stream.words
    spoken = [text[word.text_start : word.text_start + word.text_length] for word in stream.words]
    assert [word for word in spoken if word.isalpha()] == ["Tschüss", "my", "brave", "world", "Bye"]
    times = [word.seconds for word in stream.words]
    assert times == sorted(times)
    assert times[0] < 0.1 < times[-1] < heard


def test_callback_exception_is_raised_by_the_stream(backend, short_lead):
    before = backend.synthesize(SpeechRequest(LONG_TEXT))
    stream = backend.synthesize(SpeechRequest("Hello."))
    fault = MemoryError("no room")

    def put(data):
        raise fault

    stream._generation.queue.put = put
    before.cancel()
    with pytest.raises(EngineError, match="no room") as caught:
        list(stream)
    assert caught.value.__cause__ is fault
    assert say(backend, "Next.")


def test_close_cancels_only_this_backends_requests(backend, short_lead):
    other = EspeakBackend()
    mine = backend.synthesize(SpeechRequest(LONG_TEXT))
    theirs = other.synthesize(SpeechRequest("Theirs."))
    backend.close()
    backend.close()
    with pytest.raises(Interrupted):
        list(mine)
    assert list(theirs)
    with pytest.raises(RuntimeError):
        backend.synthesize(SpeechRequest("Late."))


def test_voices_does_not_wait_for_requests(backend, short_lead):
    stream = backend.synthesize(SpeechRequest(LONG_TEXT))
    assert next(iter(stream))
    voice_files.cache_clear()
    assert backend.voices()
    stream.cancel()


@pytest.mark.parametrize(
    ("voice", "language"),
    [
        (None, "en-us"),
        ("+f3", "en-us"),
        ("de", "de"),
        ("de+f3", "de"),
        ("cmn", "cmn"),
        ("pt-br", "pt-br"),
        ("English", ""),
    ],
)
def test_voice_language_is_known_before_synthesis(voice, language):
    assert EspeakBackend().language(voice) == language
