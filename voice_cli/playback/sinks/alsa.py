"""ALSA's configuration, as this process sees it.

PortAudio opens every PCM that it names when it starts. The three of `SLOW_PLUGINS` come with the plugins that most
systems install (libasound2-plugins), and take 30 of its 42 ms: an AC-3 encoder, for which libavcodec and a hundred
other libraries are loaded, and the ways to JACK and OSS, which are searched for. Speech goes to the default device.
"""

import ctypes
from collections.abc import Iterator

LIBRARY = "libasound.so.2"
SLOW_PLUGINS = (b"a52", b"jack", b"oss")


def skip_slow_plugins() -> None:
    """Take the PCMs of `SLOW_PLUGINS` out, for the rest of the process; not those that another one is made of.

    Call it before PortAudio starts, and where nobody asks for a device by name or number.

    Raises:
        OSError: there is no ALSA.
        AttributeError: it is another one than this was written for.

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
    """Give a part of the configuration as it would stand in a file."""
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
