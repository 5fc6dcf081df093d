"""Each codec's decoding speed, and the bytes needed for the first PCM.

    python tests/bench/decoders.py [--seconds 30] [--rounds 5] [--chunk 4096] [--pyav]

*× real time* is seconds of audio decoded per second, the median of the rounds, in pieces of 4 kB. *To the first PCM* is
the number of bytes needed, fed one by one, and the time to open the decoder and decode them. Libraries are loaded
before, as the player does while it waits for the server.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import material
from voice_cli import codecs
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs import mpg123
from voice_cli.codecs.base import Decoder

STREAMS = {
    "pcm": AudioFormat(24000, 1),
    "wav": AudioFormat(24000, 1),
    "opus": AudioFormat(48000, 1),
    "mp3": AudioFormat(24000, 1),
    "aac": AudioFormat(24000, 1),
    "flac": AudioFormat(24000, 1),
}


def stream_of(codec: str, seconds: float) -> bytes:
    """Encode speech-like audio as a streaming server does, without totals in the header."""
    if codec == "pcm":
        return material.speech(STREAMS[codec], seconds)
    return material.encoded(codec, STREAMS[codec], seconds, seekable=False)


def opened(codec: str, head: bytes) -> Decoder | None:
    """Open the decoder as the pump does; None if it needs more data to detect the format."""
    expected = Encoding(codec, STREAMS[codec] if codec == "pcm" else None)
    found = codecs.open_decoder(None, expected, head, final=False)
    return found[1] if found is not None else None


def decode(codec: str, data: bytes, chunk: int) -> float:
    """Decode the whole stream and return the seconds taken."""
    began = time.perf_counter()
    decoder, head = None, b""
    for at in range(0, len(data), chunk):
        piece = data[at : at + chunk]
        if decoder is None:
            head += piece
            decoder = opened(codec, head)
            piece = head
        if decoder is not None:
            decoder.decode(piece)
    assert decoder is not None
    decoder.flush()
    return time.perf_counter() - began


def to_first_pcm(codec: str, data: bytes) -> tuple[int, float]:
    """Return the number of bytes before the first PCM, and the seconds to decode them in one call."""
    decoder, head = None, b""
    for count in range(1, len(data) + 1):
        if decoder is None:
            head = data[:count]
            decoder = opened(codec, head)
            chunks = decoder.decode(head) if decoder is not None else []
        else:
            chunks = decoder.decode(data[count - 1 : count])
        if any(one.data for one in chunks):
            break
    times = []
    for _ in range(15):
        began = time.perf_counter()
        fresh = opened(codec, data[:count])
        assert fresh is not None
        fresh.decode(data[:count])
        times.append(time.perf_counter() - began)
    return count, statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk", type=int, default=4096)
    parser.add_argument("--pyav", action="store_true", help="decode MP3 with PyAV, not libmpg123")
    options = parser.parse_args()
    if options.pyav:
        mpg123.library = lambda: None
    print(f"{options.seconds:g} s of speech-like sound, in pieces of {options.chunk} bytes\n")
    print("| codec | format | bytes a second | × real time | bytes to the first PCM | ms of stream | ms to decode it |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for codec, audio_format in STREAMS.items():
        data = stream_of(codec, options.seconds)
        codecs.preload(codec)
        decode(codec, data, options.chunk)
        taken = statistics.median(decode(codec, data, options.chunk) for _ in range(options.rounds))
        count, first = to_first_pcm(codec, data)
        rate = len(data) / options.seconds
        print(
            f"| {codec} | {audio_format} | {rate:.0f} | {options.seconds / taken:.0f} | {count} | "
            f"{1000 * count / rate:.1f} | {1000 * first:.2f} |"
        )


if __name__ == "__main__":
    main()
