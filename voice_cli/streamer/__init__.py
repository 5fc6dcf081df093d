"""The bridge from a thread that generates audio to whoever plays or sends it: VibeVoice's streamers,
repaired.

::

    streamer = AudioStreamer(batch_size=1)

    def generate():
        with streamer.generating():  # end() or fail(exc), however it is left
            model.generate(
                **inputs,
                audio_streamer=streamer,
                stop_check_fn=streamer.stop_check_fn,
                tokenizer=processor.tokenizer,
                all_prefilled_outputs=copy.deepcopy(voice_prompt),  # generate writes into it
            )

    threading.Thread(target=generate).start()
    with streamer:  # left early, the generation stops within a step
        for chunk in streamer.get_stream(0):
            ...  # to_pcm(chunk) is s16le

Neither torch nor numpy is loaded before a chunk needs them, nor asyncio before `AsyncAudioStreamer` is
asked for.
"""

from typing import TYPE_CHECKING, Any

from voice_cli.pcm.samples import SampleIndexError, to_pcm
from voice_cli.streamer.sample_queues import StreamTimeoutError
from voice_cli.streamer.sync import AudioBatchIterator, AudioSampleIterator, AudioStreamer

if TYPE_CHECKING:
    from voice_cli.streamer.aio import AsyncAudioBatchIterator, AsyncAudioSampleIterator, AsyncAudioStreamer
    from voice_cli.streamer.player import stream_to_player

__all__ = [
    "AsyncAudioBatchIterator",
    "AsyncAudioSampleIterator",
    "AsyncAudioStreamer",
    "AudioBatchIterator",
    "AudioSampleIterator",
    "AudioStreamer",
    "SampleIndexError",
    "StreamTimeoutError",
    "stream_to_player",
    "to_pcm",
]


def __getattr__(name: str) -> Any:
    if name == "stream_to_player":
        from voice_cli.streamer.player import stream_to_player

        return stream_to_player
    if name in __all__:
        from voice_cli.streamer import aio

        return getattr(aio, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
