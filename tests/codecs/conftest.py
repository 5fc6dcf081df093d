"""What holds for every test of the encoders."""

import pytest

from voice_cli.codecs import opus


@pytest.fixture(scope="module", autouse=True)
def _one_serial():
    # An Ogg stream's number is drawn by lot; here streams are compared.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opus, "getrandbits", lambda bits: 7)
        yield
