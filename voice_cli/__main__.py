"""`voice` and `python -m voice_cli`."""

import os
import sys


def main() -> int:
    """Run the command line of this process, and return its exit code."""
    from voice_cli.cli.start import ends_at_once, start

    code = start(sys.argv[1:])
    if ends_at_once(code):
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
