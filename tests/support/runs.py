"""Runs of `voice bench` as they are reported, for tests of its figures and of its page."""

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
    "process_start": 100.0, "resolved": 100.03, "connected": 100.031, "request_sent": 100.032, "device_open": 100.1,
    "first_byte": 100.182, "first_frame": 100.183, "prebuffered": 100.19, "started": 100.2, "first_audible": 100.21,
    "last_byte": 101.0, "last_frame": 103.2,
}  # fmt: skip
CURVE = [Point(100.183, 1.0, 0.0), Point(100.2, 1.0, 0.0), Point(101.0, 3.0, 0.8), Point(103.2, 3.0, 3.0)]
TRACE = Trace(TIMESTAMPS, CURVE, [Hole(101.5, 0.02, 1.2)], [Hole(102.0, 0.01, 1.8)])


def run(traced=TRACE, error=None, **report):
    return Run({**REPORT, **report, "error": error}, traced)


def failed(code=6, message="nothing answers", hint=None):
    error = {"kind": "network", "message": message, "hint": hint, "exit_code": code}
    nothing = {key: None for key in REPORT if key not in ("outcome", "error")}
    return run(None, error, **nothing, outcome="failed")


def target(name="kokoro", url="http://user:hunter2@localhost:8880/v1", fault=None, **flags):
    profile = Profile(backend="http", base_url=url)
    defaults = settle(Config(""), {"backend": "http"}, {})
    return Target(name, flags, defaults._replace(profile_name=name, profile=profile), fault)
