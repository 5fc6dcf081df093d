"""`voice` and `python -m voice_cli`."""

import sys


def main() -> int:
    """Run the command line of this process, and return its exit code."""
    from voice_cli.cli.start import end, ends_at_once, flush, start

    code = start(sys.argv[1:])
    flush()
    if ends_at_once(code):
        end(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
