"""The servers of profiles: reachable, authorised, and what they stream.

A server on this machine or the local network speaks a short text in each format. One on the internet may cost money, so
it is only asked for its list of models, unless `speak` is set.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

from voice_cli.audio import CODECS
from voice_cli.backends.base import Backend
from voice_cli.config import Settings
from voice_cli.doctor.finding import BROKEN, OK, WARNING, Finding, failure
from voice_cli.doctor.stream_probe import Probe, probe, rate_is_wrong
from voice_cli.errors import EngineError, Hint, NetworkError, ServerError, VoiceError, server_name

SECONDS_PER_SERVER = 20.0
"""After this time, no other format is asked for."""
_LOCAL_ENDINGS = (".local", ".lan", ".home", ".internal", ".home.arpa")

_HINT = Hint("check {base_url}, {model}, {voice} and {format}, and see its log")

OpenBackend = Callable[[Settings], Backend]


def check_server(name: str, settings: Settings, open_backend: OpenBackend, *, speak: bool) -> list[Finding]:
    """Return the findings for a profile's server. `speak`: also synthesize if that may cost money. Any thread."""
    check = f"server {name}"
    try:
        with closing(open_backend(settings)) as backend:
            if not speak and may_cost(settings):
                return [_check_access(check, backend)]
            return list(_check_formats(check, backend, settings))
    except EngineError as exc:  # a package is missing
        return [failure(check, exc, "install it")]
    except VoiceError as exc:
        return [failure(check, exc, _HINT)._replace(details={"server": server_name(settings.profile.base_url or "")})]


def may_cost(settings: Settings) -> bool:
    """Return whether a request may cost money: the server is not on this machine or the local network."""
    import ipaddress
    from urllib.parse import urlsplit

    if settings.profile.base_url is None:
        return True
    host = urlsplit(settings.profile.base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_LOCAL_ENDINGS)


def _check_access(check: str, backend: Backend) -> Finding:
    """Send a request that costs nothing."""
    not_asked = "was not asked to speak, which may cost money"
    began = time.monotonic()
    try:
        backend.check_access()
    except NotImplementedError:
        return Finding(check, OK, f"{backend.where} {not_asked}")
    except ServerError as exc:
        return failure(check, exc, _HINT, state=WARNING)
    seconds = time.monotonic() - began
    found = f"{backend.where} accepts the key ({1000 * seconds:.0f} ms); it {not_asked}"
    return Finding(check, OK, found, details={"access_ms": round(1000 * seconds, 1)})


def _check_formats(check: str, backend: Backend, settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with the streams of a server, or that nothing is."""
    own = settings.profile.format or "pcm"
    wanted = dict.fromkeys((own, "wav", *CODECS)) if type(backend).has_formats else {own: None}
    deadline = time.monotonic() + SECONDS_PER_SERVER
    probes: dict[str, Probe] = {}
    for codec in wanted:
        if time.monotonic() > deadline:
            break
        probes[codec] = probe(backend, settings, codec)
        if codec == own and probes[codec].error is None and not probes[codec].streams:
            probes[codec] = probe(backend, settings, codec)  # the first request may have loaded the model
        if isinstance(probes[codec].error, NetworkError) or (codec == own and _is_final(probes[codec].error)):
            break
    first = probes[own]
    streaming = [codec for codec, each in probes.items() if each.error is None and each.streams]
    details = {"formats": {codec: each.as_object() for codec, each in probes.items()}}
    findings = list(_problems(check, backend, own, probes, streaming))
    if findings:
        yield from (finding._replace(details=details) for finding in findings)
    else:
        by_rate: dict[int, list[str]] = {}
        for codec in streaming:
            by_rate.setdefault(probes[codec].rate, []).append(codec)
        streams = "; ".join(f"{', '.join(codecs)} at {rate} Hz" for rate, codecs in by_rate.items())
        found = f"{backend.where} streams {streams}; {own} begins after {first.ttfb_ms:.0f} ms"
        yield Finding(check, OK, found, details=details)


def _is_final(error: VoiceError | None) -> bool:
    """Return whether other formats would fail for the same reason: the server is not reached, or refuses the key."""
    return error is not None and not isinstance(error, ServerError)


def _problems(
    check: str, backend: Backend, own: str, probes: dict[str, Probe], streaming: list[str]
) -> Iterator[Finding]:
    first = probes[own]
    others = [codec for codec in streaming if codec != own]
    if first.error is not None:
        finding = failure(check, first.error, _HINT)
        if others:
            finding = finding._replace(remedy=Hint("use {format} {codec}, which it streams", codec=others[0]))
        yield finding
        return
    wav = probes.get("wav")
    if own == "pcm" and wav is not None and rate_is_wrong(first, wav):
        found = f"{backend.where} sends PCM at {wav.rate} Hz, but it is played at {first.rate} Hz: too fast or too slow"
        yield Finding(check, BROKEN, found, Hint("use {format} wav, whose header has the right rate"))
    elif first.announced and first.announced != (first.codec, first.rate):
        told, rate = first.announced
        at = f" at {rate} Hz" if rate else ""
        found = f"{backend.where} announces {told}{at}, but sends {first.codec} at {first.rate} Hz, which is played"
        right = first.codec if first.codec != own else "wav"
        yield Finding(check, WARNING, found, Hint("use {format} {codec}", codec=right))
    if not first.streams:
        found = f"{backend.where} does not stream {own}: all of it came at once, after {first.ttfb_ms:.0f} ms"
        remedy: str | Hint = "turn streaming on in the server, if it can stream; short first sentences begin sooner"
        if others:
            remedy = Hint("use {format} {codec}, which it streams", codec=others[0])
        yield Finding(check, WARNING, found, remedy)
