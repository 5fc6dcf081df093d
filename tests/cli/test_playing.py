"""What `voice say` makes of its settings for the playback."""

from types import SimpleNamespace

from support.player import FakeStream
from voice_cli.cli.playing import normalizer_of
from voice_cli.config import Defaults, Profile, Settings
from voice_cli.script.line import Line
from voice_cli.speech.events import Utterance

PROFILE = Profile(backend="http", model="m", voice="v", speakers={"Ann": "w"})


def test_each_voice_of_each_profile_has_a_gain_of_its_own(tmp_path):
    narration, backend = SimpleNamespace(recovery=None), SimpleNamespace(where="host:1")
    settings = Settings("p", PROFILE, Defaults(normalize=True), {}, {})
    normalizer = normalizer_of(narration, backend, settings, str(tmp_path / "learned.json"))

    def name(speaker=None):
        return normalizer._voice_of(Utterance(Line("a", "a", speaker=speaker), FakeStream()))

    assert (name(), name("Ann"), name("Bob")) == ("p host:1 m v", "p host:1 m w", "p host:1 m v")
    narration.recovery = SimpleNamespace(fallback="q")
    assert name() == "p q host:1 m v"
    assert normalizer_of(narration, backend, settings._replace(defaults=Defaults())) is None
