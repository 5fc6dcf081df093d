"""`voice` and `python -m voice_cli`."""

import sys


def main() -> int:
    """Run the command line of this process and give its exit code."""
    from voice_cli.cli.start import start

    return start(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
