"""The page at `/` in a real browser: its layout, its measurements and its playback."""

import base64
import json
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.browser import contrast, find_browser, rgb
from support.speech_app import SpeechApp, SteppedEngine, sound_of
from voice_cli.audio import CODECS, AudioFormat
from voice_cli.backends.base import Voice
from voice_cli.codecs.wav import wav_header
from voice_cli.errors import EngineError, UsageError
from voice_cli.server.routes.page import page_content, policy_of

RATE = 24_000
SPEECH = sound_of("a speech", 0.6)
"""Has no silent sample, so silence in the output is an underrun."""
KEY = "the-key-of-the-tests"

VOICES = (
    Voice("alice", "Alice", "en-GB", "female"),
    Voice("bob", "Bob", "de", "male"),
    Voice("carla", "Carla", "de-AT", "female"),
    Voice("+deep", "deep"),
)

RECORDER = """
(() => {
  if (!window.AudioWorklet) return;
  const source = URL.createObjectURL(new Blob([`
    registerProcessor("recorder", class extends AudioWorkletProcessor {
      constructor() {
        super();
        this.port.onmessage = () => this.port.postMessage(null);
      }
      process([[input]]) {
        if (input) this.port.postMessage({frame: currentFrame, samples: input.slice()});
        return true;
      }
    });
  `], {type: "text/javascript"}));
  const blocks = [];
  const recorders = [];
  const {addModule} = AudioWorklet.prototype;
  AudioWorklet.prototype.addModule = async function (url) {
    await addModule.call(this, source);
    await addModule.call(this, url);
  };
  const {connect} = AudioNode.prototype;
  AudioNode.prototype.connect = function (to, ...more) {
    if (to === this.context.destination) {
      const recorder = new AudioWorkletNode(this.context, "recorder");
      recorder.port.onmessage = ({data}) => data ? blocks.push(data) : recorder.answered();
      recorders.push(recorder);
      connect.call(this, recorder);
      connect.call(recorder, to);
    }
    return connect.call(this, to, ...more);
  };
  window.recorded = async () => {
    for (const recorder of recorders) {  // it replies after its last block
      await new Promise(resolve => { recorder.answered = resolve; recorder.port.postMessage("?"); });
    }
    if (!blocks.length) return "";
    const first = blocks[0].frame;
    const samples = new Int16Array(blocks.at(-1).frame + 128 - first);
    for (const {frame, samples: block} of blocks) {
      block.forEach((sample, i) => { samples[frame - first + i] += Math.round(32768 * sample); });
    }
    return btoa(Array.from(new Uint8Array(samples.buffer), byte => String.fromCharCode(byte)).join(""));
  };
})()
"""
"""Records the output of an audio context."""


def made_of(pcm, piece_frames=1_201):
    """Cut PCM into pieces."""
    return [pcm[at : at + 2 * piece_frames] for at in range(0, len(pcm), 2 * piece_frames)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    return find_browser(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def window(browser):
    with browser.open("--host-resolver-rules=MAP voice.test 127.0.0.1") as tab:
        tab.before_each_page(RECORDER)
        yield tab


@pytest.fixture
def tab(window):
    """Return the window; errors of the browser fail the test."""
    window.open("about:blank")  # the previous page may report its closed server
    window.complaints.clear()
    window.seen_by(size=(1200, 900))
    return window


@pytest.fixture
def engine():
    return SteppedEngine(lambda _: made_of(SPEECH), voices=VOICES)


@pytest.fixture
def app(engine):
    with SpeechApp(engine) as served:
        yield served


@pytest.fixture
def page(tab, app):
    """Open the page, and wait until it shows the voices and the server's state."""
    tab.open(app.url)
    tab.until(LOADED)
    return tab


LOADED = "document.getElementById('voice').options.length > 1 && document.getElementById('uptime').textContent !== '–'"


def state_is(text):
    return f"document.getElementById('state').textContent.includes({json.dumps(text)})"


def output_of(tab):
    """Return the output from the first to the last sample that is not silent."""
    samples = np.frombuffer(base64.b64decode(tab.get("recorded()")), "<i2")
    sounding = np.flatnonzero(samples)
    return samples[sounding[0] : sounding[-1] + 1] if len(sounding) else samples[:0]


def heard(tab):
    """Return the output without the silence of underruns and of blocks that a busy machine skipped."""
    samples = output_of(tab)
    return samples[samples != 0]


def speak(tab):
    tab.click("speak")
    tab.until(state_is("Finished"))


def samples_of(pcm):
    return np.frombuffer(pcm, "<i2")


def number_in(text):
    return float(re.search(r"[\d.]+", text)[0])


def test_the_content_security_policy_allows_only_inline_script_and_style(app):
    answer = app.request("GET", "/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert policy == policy_of(page_content())
    assert policy.count("sha256-") == 2
    assert not re.findall(r"""(?:src|href)=["'](?!data:,)|https?://|@import|style=""", answer.body.decode())


def test_the_browser_runs_no_other_script(page):
    page.get("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))")
    assert page.get("window.ran") is None
    assert any("Content Security Policy" in complaint for complaint in page.complaints)


def test_the_page_loads_without_browser_errors(page, app):
    assert page.text("server-state") == "healthy"
    assert page.text("engine") == "made"
    assert page.text("device") == "cpu"
    assert page.text("streams") == "0"
    assert page.text("complete") == "0"
    assert page.text("version") == app.request("GET", "/health").json["version"]
    assert page.complaints == []


def test_a_whole_speech_is_played_and_underruns_are_counted(page, app, engine):
    page.write("text", "Say this.")
    page.get("document.getElementById('voice').value = 'bob'")
    speak(page)
    (request,) = engine.requests
    assert (request.text, request.voice) == ("Say this.", "bob")
    sent = app.request("POST", "/v1/audio/speech", {"input": "Say this.", "voice": "bob", "response_format": "pcm"})
    assert sent.body == SPEECH
    assert np.array_equal(heard(page), samples_of(sent.body))
    told = page.get("current.told")  # a busy machine has underruns and skips blocks
    assert (output_of(page) == 0).sum() == told["missed"] + told["skipped"]
    for name in ("underruns", "underflows"):
        assert page.text(name).partition(",")[0] == str(told[name])
    assert page.text("received") == "0.6 s"
    assert page.text("bytes") == "28.8 kB"
    assert page.text("heard") == "0.6 s"
    assert page.complaints == []


def test_the_time_to_first_audio_is_measured_at_the_output(page, app):
    speak(page)
    ttfb, ttfa, latency = (number_in(page.text(name)) for name in ("ttfb", "ttfa", "latency"))
    assert ttfb > 0
    assert latency <= ttfa
    assert re.search(r"The first sound came after \d+ ms", page.text("state"))
    for stage in ("voice", "queued", "generated", "encoded", "total"):
        assert page.text(f"stage-{stage}").endswith(" ms")
    page.until("document.getElementById('complete').textContent === '1'")
    assert page.text("made") == "0.6 s"
    assert number_in(page.text("average")) >= 0


def test_audio_plays_during_generation_and_an_underrun_is_counted(page, app, engine):
    engine.hold()
    engine.release(6)
    page.click("speak")
    page.until(f"current?.told?.played === {6 * 1_201}")  # the rest of that block is empty
    assert engine.live == 1
    assert number_in(page.text("ttfa")) > 0
    assert page.text("state") == "Speaking …"
    assert page.text("underruns") == "0"  # counted only when more audio arrives
    engine.let_go()
    page.until(state_is("Finished"))
    got = output_of(page)
    assert np.array_equal(got[got != 0], samples_of(SPEECH))
    told = page.get("current.told")
    assert (got == 0).sum() == told["missed"] + told["skipped"]
    assert re.fullmatch(rf"1, {round(1000 * told['missed'] / RATE)} ms", page.text("underruns"))
    if not told["skipped"]:
        first, last = np.flatnonzero(got == 0)[[0, -1]]
        assert first == 6 * 1_201
        assert not got[first : last + 1].any()


def test_the_end_of_the_audio_is_not_an_underrun(tab):
    pieces = made_of(SPEECH)
    engine = SteppedEngine(lambda _: [*pieces, b""])
    with SpeechApp(engine) as app:
        tab.open(app.url)
        tab.until(LOADED)
        engine.hold()
        engine.release(len(pieces))
        tab.click("speak")
        tab.until(f"current?.told?.played === {len(SPEECH) // 2}")
        engine.let_go()
        tab.until(state_is("Finished"))
        assert tab.text("underruns") == "0"


def test_stop_cancels_the_stream_on_the_server(page, app, engine):
    engine.hold()
    engine.release(6)
    page.click("speak")
    page.until("current?.told?.audible > 0")
    assert page.get("document.getElementById('stop').ariaDisabled") == "false"
    page.click("stop")
    (report,) = app.wait_for_reports(1)
    assert (report.outcome, report.reason) == ("cancelled", "left")
    engine.wait_until_idle()
    page.until(state_is("Stopped"))
    assert page.get("document.getElementById('stop').ariaDisabled") == "true"
    got, sent = heard(page), samples_of(SPEECH)
    print(len(got), np.flatnonzero(got != sent[: len(got)])[:5], page.get("current.told"), page.get("current.points"))
    assert 0 < len(got) <= 6 * 1_201
    faded = len(got) - 120  # 5 ms fade-out against clicks
    assert np.array_equal(got[:faded], sent[:faded])
    assert np.abs(got[faded:]).max() <= np.abs(sent).max()
    assert page.complaints == []


def test_stop_before_the_first_audio(page, app, engine):
    engine.hold()
    page.click("speak")
    engine.wait_for_requests(1)
    page.press("Escape")
    page.until(state_is("Stopped"))
    app.wait_for_reports(1)
    engine.wait_until_idle()
    assert not len(heard(page))


def test_a_new_speech_replaces_the_current_one(page, app, engine):
    engine.hold()
    engine.release(6)
    page.click("speak")
    page.until("current?.told?.audible > 0")
    page.click("speak")
    (report,) = app.wait_for_reports(1)
    assert report.outcome == "cancelled"
    engine.let_go()
    page.until(state_is("Finished"))
    assert page.text("heard") == "0.6 s"
    assert np.array_equal(output_of(page)[-len(SPEECH) // 2 :], samples_of(SPEECH))


def test_the_page_limits_its_buffered_audio(tab, window):
    long = SteppedEngine(lambda _: made_of(100 * SPEECH, 24_000))
    with SpeechApp(long) as app:
        tab.open(app.url)
        tab.until(LOADED)
        tab.click("speak")
        tab.until("current?.told?.played > 6000 && document.getElementById('received').textContent.startsWith('30.')")
        assert tab.get("Math.max(...current.points.map(([, received, heard]) => received - heard))") <= 30
        tab.click("stop")
        app.wait_for_reports(1)
        long.wait_until_idle()


@pytest.mark.parametrize("codec", CODECS)
def test_each_format_is_played(page, app, codec):
    page.get(f"document.getElementById('format').value = {json.dumps(codec)}")
    speak(page)
    (report,) = app.wait_for_reports(1)
    assert report.codec == codec
    got, sent = heard(page), samples_of(SPEECH)
    if codec in ("pcm", "wav", "flac"):
        assert np.array_equal(got, sent)
    else:
        assert len(got) == pytest.approx(len(sent), rel=0.1)
    assert page.complaints == []


def test_audio_of_another_rate_is_resampled(tab):
    source = AudioFormat(22_050, 1)
    pcm = sound_of("slower", 1.0, source)
    with SpeechApp(SteppedEngine(lambda _: made_of(pcm), audio_format=source)) as app:
        tab.open(app.url)
        tab.until(LOADED)
        for codec in ("pcm", "wav"):
            tab.get(f"document.getElementById('format').value = {json.dumps(codec)}")
            speak(tab)
            assert tab.text("heard") == "1.0 s"


def test_stereo_is_mixed_to_one_channel(tab):
    stereo = AudioFormat(RATE, 2)
    pcm = sound_of("wide", 0.5, stereo)
    with SpeechApp(SteppedEngine(lambda _: made_of(pcm, 2_402), audio_format=stereo)) as app:
        tab.open(app.url)
        tab.until(LOADED)
        for codec in ("pcm", "wav"):
            tab.open(app.url)
            tab.until(LOADED)
            tab.get(f"document.getElementById('format').value = {json.dumps(codec)}")
            speak(tab)
            assert tab.text("heard") == "0.5 s"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("text", "  ", "400: there is nothing to say"),
        ("text", "a" * 101, "400: the text has 101 characters"),
        ("speed", "9", "400: "),
        ("find", "no-such-voice", "400: "),
    ],
)
def test_the_servers_error_message_is_shown(tab, engine, field, value, words):
    def refuse(request):
        if request.voice == "no-such-voice":
            raise UsageError("there is no voice no-such-voice")
        return made_of(SPEECH)

    with SpeechApp(SteppedEngine(refuse, voices=VOICES), max_text=100) as app:
        tab.open(app.url)
        tab.until(LOADED)
        tab.write(field, value)
        tab.click("speak")
        tab.until("document.getElementById('state').className === 'state bad'")
        assert tab.text("state").startswith(words)
        assert "\n" not in tab.text("state")
        assert tab.get("document.getElementById('stop').ariaDisabled") == "true"
        tab.write("text", "Say this.")
        tab.write("speed", "1")
        tab.write("find", "")
        speak(tab)
        assert tab.text("state").startswith("Finished")


def test_a_truncated_speech_is_played_and_reported(tab):
    pieces = made_of(SPEECH)[:10]
    engine = SteppedEngine(lambda request: [*pieces, EngineError("it fell over")] if request.text != "Hi." else pieces)
    with SpeechApp(engine) as app:
        tab.open(app.url)
        tab.until(LOADED)
        engine.hold()
        engine.release(10)
        tab.click("speak")
        tab.until(f"current?.received === {10 * 1_201}")  # a browser drops received data that was not read yet
        engine.let_go()
        tab.until(state_is("The server broke off"))
        assert np.array_equal(heard(tab), samples_of(b"".join(pieces)))


def test_an_unreachable_server_is_reported(page, app):
    app.close()
    page.click("speak")
    page.until(state_is("The server was not reached."))
    page.until("document.getElementById('server-state').textContent === 'not reached'")


def test_the_key_is_requested_if_the_server_needs_one(tab, engine):
    with SpeechApp(engine, keys=[KEY]) as app:
        tab.open(app.url)
        tab.until("!document.getElementById('key-form').hidden")
        tab.until(state_is("This server wants an API key."))
        assert tab.get("document.activeElement.id") == "key"
        tab.write("key", "wrong")
        tab.press("Enter")
        tab.until(state_is("401: the API key is wrong"))
        tab.write("key", KEY)
        tab.press("Enter")
        tab.until(LOADED)
        assert tab.get("document.getElementById('key-form').hidden")
        assert tab.text("state") == ""
        speak(tab)
        assert np.array_equal(heard(tab), samples_of(SPEECH))
        assert KEY not in tab.get("location.href + document.documentElement.outerHTML + document.cookie")
        assert tab.get("Object.keys(localStorage)") == []


def test_the_key_field_is_hidden_if_the_server_needs_none(page):
    assert page.get("document.getElementById('key-form').hidden")


def test_audio_plays_without_worklets(tab, engine):
    """Browsers have no worklets on hosts without https."""
    with SpeechApp(engine, keys=[KEY]) as app:
        tab.open(f"http://voice.test:{app.port}/")
        tab.until("!document.getElementById('key-form').hidden")
        assert not tab.get("isSecureContext")
        tab.write("key", KEY)
        tab.press("Enter")
        tab.until(LOADED)
        tab.get(FILL_RECORDER)
        speak(tab)
        assert tab.text("heard") == "0.6 s"
        assert tab.text("underruns") == "0"
        assert tab.text("underflows") == "not known"
        assert number_in(tab.text("latency")) >= tab.get("Math.round(1000 * output.context.baseLatency)")
        taken = samples_of(base64.b64decode(tab.get("takenDown()")))
        assert np.array_equal(taken[taken != 0], samples_of(SPEECH))


FILL_RECORDER = """
(() => {
  const {fill} = Feed.prototype;
  const taken = [];
  Feed.prototype.fill = function (output, frame) {
    const more = fill.call(this, output, frame);
    taken.push(...output);
    return more;
  };
  window.takenDown = () => {
    const samples = Int16Array.from(taken, sample => Math.round(32768 * sample));
    return btoa(Array.from(new Uint8Array(samples.buffer), byte => String.fromCharCode(byte)).join(""));
  };
})()
"""
"""Records the output of a script processor."""


def test_the_device_opens_before_speak_is_pressed_and_closes_afterwards(page, app, engine):
    page.get(
        "(() => { const {setTimeout} = window; window.setTimeout = (work, delay) =>"
        "{ if (delay === 10000) window.idle = work; return setTimeout(work, delay); } })()"
    )
    page.click("text")
    assert page.get("output.context !== null && output.ready.then(() => output.context.state)") == "running"
    engine.hold()
    engine.release(6)
    page.click("speak")
    page.until("current?.told?.audible > 0")
    page.get("output.context.suspend = () => { window.suspended = true; }")
    assert page.get("(idle(), window.suspended)") is None
    page.get("delete output.context.suspend")
    engine.let_go()
    page.until(state_is("Finished"))
    page.get("new Promise(resolve => { output.context.onstatechange = resolve; idle(); })")
    assert page.get("output.context.state") == "suspended"
    speak(page)
    assert page.text("heard") == "0.6 s"


# Voices.


def offered(tab):
    """Return the offered voices: (group, value, text)."""
    return tab.get(
        "[...document.getElementById('voice').options].map(option => "
        "[option.parentElement.label ?? null, option.value, option.textContent])"
    )


def test_voices_are_grouped_by_language_and_searchable(page):
    page.get("document.getElementById('find').focus()")
    assert offered(page) == [
        [None, "", "the server’s own"],
        ["English", "alice", "Alice · alice · female"],
        ["German", "bob", "Bob · bob · male"],
        ["German", "carla", "Carla · carla · female"],
        ["Of any language", "+deep", "deep · +deep"],
    ]
    for sought, found in {"german": ["bob", "carla"], "ALICE": ["alice"], "FEMALE": ["alice", "carla"]}.items():
        page.write("find", sought)
        values = [value for group, value, _ in offered(page) if group != "By its id"]
        assert values == found
        assert page.get("document.getElementById('voice').value") == found[0]
    page.write("find", "de")
    page.get("document.getElementById('voice').value = 'carla'")
    page.write("find", "")
    assert page.get("document.getElementById('voice').value") == "carla"
    page.write("find", "bob+deep")
    assert offered(page) == [["By its id", "bob+deep", "bob+deep"]]


# Keyboard and layout.


def test_the_page_is_usable_with_the_keyboard(page, app, engine):
    page.get("document.getElementById('text').focus()")
    order = []
    for _ in range(7):
        page.press("Tab")
        order.append(page.get("document.activeElement.id || document.activeElement.tagName"))
    assert order == ["find", "voice", "speed", "format", "speak", "stop", "SUMMARY"]
    page.get("document.getElementById('text').focus()")
    page.press("Enter", "Control")
    page.until(state_is("Finished"))
    assert "\n" not in engine.requests[0].text
    page.get("document.getElementById('speak').focus()")
    engine.hold()
    page.press("Space")
    engine.wait_for_requests(2)
    page.get("document.getElementById('stop').focus()")
    page.press("Enter")
    page.until(state_is("Stopped"))
    assert page.get("document.activeElement.id") == "stop"


def test_fields_have_names_and_changes_are_announced(page):
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"textbox", "searchbox", "combobox", "spinbutton", "button", "image", "status", "region"}
    named = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    found = [(role, name) for role, name in named if role in roles]
    assert {role for role, _ in found} == roles
    assert not [role for role, name in found if not name and role != "status"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 700, 1600])
def test_text_is_readable_and_the_layout_is_stable(page, app, engine, scheme, width):
    page.seen_by(size=(width, 900), color_scheme=scheme)
    before = page.get(BOXES)
    assert page.get("document.documentElement.scrollWidth") <= width
    engine.hold()
    engine.release(6)
    page.click("speak")
    page.until("current?.told?.audible > 0")
    during = page.get(BOXES)
    engine.let_go()
    page.until(state_is("Finished"))
    assert before == during == page.get(BOXES)
    assert page.get("document.documentElement.scrollWidth") <= width
    for text, ink, paper, size in page.get(INKS):
        assert contrast(rgb(ink), rgb(paper)) >= 4.5, text
        assert size >= 12, text
    for name, edge, paper, height in page.get(EDGES):
        assert contrast(rgb(edge), rgb(paper)) >= 3, name
        assert height >= 44, name
    pixels = page.picture()
    assert pixels.shape[1] == width
    brightness = pixels[:8].mean()
    assert brightness < 60 if scheme == "dark" else brightness > 200
    for line in ("received", "heard"):
        colour = page.get(f"getComputedStyle(document.querySelector('.legend .{line}')).backgroundColor")
        assert np.all(pixels == rgb(colour), axis=2).sum() > 144 + 100, f"the curve of {line} is not drawn"
    assert page.complaints == []


BOXES = """
[...document.querySelectorAll("main *")].filter(e => e.getClientRects().length).map(e => {
  const box = e.getBoundingClientRect();
  const [x, y] = [box.left + scrollX, box.top + scrollY];
  const isText = e.children.length || ["TD", "DD", "P"].includes(e.tagName);
  return [e.tagName, e.id, x, y, ...(isText ? [] : [box.width, box.height])];
})
"""

INKS = """
[...document.querySelectorAll("main *")].filter(e => e.getClientRects().length && [...e.childNodes].some(
  node => node.nodeType === Node.TEXT_NODE && node.textContent.trim())).map(e => {
  let under = e;
  while (getComputedStyle(under).backgroundColor === "rgba(0, 0, 0, 0)") under = under.parentElement;
  const style = getComputedStyle(e);
  return [e.textContent, style.color, getComputedStyle(under).backgroundColor, parseFloat(style.fontSize)];
})
"""

EDGES = """
[...document.querySelectorAll("textarea, input, select, #speak")].filter(e => e.getClientRects().length).map(e => [e.id,
  getComputedStyle(e).borderTopColor, getComputedStyle(e.closest(".card")).backgroundColor,
  e.getBoundingClientRect().height])
"""


def test_with_reduced_motion_the_curve_is_drawn_once(page, app, engine):
    page.seen_by(size=(1200, 900), reduced_motion="reduce")
    page.get(
        "(() => { const {curve} = view; window.drawn = []; view.curve = speech => {"
        "drawn.push(speech.over); curve.call(view, speech); } })()"
    )
    speak(page)
    page.until("drawn.length > 0")
    assert set(page.get("drawn")) == {True}


# Parts of the script, with generated input.


def as_page_bytes(data):
    return f"Uint8Array.from(atob({json.dumps(base64.b64encode(data).decode())}), c => c.charCodeAt(0))"


@given(
    data=st.binary(max_size=400),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    codec=st.sampled_from(["pcm", "wav"]),
    channels=st.sampled_from([1, 2]),
)
@settings(max_examples=150)
def test_samples_do_not_depend_on_chunk_boundaries(window, parts, data, cuts, codec, channels):
    sent = wav_header(AudioFormat(RATE, channels), None) + data if codec == "wav" else data
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    made = "new Wav()" if codec == "wav" else f"new Pcm('audio/pcm; rate=24000; channels={channels}')"
    got = window.get(
        f"(() => {{ const all = {as_page_bytes(sent)}; const decoder = {made}; const places = {json.dumps(places)};"
        "return places.slice(1).flatMap((end, i) => [...decoder.samples(all.slice(places[i], end))]); })()"
    )
    whole = data[: len(data) - len(data) % (2 * channels)]
    wanted = samples_of(whole).reshape(-1, channels).astype("f4").mean(axis=1) / 32_768
    assert np.array_equal(np.array(got, "f4"), wanted)


@pytest.fixture(scope="module")
def parts(window):
    """Open a page to test its parts separately."""
    with SpeechApp(SteppedEngine()) as app:
        window.open(app.url)
        window.until(LOADED)
        yield


@given(
    pushes=st.lists(st.integers(0, 300), max_size=12),
    blocks=st.lists(st.sampled_from([64, 128, 2_048]), min_size=1, max_size=4),
)
@settings(max_examples=150)
def test_a_feed_returns_all_samples_in_order(window, parts, pushes, blocks):
    got, told = window.get(
        f"""(() => {{
          const told = [];
          const feed = new Feed({{rate: 24000, ringFrames: 512, startFrames: 100}}, one => told.push(one));
          const [pushes, blocks, got] = [{pushes}, {blocks}, []];
          let [next, frame] = [1, 0];
          const fill = size => {{
            const output = new Float32Array(size).fill(-1);
            const more = feed.fill(output, frame);
            frame += size;
            got.push(...output);
            return more;
          }};
          pushes.forEach((count, i) => {{
            while (feed.held + count > 512) fill(blocks[i % blocks.length]);
            feed.take({{samples: Float32Array.from({{length: count}}, () => next++)}});
            fill(blocks[i % blocks.length]);
          }});
          feed.take({{end: true}});
          while (fill(128));
          return [got, told.at(-1)];
        }})()"""
    )
    samples = [sample for sample in got if sample]
    assert samples == list(range(1, sum(pushes) + 1))
    assert told["over"]
    assert told["played"] == sum(pushes)
    inside = got[got.index(1) : len(got) - got[::-1].index(samples[-1])] if samples else []
    assert told["missed"] == inside.count(0)
    assert told["underruns"] == sum(one and not other for one, other in pairwise(inside))
    assert told["first"] == told["audible"] or not samples or told["audible"] == got.index(1)
