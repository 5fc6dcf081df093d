"""`python -m tests.faults`: a speech server with faults, to listen to; `--table` writes docs/faults.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if __name__ == "__main__":
    from faults.command import main

    sys.exit(main())
