"""`voice doctor` on broken setups: each is named with a remedy, and nothing is wrong once the remedy is followed."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from support.command import on_terminal, screen_of
from support.server import Answer, SpeechServer
from support.sound import VOICE, AudioServer, speech
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs import open_encoder
from voice_cli.codecs.media_types import content_type_of

pytestmark = pytest.mark.e2e

SECONDS = 2.0


@pytest.fixture
def home(tmp_path):
    """Return the folders of a user of one's own, as variables."""
    for name in ("config", "state", "data", "cache"):
        (tmp_path / name).mkdir()
    return {f"XDG_{name.upper()}_HOME": str(tmp_path / name) for name in ("config", "state", "data", "cache")}


@pytest.fixture
def doctor(voice, home):
    """Run `voice doctor --json`, and return its checks by name."""

    def run(*arguments, **environment):
        done = voice("doctor", "--json", *arguments, environment={**home, **environment})
        assert done.err == ""
        checks = done.json["checks"]
        assert done.code == any(check["state"] == "broken" for check in checks) == (not done.json["ok"])
        assert all(check["remedy"] for check in checks if check["state"] != "ok")
        return {check["check"]: check for check in checks}

    return run


@pytest.fixture
def config(home):
    """Write the config file."""
    folder = os.path.join(home["XDG_CONFIG_HOME"], "voice")
    os.mkdir(folder)

    def write(text):
        path = os.path.join(folder, "config.toml")
        with open(path, "w") as file:
            file.write(text)
        return path

    return write


def wrong(checks):
    """Return the names of the checks that found something."""
    return [name for name, check in checks.items() if check["state"] != "ok"]


def encoded(codec, rate=24_000):
    """Return a speech of `SECONDS` in a format."""
    encoder = open_encoder(codec, AudioFormat(rate, 1))
    return encoder.encode(speech(SECONDS, rate).tobytes()) + encoder.finish()


def streaming(codec, rate=24_000, **options):
    """Return an answer that is streamed."""
    body = encoded(codec, rate)
    content_type = content_type_of(Encoding(codec, AudioFormat(rate, 1)))
    return Answer(body, content_type, chunk=len(body) // 10 + 1, byte_rate=len(body) / 0.5, **options)


def by_format(**answers):
    """Return what answers a request by its format, and refuses other formats."""

    def respond(request):
        if request.path.endswith("/models"):
            return Answer(b'{"data": []}', "application/json")
        codec = request.json["response_format"]
        refusal = Answer(b'{"detail": "no such format"}', "application/json", status=400)
        return answers.get(codec, refusal)

    return respond


def test_nothing_is_wrong_with_a_sound_setup(doctor, audio):
    checks = doctor()
    assert wrong(checks) == []
    assert checks["output device"]["rate"] == 24000
    assert checks["audio server"]["found"].startswith("PulseAudio")
    assert checks["engine espeak"]["found"] == "ready, on cpu"


def test_a_tone_is_heard(doctor, audio):
    with audio.record() as heard:
        checks = doctor("--tone")
    assert wrong(checks) == []
    assert "muted" in checks["tone"]["remedy"]
    assert 0.55 < len(heard.sound) / 24000 < 0.65


def test_no_portaudio(audio, doctor, home):
    """Run in a process where ctypes cannot find the library."""
    program = "import ctypes.util, sys; ctypes.util.find_library = lambda name: None; import runpy; "
    program += "sys.argv = ['voice', 'doctor']; runpy.run_module('voice_cli', run_name='__main__', alter_sys=True)"
    done = subprocess.run(
        [VOICE[0], "-c", program], env={**audio.environment(), **home}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    line = "broken\tPortAudio\tthe PortAudio library is missing\tinstall it: apt install libportaudio2"
    assert line in done.stdout
    assert doctor()["PortAudio"]["state"] == "ok"


def test_no_device(doctor):
    checks = doctor(PULSE_SERVER="unix:/nonexistent")
    assert wrong(checks) == ["audio server", "output device"]
    assert "PULSE_SERVER" in checks["audio server"]["found"]
    assert "unset PULSE_SERVER" in checks["audio server"]["remedy"]
    assert checks["output device"]["found"] == "there is no output device"
    assert wrong(doctor()) == []


def test_a_misspelled_device(doctor, config):
    config('device = "puls"\n')
    assert wrong(doctor()) == []
    config('device = "pluse"\n')
    checks = doctor()
    assert wrong(checks) == ["output device"]
    assert "did you mean 'pulse'" in checks["output device"]["found"]


def test_a_frozen_audio_server(voice, home, tmp_path):
    folder = tmp_path / "audio"
    folder.mkdir()
    server = AudioServer(folder)
    try:
        environment = {**home, **server.environment()}
        server.process.send_signal(signal.SIGSTOP)
        done = voice("doctor", "--json", environment=environment)
        checks = {check["check"]: check for check in done.json["checks"]}
        assert (done.code, done.err) == (1, "")
        assert checks["output device"]["found"] == "the audio server does not answer"
        assert "start" in checks["output device"]["remedy"]
        server.process.send_signal(signal.SIGCONT)
        assert voice("doctor", "--json", environment=environment).code == 0
    finally:
        server.process.send_signal(signal.SIGCONT)
        server.close()


def test_a_wrong_key(doctor, config, serve):
    def respond(request):
        if request.headers.get("authorization") != "Bearer sk-right":
            message = f"Incorrect key {request.headers.get('authorization')}"
            return Answer(json.dumps({"error": {"message": message}}).encode(), "application/json", status=401)
        return by_format(pcm=streaming("pcm"), wav=streaming("wav"))(request)

    server = serve(respond)
    config(f"[profiles.mine]\nbase_url = '{server.url}'\napi_key_env = 'MY_KEY'\n")
    checks = doctor()
    assert wrong(checks) == ["key mine"]
    assert checks["key mine"]["remedy"] == "set it: export MY_KEY=…"
    checks = doctor(MY_KEY="sk-wrong")
    assert wrong(checks) == ["server mine"]
    assert "refuses the key (401): Incorrect key" in checks["server mine"]["found"]
    assert "api_key_env" in checks["server mine"]["remedy"]
    assert "sk-wrong" not in str(checks)
    checks = doctor(MY_KEY="sk-right")
    assert wrong(checks) == []
    assert "sk-right" not in str(checks)


def test_a_dead_server(doctor, config):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    config(f"profile = 'kokoro'\n[profiles.kokoro]\nbase_url = 'http://127.0.0.1:{port}/v1'\n")
    checks = doctor()
    assert wrong(checks) == ["server kokoro"]
    assert checks["server kokoro"]["found"] == f"127.0.0.1:{port} refused the connection"
    assert checks["server kokoro"]["remedy"] == "is the server running?"
    with SpeechServer(by_format(pcm=streaming("pcm"), wav=streaming("wav")), port=port):
        checks = doctor()
    assert wrong(checks) == []
    assert "streams pcm, wav at 24000 Hz; pcm begins after" in checks["server kokoro"]["found"]
    assert checks["server kokoro"]["formats"]["mp3"]["error"].endswith("rejects the request (400): no such format")


def test_a_server_that_does_not_answer_in_time(doctor, config, serve):
    server = serve(Answer(b"xx", first_byte=60))
    config(f"[profiles.mine]\nbase_url = '{server.url}'\n")
    checks = doctor("--timeout", "0.5")
    assert wrong(checks) == ["server mine"]
    assert checks["server mine"]["remedy"] == "raise --timeout"


def test_a_server_that_does_not_stream(doctor, config, serve):
    at_once = Answer(encoded("pcm"), first_byte=1.0, chunk=1 << 20, chunked=False)
    server = serve(by_format(pcm=at_once, mp3=streaming("mp3")))
    config(f"[profiles.mine]\nbase_url = '{server.url}'\n")
    checks = doctor()
    assert wrong(checks) == ["server mine"]
    assert checks["server mine"]["state"] == "warning"
    assert "does not stream pcm: all of it came at once" in checks["server mine"]["found"]
    assert checks["server mine"]["remedy"] == "use --format mp3, which it streams"
    config(f"[profiles.mine]\nbase_url = '{server.url}'\nformat = 'mp3'\n")
    assert wrong(doctor()) == []


def test_a_server_that_streams_in_no_format(doctor, config, serve):
    server = serve(by_format(pcm=Answer(encoded("pcm"), first_byte=1.0, chunk=1 << 20, chunked=False)))
    config(f"[profiles.mine]\nbase_url = '{server.url}'\n")
    assert "turn streaming on in the server" in doctor()["server mine"]["remedy"]


def test_pcm_of_another_rate_than_it_is_played_at(doctor, config, serve):
    other = streaming("pcm", 16_000)
    other.content_type = "audio/pcm"
    server = serve(by_format(pcm=other, wav=streaming("wav", 16_000)))
    config(f"[profiles.mine]\nbase_url = '{server.url}'\n")
    checks = doctor()
    assert wrong(checks) == ["server mine"]
    assert checks["server mine"]["state"] == "broken"
    assert "sends PCM at 16000 Hz, but it is played at 24000 Hz" in checks["server mine"]["found"]
    assert checks["server mine"]["remedy"] == "use --format wav, whose header has the right rate"
    config(f"[profiles.mine]\nbase_url = '{server.url}'\nformat = 'wav'\n")
    assert wrong(doctor()) == []


def test_wav_of_another_rate_than_announced(doctor, config, serve):
    other = streaming("wav", 16_000)
    other.content_type = "audio/pcm; rate=24000"
    server = serve(by_format(pcm=other, wav=streaming("wav", 16_000)))
    config(f"[profiles.mine]\nbase_url = '{server.url}'\n")
    checks = doctor()
    assert wrong(checks) == ["server mine"]
    assert "announces pcm at 24000 Hz, but sends wav at 16000 Hz" in checks["server mine"]["found"]
    assert checks["server mine"]["remedy"] == "use --format wav"
    config(f"[profiles.mine]\nbase_url = '{server.url}'\nformat = 'wav'\n")
    assert wrong(doctor()) == []


def test_a_bad_config(doctor, config):
    path = config("[profiles.mine]\nvoise = 'nova'\n")
    checks = doctor()
    assert wrong(checks) == ["config"]
    assert f"{path}: unknown key profiles.mine.voise; did you mean 'voice'?" in checks["config"]["found"]
    assert path in checks["config"]["remedy"]
    config("[profiles.mine]\nvoice = 'en-us'\n")
    os.chmod(path, 0o666)
    checks = doctor()
    assert wrong(checks) == ["config"]
    assert checks["config"]["remedy"] == f"chmod go-w {path}"
    os.chmod(path, 0o644)
    assert wrong(doctor()) == []


def test_a_profile_whose_engine_is_missing(doctor, config):
    config("[profiles.mine]\nbackend = 'chatterbox'\nmodel = 'x'\n")
    checks = doctor()
    assert wrong(checks) == ["engine chatterbox (mine)"]
    assert "voice-cli[chatterbox]" in checks["engine chatterbox (mine)"]["remedy"]


def test_misspelled_variables(doctor):
    checks = doctor(VOICE_VOLUMN="1", VOICE_SOMETHING_ELSE="1")
    assert wrong(checks) == ["environment"]
    assert checks["environment"]["found"] == "$VOICE_VOLUMN is no setting; did you mean 'VOICE_VOLUME'?"
    assert wrong(doctor(VOICE_VOLUME="9")) == ["settings"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(doctor, small_disk, home):
    (small_disk / "fill").write_bytes(bytes((1 << 20) - 4096))
    checks = doctor(XDG_DATA_HOME=str(small_disk))
    assert wrong(checks) == ["disk (data)"]
    assert checks["disk (data)"]["found"] == f"the disk of the data folder, {small_disk}, is full"
    assert "set XDG_DATA_HOME to a folder on another disk" in checks["disk (data)"]["remedy"]
    assert wrong(doctor(XDG_DATA_HOME=home["XDG_DATA_HOME"])) == []
    (small_disk / "fill").unlink()
    assert doctor(XDG_DATA_HOME=str(small_disk))["disk (data)"]["state"] == "warning"


def test_an_old_agent(doctor, audio, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    environment = {**audio.environment(), "XDG_RUNTIME_DIR": str(folder), "VOICE_AGENT": "auto"}
    program = "import voice_cli; voice_cli.__version__ = '0.0.1'; from voice_cli.__main__ import main; main()"
    agent = subprocess.Popen([VOICE[0], "-c", program, "agent", "run"], env=environment, stderr=subprocess.PIPE)
    try:
        wait = [VOICE[0], "-c", "from voice_cli.agent.client import AgentClient as C, _connect; C(start=False)"]
        while subprocess.run(wait, env=environment, capture_output=True, check=False).returncode:
            assert agent.poll() is None
        checks = doctor(XDG_RUNTIME_DIR=str(folder))
        assert wrong(checks) == ["agent"]
        assert f"process {agent.pid}, version 0.0.1; this program has version" in checks["agent"]["found"]
        assert checks["agent"]["remedy"] == "end the old one: voice agent stop"
        subprocess.run([*VOICE, "agent", "stop"], env=environment, check=True)
        agent.wait(20)
        assert wrong(doctor(XDG_RUNTIME_DIR=str(folder))) == []
    finally:
        agent.kill()
        agent.communicate()


def test_a_frozen_agent(doctor, agent):
    agent.process.send_signal(signal.SIGSTOP)
    try:
        checks = doctor(XDG_RUNTIME_DIR=str(agent.folder))
    finally:
        agent.process.send_signal(signal.SIGCONT)
    assert wrong(checks) == ["agent"]
    assert f"kill -9 {agent.process.pid}" in checks["agent"]["remedy"]
    assert wrong(doctor(XDG_RUNTIME_DIR=str(agent.folder))) == []


@pytest.mark.parametrize(
    ("broken", "remedy", "mended"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "unset PYTHONIOENCODING", {}),
        (
            {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
            "export LC_ALL=C.UTF-8",
            {"LC_ALL": "C.UTF-8", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        ),
    ],
)
def test_a_terminal_without_unicode(audio, home, tmp_path, broken, remedy, mended):
    common = {**audio.environment(), **home, "COLUMNS": "80"}
    code, drawn, _ = on_terminal("doctor", folder=tmp_path, environment={**common, **broken}, also=("stdout",))
    lines = screen_of(drawn)
    assert code == 0
    assert any(line.startswith("warning  terminal") for line in lines), lines
    assert any(remedy in line for line in lines)
    assert drawn.isascii()
    code, drawn, _ = on_terminal("doctor", folder=tmp_path, environment={**common, **mended}, also=("stdout",))
    assert "nothing is wrong" in screen_of(drawn)[-1], drawn
