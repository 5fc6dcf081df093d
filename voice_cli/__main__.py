"""`voice` and `python -m voice_cli`."""

import os
import sys


def main() -> int:
    """Run the command line of this process and give its exit code."""
    from voice_cli.cli.start import INTERRUPTED, start

    code = start(sys.argv[1:])
    if code == INTERRUPTED:
        # Whoever pressed Ctrl-C waits for nothing more: no thread, no library's farewell. Nor for CPython, which at a
        # regular end sends itself the signal again if it once came inside an exec() (of a dataclass, say).
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
