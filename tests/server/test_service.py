"""One engine for many clients: admission, timeouts, drain and cleanup."""

import asyncio
import gc
import random
import threading
import weakref
from contextlib import asynccontextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.loops import run
from support.speech_app import SteppedEngine, sound_of
from support.threads import WAIT
from voice_cli.backends.base import Voice
from voice_cli.backends.local.espeak import EspeakBackend
from voice_cli.errors import BackendError, EngineError, Interrupted, UsageError
from voice_cli.server.errors import DrainingError, LateError, OverloadError
from voice_cli.server.service import Service
from voice_cli.server.settings import Server, ServerSettings
from voice_cli.server.speech import SpeechOrder

HELLO = SpeechOrder("Hello.", "test")
TEXT = "First one.\n\nSecond one, with a clause.\n\nThird."


@asynccontextmanager
async def service_of(backend, **server):
    """Open a service; its `reports` are those of ended streams."""
    service = Service(ServerSettings(Server(**server)), backend)
    service.reports = []
    service.on_end = service.reports.append
    try:
        yield service
    finally:
        service.close()


async def sound_of_order(service, order):
    sound = b""
    async with service.speak(order) as speech:
        async for events in speech:
            sound += b"".join(event for event in events if isinstance(event, bytes))
    return sound


def counted(service, name, **labels):
    for family in text_string_to_metric_families(service.metrics.text().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return 0


def test_the_voice_of_a_stream_is_announced():
    async def main():
        async with service_of(SteppedEngine()) as service:
            announced = []
            service.announce = announced.append
            await sound_of_order(service, HELLO)
            await sound_of_order(service, HELLO._replace(voice="alice"))
            assert announced == ["alice"]

    run(main)


# Admission and time limits.


def test_streams_over_the_admission_limit_are_refused():
    async def main():
        engine = SteppedEngine()
        async with service_of(engine, max_streams=2) as service:
            engine.hold()
            async with service.speak(HELLO), service.speak(HELLO):
                assert service.active == 2
                with pytest.raises(OverloadError):
                    async with service.speak(HELLO):
                        pass
                assert service.active == 2
            assert service.active == 0
            engine.let_go()
            assert await sound_of_order(service, HELLO) == sound_of("Hello.")
            assert counted(service, "voice_rejected_total", reason="busy") == 1
            assert len(service.reports) == 3, "the refused stream has a report"

    run(main)


def test_a_stream_over_the_queue_timeout_is_an_error():
    async def main():
        engine = SteppedEngine()
        async with service_of(engine, queue_timeout=0.1) as service:
            engine.hold()
            with pytest.raises(LateError):
                await sound_of_order(service, HELLO)
            await asyncio.to_thread(engine.wait_until_idle)
            (report,) = service.reports
            assert (report.outcome, report.reason) == ("cancelled", "late")
            assert counted(service, "voice_rejected_total", reason="late") == 1

    run(main)


def test_the_queue_timeout_ends_with_the_first_audio():
    async def main():
        engine = SteppedEngine()
        async with service_of(engine, queue_timeout=1.0) as service:
            engine.hold()
            engine.release()
            async with service.speak(HELLO) as speech:
                events = await speech.take()
                while not any(isinstance(event, bytes) for event in events):
                    events = await speech.take()
                taking = asyncio.create_task(speech.take())
                await asyncio.wait([taking], timeout=1.2)
                assert not taking.done()
                engine.let_go()
                assert await taking

    run(main)


def test_a_stream_over_the_time_limit_is_ended():
    async def main():
        engine = SteppedEngine()
        async with service_of(engine, max_seconds=0.1) as service:
            engine.hold()
            with pytest.raises(LateError):
                async with service.speak(HELLO) as speech:
                    await speech.take()
            await asyncio.to_thread(engine.wait_until_idle)
            (report,) = service.reports
            assert (report.outcome, report.reason) == ("cancelled", "overlong")

    run(main)


def test_waiting_streams_are_counted_separately():
    async def main():
        engine = SteppedEngine()
        async with service_of(engine) as service:
            engine.hold()
            engine.release()
            async with service.speak(HELLO) as speech, service.speak(HELLO):
                await speech.take()
                assert (service.active, service.waiting) == (2, 1)
                assert counted(service, "voice_streams_waiting") == 1

    run(main)


# Drain and close.


def test_drain_finishes_streams_and_refuses_new_ones():
    async def main():
        engine = SteppedEngine()
        async with service_of(engine) as service:
            engine.hold()
            engine.release()
            async with service.speak(HELLO) as speech:
                sound = b"".join(event for event in await speech.take() if isinstance(event, bytes))
                drained = asyncio.create_task(service.drain(20))
                await asyncio.sleep(0)
                assert service.draining
                with pytest.raises(DrainingError):
                    async with service.speak(HELLO):
                        pass
                assert not drained.done()
                engine.let_go()
                while events := await speech.take():
                    sound += b"".join(event for event in events if isinstance(event, bytes))
            await drained
            assert sound == sound_of("Hello.")
            assert counted(service, "voice_rejected_total", reason="draining") == 1

    run(main)


def test_a_stream_over_the_drain_timeout_is_ended():
    async def main():
        engine = SteppedEngine()
        async with service_of(engine) as service:
            engine.hold()

            async def speak():
                async with service.speak(HELLO) as speech:
                    await speech.take()

            stream = asyncio.create_task(speak())
            await asyncio.to_thread(engine.wait_for_requests, 1)
            await service.drain(0.05)
            with pytest.raises(DrainingError):
                await stream

    run(main)


def test_draining_an_idle_service_returns_immediately():
    async def main():
        async with service_of(SteppedEngine()) as service:
            await service.drain(1000)

    run(main)


def test_close_cancels_streams():
    async def main():
        engine = SteppedEngine()
        async with service_of(engine) as service:
            engine.hold()
            async with service.speak(HELLO) as speech:
                service.close()
                with pytest.raises(Interrupted):
                    await speech.take()
            await asyncio.to_thread(engine.wait_until_idle)
            with pytest.raises(RuntimeError, match="closed"):
                engine.synthesize(None)

    run(main)


# The engine.


def test_the_engine_of_the_settings_is_opened():
    async def main():
        async with service_of(None) as service:
            assert isinstance(service.backend, EspeakBackend)
            service.warm_up()
            assert any(voice.id == "en-us" for voice in service.voice_list)
            assert service.backend.compute_device == "cpu"

    run(main)


def test_an_engine_load_failure_fails_the_warm_up():
    async def main():
        async with service_of(SteppedEngine(lambda _: [EngineError("no model")])) as service:
            with pytest.raises(EngineError, match="no model"):
                await asyncio.to_thread(service.warm_up)

    run(main)


class EngineWithoutVoiceList(SteppedEngine):
    def voices(self):
        raise BackendError("it keeps no list")


def test_an_engine_without_a_list_of_voices_accepts_any():
    async def main():
        async with service_of(EngineWithoutVoiceList()) as service:
            await asyncio.to_thread(service.warm_up)
            assert service.voice_list == []
            assert await service.has_voice("anyone")

    run(main)


def test_a_voice_added_later_is_found():
    async def main():
        engine = SteppedEngine()
        async with service_of(engine) as service:
            await asyncio.to_thread(service.warm_up)
            assert await service.has_voice("alice")
            assert not await service.has_voice("carol")
            engine._voices.append(Voice("carol"))
            assert await service.has_voice("carol")
            with pytest.raises(UsageError):
                await service.has_voice("../carol")

    run(main)


# Cleanup.


def test_a_thousand_disconnects_at_random_times_free_everything():
    """Disconnect in the queue, in the middle or at the end, at random with a fixed seed."""
    chance = random.Random(6)
    clients = 1000

    async def client(service, room, born):
        leaves_after, codec = chance.choice([0, 0, 1, 1, 2, 3, 1000]), chance.choice(["pcm", "mulaw", "wav", "flac"])
        async with room, service.speak(SpeechOrder(TEXT, "test", codec=codec)) as speech:
            born.append(weakref.ref(speech))
            for _ in range(leaves_after):
                if not await speech.take():
                    return
            for _ in range(chance.choice([0, 0, 1, 3])):
                await asyncio.sleep(0)

    async def main():
        engine = SteppedEngine(piece_frames=400)
        async with service_of(engine, max_streams=100) as service:
            born, room = [], asyncio.Semaphore(100)
            await asyncio.gather(*(client(service, room, born) for _ in range(clients)))
            await asyncio.to_thread(engine.wait_until_idle)
            assert service.active == engine.live == 0
            assert len(service.reports) == len(born) == clients
            outcomes = [(report.codec, report.outcome or "complete", report.reason) for report in service.reports]
            assert {outcome for _, outcome, _ in outcomes} == {"complete", "cancelled"}
            for codec, outcome in {(codec, outcome) for codec, outcome, _ in outcomes}:
                labels = {"protocol": "test", "codec": codec, "outcome": outcome}
                expected = sum(one[:2] == (codec, outcome) for one in outcomes)
                assert counted(service, "voice_streams_total", **labels) == expected
            left = sum(outcome == "cancelled" for _, outcome, _ in outcomes)
            assert counted(service, "voice_cancelled_total", reason="left") == left > clients / 4
            service.reports.clear()
            for thread in [one for one in threading.enumerate() if one.name in ("voice-stream", "voice-narration")]:
                thread.join(20)
                assert not thread.is_alive()
            return born

    born = run(main, 4 * WAIT)
    gc.collect()
    kept = [ref for ref in born if ref() is not None]
    assert not kept, gc.get_referrers(kept[0]())
