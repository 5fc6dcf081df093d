"""Fixtures for all codec tests."""

import pytest

from voice_cli.codecs import opus


@pytest.fixture(scope="module", autouse=True)
def _one_serial():
    # Ogg serial numbers are random; these tests compare streams.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opus, "getrandbits", lambda bits: 7)
        yield
