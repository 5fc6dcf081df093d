"""Reports of `voice bench` runs, for tests of its figures and page."""

from voice_cli.bench.runs import Run, Target
from voice_cli.bench.trace import Trace
from voice_cli.config import Config, Profile, settle
from voice_cli.playback.curve import Hole, Point

REPORT = {
    "outcome": "complete", "ttfa_ms": 210.0, "ttfb_ms": 150.0, "leading_silence_ms": 10.0, "generation_ms": 900.0,
    "playback_ms": 3000.0, "audio_ms": 3000.0, "real_time_factor": 0.3, "underruns": 1, "underrun_ms": 20.0,
    "device_underflows": 2, "chunks_received": 3, "chunks_played": 3, "bytes_received": 144000, "backend": "http",
    "format": "pcm", "rate": 24000, "channels": 1, "saved": None, "error": None,
}  # fmt: skip
TIMESTAMPS = {
    "process_start": 0.0, "resolved": 0.03, "connected": 0.031, "request_sent": 0.032, "device_open": 0.1,
    "first_byte": 0.182, "first_frame": 0.183, "prebuffered": 0.19, "started": 0.2, "first_audible": 0.21,
    "last_byte": 1.0, "last_frame": 3.2,
}  # fmt: skip
CURVE = [Point(0.183, 1.0, 0.0), Point(0.2, 1.0, 0.0), Point(1.0, 3.0, 0.8), Point(3.2, 3.0, 3.0)]
TRACE = Trace(TIMESTAMPS, CURVE, [Hole(1.5, 0.02, 1.2)], [Hole(2.0, 0.01, 1.8)])


def run(traced=TRACE, error=None, **report):
    return Run({**REPORT, **report, "error": error}, traced)


def failed(code=6, message="nothing answers", hint=None):
    error = {"kind": "network", "message": message, "hint": hint, "exit_code": code}
    nothing = {key: None for key in REPORT if key not in ("outcome", "error")}
    return run(Trace(), error, **nothing, outcome="failed")


def target(name="kokoro", url="http://user:hunter2@localhost:8880/v1", fault=None, **flags):
    profile = Profile(backend="http", base_url=url)
    defaults = settle(Config(""), {"backend": "http"}, {})
    return Target(name, flags, defaults._replace(profile_name=name, profile=profile), fault)
