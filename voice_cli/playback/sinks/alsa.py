"""ALSA's configuration in this process.

PortAudio opens every configured PCM when it starts. `SLOW_PLUGINS`, which libasound2-plugins installs on most systems,
take 30 of its 42 ms: an AC-3 encoder, which loads libavcodec and a hundred other libraries, and JACK and OSS.
"""

import ctypes
from collections.abc import Iterator

LIBRARY = "libasound.so.2"
SLOW_PLUGINS = (b"a52", b"jack", b"oss")


def skip_slow_plugins() -> None:
    """Remove the PCMs of `SLOW_PLUGINS` from this process's configuration, except those that another PCM uses.

    Call it before PortAudio starts, and only if the default device will be used.

    Raises:
        OSError: ALSA is not installed.
        AttributeError: its version lacks a function.

    """
    asound = ctypes.CDLL(LIBRARY)
    if asound.snd_config_update() < 0:
        return
    pcms = ctypes.c_void_p()
    if asound.snd_config_search(ctypes.c_void_p.in_dll(asound, "snd_config"), b"pcm", ctypes.byref(pcms)):
        return
    slow = {name: node for name, node in _children(asound, pcms) if name in SLOW_PLUGINS}
    if not slow:
        return
    for node in slow.values():
        asound.snd_config_remove(node)
    rest = _written(asound, pcms)
    for name, node in slow.items():
        if name in rest:
            asound.snd_config_add(pcms, node)
        else:
            asound.snd_config_delete(node)


def _children(asound: ctypes.CDLL, parent: ctypes.c_void_p) -> Iterator[tuple[bytes, ctypes.c_void_p]]:
    for function in ("iterator_first", "iterator_next", "iterator_end", "iterator_entry"):
        getattr(asound, f"snd_config_{function}").restype = ctypes.c_void_p
    at = ctypes.c_void_p(asound.snd_config_iterator_first(parent))
    end = asound.snd_config_iterator_end(parent)
    while at.value != end:
        node = ctypes.c_void_p(asound.snd_config_iterator_entry(at))
        name = ctypes.c_char_p()
        asound.snd_config_get_id(node, ctypes.byref(name))
        at = ctypes.c_void_p(asound.snd_config_iterator_next(at))
        yield name.value or b"", node


def _written(asound: ctypes.CDLL, node: ctypes.c_void_p) -> bytes:
    """Return a part of the configuration as text."""
    out, text = ctypes.c_void_p(), ctypes.c_void_p()
    asound.snd_output_buffer_string.restype = ctypes.c_size_t
    if asound.snd_output_buffer_open(ctypes.byref(out)):
        return b" ".join(SLOW_PLUGINS)
    try:
        asound.snd_config_save(node, out)
        size = asound.snd_output_buffer_string(out, ctypes.byref(text))
        return ctypes.string_at(text, size) if size else b""
    finally:
        asound.snd_output_close(out)
