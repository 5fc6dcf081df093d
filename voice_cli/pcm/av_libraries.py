"""The shared libraries of PyAV, loaded while sound is played.

Python holds the GIL while it loads an extension module and the libraries that the module needs. For FFmpeg's, that is
10 ms, or 80 ms if they are read from the disk, in which the callback of the audio device cannot run. Loaded before
with the C library's `dlopen`, which ctypes calls without the GIL, they hold it for 1 ms at most.
"""

import os
import sys


def preload() -> None:
    """Load what `import av` needs, where PyAV's wheel has it in a folder of its own, which is on Linux.

    What cannot be loaded is left to the import.
    """
    if sys.platform != "linux" or "av" in sys.modules:
        return
    import ctypes
    from importlib.util import find_spec

    spec = find_spec("av")
    folder = f"{os.path.dirname(spec.origin)}.libs" if spec is not None and spec.origin else ""
    if not os.path.isdir(folder):
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes = [ctypes.c_char_p, ctypes.c_int]
    dlopen.restype = ctypes.c_void_p  # a handle, which is not closed
    for name in sorted(os.listdir(folder)):
        if name.startswith("libav"):
            dlopen(os.fsencode(os.path.join(folder, name)), os.RTLD_NOW)
