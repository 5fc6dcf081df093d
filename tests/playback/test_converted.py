"""ConvertedPull: the blocks of a source, in another format."""

from support.player import MONO, numbered
from voice_cli.playback.converted import ConvertedPull
from voice_cli.playback.sink_source import SinkSource


def pulled(pull, dac_time, frames, **options):
    out = bytearray(frames * MONO.frame_bytes)
    pull(memoryview(out), dac_time, **options)
    return bytes(out)


def test_a_discarded_block_is_played_again():
    source = SinkSource(MONO, 10.0)
    source.write(numbered(8000))
    source.open_gate()
    pull = ConvertedPull(source.pull, MONO, MONO)
    played = pulled(pull, 0.0, 80)
    assert pulled(pull, 0.01, 80) == numbered(80, first=81)
    played += pulled(pull, 0.05, 70, underflow=True, discarded=True) + pulled(pull, 0.05875, 70)
    assert played == numbered(220)
    assert source.underflow_count == 1
