"""The system libraries and programs besides PortAudio. All are optional."""

import shutil
from collections.abc import Iterator

from voice_cli.codecs import mpg123, opus
from voice_cli.doctor.finding import OK, WARNING, Finding
from voice_cli.system_packages import install_hint


def check_libraries() -> Iterator[Finding]:
    """Yield whether libopus, libmpg123 and ffmpeg are installed."""
    for name, is_there, use, without in (
        ("libopus", opus.has_libopus(), "decodes Opus", "PyAV decodes Opus, which loads later"),
        ("libmpg123", mpg123.library() is not None, "decodes MP3", "PyAV decodes MP3, which loads later"),
        ("ffmpeg", shutil.which("ffmpeg") is not None, "saves .m4a and others", ".m4a and others cannot be saved"),
    ):
        if is_there:
            yield Finding(name, OK, use)
        else:
            yield Finding(name, WARNING, f"missing: {without}", install_hint(name))
