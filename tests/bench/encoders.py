"""Each codec's encoding speed and delay.

    python tests/bench/encoders.py [--seconds 30] [--rounds 5] [--rate 24000] [--chunk 60]

*× real time* is seconds of speech encoded per second of one core, the median of the rounds, in chunks of 60 ms: the
number of real-time streams that fill a core. *µs a call* is the time for one chunk. The other figures are milliseconds
of speech, fed one by one, before *the first byte*, before our decoder returns *the first frames*, and before those are
*speech* and not encoder delay.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import encoding
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs import open_decoder, open_encoder


def encode(codec: str, source: AudioFormat, pieces: list[bytes]) -> tuple[float, int]:
    """Encode the whole stream; return the CPU seconds taken and the encoded size in bytes."""
    began = time.thread_time()
    data = encoding.stream(open_encoder(codec, source), pieces)
    return time.thread_time() - began, len(data)


def decodable(announced: Encoding, sent: bytes) -> int:
    """Return the number of frames decoded from the start of a stream."""
    if announced.codec == "mulaw":
        return len(sent)
    found = open_decoder(None, announced, sent, final=True)
    if found is None:
        return 0
    return sum(chunk.frames for chunk in found[1].decode(sent))


def delays(codec: str, source: AudioFormat) -> tuple[int, int, int]:
    """Return the milliseconds of speech before the first byte, the first frames, and the first speech."""
    encoder, sent, found = open_encoder(codec, source), b"", [0, 0, 0]
    step = source.frames(0.001) * source.frame_bytes
    pcm = encoding.voice(source, 1.0)
    for milliseconds in range(1, 1000):
        data = encoder.encode(pcm[step * (milliseconds - 1) : step * milliseconds])
        if not data:
            continue
        sent += data
        found[0] = found[0] or milliseconds
        frames = decodable(encoder.encoding, sent)
        found[1] = found[1] or (milliseconds if frames else 0)
        if frames > encoding.LEAD.get(codec, 0):
            return found[0], found[1], milliseconds
    raise AssertionError(f"{codec} returned no speech in a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=24_000)
    parser.add_argument("--chunk", type=float, default=60.0, help="milliseconds")
    options = parser.parse_args()
    source = AudioFormat(options.rate, 1)
    pcm = encoding.voice(source, options.seconds)
    size = source.frames(options.chunk / 1000) * source.frame_bytes
    pieces = [pcm[at : at + size] for at in range(0, len(pcm), size)]
    print(f"{options.seconds:g} s of voice-like sound, {source}, in chunks of {options.chunk:g} ms\n")
    print(
        "| codec | decodes to | bytes a second | × real time | µs a call | ms before the first byte "
        "| … the first frames | … speech |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for codec in encoding.ALL:
        decodes_to = open_encoder(codec, source).encoding.format
        encode(codec, source, pieces)
        rounds = [encode(codec, source, pieces) for _ in range(options.rounds)]
        taken = statistics.median(seconds for seconds, _ in rounds)
        byte, frames, speech = delays(codec, source)
        print(
            f"| {codec} | {decodes_to} | {rounds[0][1] / options.seconds:.0f} | {options.seconds / taken:.0f} | "
            f"{1e6 * taken / len(pieces):.0f} | {byte} | {frames} | {speech} |"
        )


if __name__ == "__main__":
    main()
