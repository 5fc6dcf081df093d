"""Audible samples: the threshold is -60 dBFS."""

from hypothesis import given
from hypothesis import strategies as st

from voice_cli.pcm.levels import first_audible, last_audible


@given(st.lists(st.sampled_from([0, 1, 32, 33, 34, 1000, 32767, -1, -32, -33, -34, -32768])))
def test_first_and_last_sample_at_minus_60_dbfs(values):
    data = b"".join(value.to_bytes(2, "little", signed=True) for value in values)
    loud = [index for index, value in enumerate(values) if abs(value) >= 33]
    assert first_audible(data) == (loud[0] if loud else None)
    assert last_audible(data) == (loud[-1] if loud else None)
