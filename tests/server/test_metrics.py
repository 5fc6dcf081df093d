"""Metrics in Prometheus's format, from the reports."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from voice_cli.errors import EngineError
from voice_cli.server.metrics import CONTENT_TYPE, Metrics
from voice_cli.server.report import Report


def figures(metrics):
    """Parse the exposed metrics: sample name and labels → value."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def complete(protocol="openai", codec="mp3"):
    report = Report(protocol, codec)
    report.timestamps = {"queued": report.began + 0.03, "sent": report.began + 0.04}
    report.characters, report.bytes, report.audio_seconds = 10, 1000, 2.0
    report.generation_seconds, report.generated_seconds = 0.2, 2.0
    return report


def test_streams_are_counted_by_outcome():
    metrics = Metrics(lambda: 2, lambda: 3)
    metrics.ended(complete())
    metrics.ended(complete())
    left = Report("chatterbox", "mulaw")
    left.stop("left")
    metrics.ended(left)
    failed = Report("openai", "pcm")
    failed.fail(EngineError("broken"))
    metrics.ended(failed)
    metrics.rejected("busy")
    seen = figures(metrics)
    stream = "voice_streams_total"
    assert seen[stream, ("codec", "mp3"), ("outcome", "complete"), ("protocol", "openai")] == 2
    assert seen[stream, ("codec", "mulaw"), ("outcome", "cancelled"), ("protocol", "chatterbox")] == 1
    assert seen[stream, ("codec", "pcm"), ("outcome", "failed"), ("protocol", "openai")] == 1
    assert seen["voice_cancelled_total", ("reason", "left")] == 1
    assert seen["voice_rejected_total", ("reason", "busy")] == 1
    assert seen["voice_streams_active",] == 2
    assert seen["voice_streams_waiting",] == 3
    assert seen["voice_audio_seconds_total",] == 4
    assert seen["voice_sent_bytes_total",] == 2000
    assert seen["voice_characters_total",] == 20


def test_durations_are_recorded_in_histograms():
    metrics = Metrics(lambda: 0, lambda: 0)
    metrics.ended(complete())
    metrics.ended(Report("openai", "pcm"))
    seen = figures(metrics)
    assert seen["voice_first_byte_seconds_count", ("protocol", "openai")] == 1
    assert seen["voice_first_byte_seconds_sum", ("protocol", "openai")] == pytest.approx(0.04)
    assert seen["voice_first_byte_seconds_bucket", ("le", "0.05"), ("protocol", "openai")] == 1
    assert seen["voice_first_byte_seconds_bucket", ("le", "0.02"), ("protocol", "openai")] == 0
    assert seen["voice_queued_seconds_sum",] == pytest.approx(0.03)
    assert seen["voice_real_time_factor_sum",] == pytest.approx(0.1)


def test_two_apps_have_separate_metrics():
    one, other = Metrics(lambda: 0, lambda: 0), Metrics(lambda: 0, lambda: 0)
    one.rejected("busy")
    assert ("voice_rejected_total", ("reason", "busy")) not in figures(other)
    assert CONTENT_TYPE.startswith("text/plain")
