"""Metrics in Prometheus's text exposition format."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.registry import Collector

from voice_cli.server.report import Report

CONTENT_TYPE = CONTENT_TYPE_LATEST

_FIRST_BYTE = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2, 5, 10, 30)
_FACTORS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.5, 2, 5)


class Metrics(Collector):
    """The metrics of one app. Any thread."""

    def __init__(self, active: Callable[[], int], waiting: Callable[[], int]) -> None:
        """`active` returns the number of streams, `waiting` of those that wait for the engine."""
        self.labels: Mapping[str, str] = {}
        """Labels of every sample, such as the replica's name."""
        self._registry = CollectorRegistry()
        gauge = partial(Gauge, registry=self._registry)
        counter = partial(Counter, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)
        gauge("voice_streams_waiting", "Streams that wait for the engine.").set_function(waiting)
        gauge("voice_streams_active", "Active streams.").set_function(active)
        self.connections = gauge("voice_connections", "Open connections.")
        self._streams = counter("voice_streams", "Streams that ended.", ("protocol", "codec", "outcome"))
        self._rejected = counter("voice_rejected", "Orders refused before they became streams.", ("reason",))
        self._dropped = counter(
            "voice_connections_dropped", "Connections that were refused, replaced or dropped for a limit.", ("reason",)
        )
        self._cancelled = counter("voice_cancelled", "Streams cancelled by the client or the server.", ("reason",))
        self._first_byte = histogram(
            "voice_first_byte_seconds",
            "Seconds from the order to its first bytes.",
            ("protocol",),
            buckets=_FIRST_BYTE,
        )
        self._queued = histogram(
            "voice_queued_seconds", "Seconds from the order until the engine starts it.", buckets=_FIRST_BYTE
        )
        self._factor = histogram("voice_real_time_factor", "Generation seconds per second of audio.", buckets=_FACTORS)
        self._audio = counter("voice_audio_seconds", "Seconds of generated audio.")
        self._bytes = counter("voice_sent_bytes", "Bytes of encoded audio.")
        self._characters = counter("voice_characters", "Characters of spoken text.")

    def rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def dropped(self, reason: str) -> None:
        """Count a connection that a limit ended."""
        self._dropped.labels(reason).inc()

    def ended(self, report: Report) -> None:
        """Count an ended stream."""
        outcome = report.outcome or "complete"
        self._streams.labels(report.protocol, report.codec, outcome).inc()
        if outcome == "cancelled":
            self._cancelled.labels(report.reason).inc()
        if report.reason == "late":
            self.rejected("late")
        if report.first_byte_seconds is not None:
            self._first_byte.labels(report.protocol).observe(report.first_byte_seconds)
        if "queued" in report.timestamps:
            self._queued.observe(max(0.0, report.timestamps["queued"] - report.began))
        if report.real_time_factor is not None:
            self._factor.observe(report.real_time_factor)
        self._audio.inc(report.audio_seconds)
        self._bytes.inc(report.bytes)
        self._characters.inc(report.characters)

    def text(self) -> bytes:
        """Return all metrics, in the format of `CONTENT_TYPE`."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics with `labels` added (for `generate_latest`)."""
        for metric in self._registry.collect():
            metric.samples = [sample._replace(labels={**sample.labels, **self.labels}) for sample in metric.samples]
            yield metric
