"""The head of a PCM WAV file or stream (RIFF WAVE, Microsoft's "Multimedia Programming Interface", 1991)."""

import struct

from voice_cli.audio import SAMPLE_BYTES, AudioFormat

HEADER_BYTES = 44
UNKNOWN_SIZE = 0xFFFFFFFF
"""What a stream says of its length where nobody knows it yet: ffmpeg, mpv, browsers and we read on to the end."""


def wav_header(audio_format: AudioFormat, data_bytes: int | None) -> bytes:
    """Give the 44 bytes before that many bytes of samples; None: as many as will come."""
    if data_bytes is None:
        riff_size = size = UNKNOWN_SIZE
    else:
        size = min(data_bytes, UNKNOWN_SIZE - HEADER_BYTES)
        riff_size = size + HEADER_BYTES - 8
    frame = audio_format.frame_bytes
    pcm, fmt_bytes = 1, 16
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        riff_size,
        b"WAVE",
        b"fmt ",
        fmt_bytes,
        pcm,
        audio_format.channels,
        audio_format.rate,
        audio_format.rate * frame,
        frame,
        8 * SAMPLE_BYTES,
        b"data",
        size,
    )
