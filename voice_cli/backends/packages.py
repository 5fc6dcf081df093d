"""Import an engine's optional packages; an error names the command that installs a missing one."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from voice_cli.errors import EngineError
from voice_cli.printable import one_line

DISTRIBUTION = "voice-cli"


def install_line(extra: str) -> str:
    """Return the command that installs an extra of this package."""
    return f'pip install "{DISTRIBUTION}[{extra}]"'


def is_installed(module: str) -> bool:
    """Return whether a module could be imported, without importing it (its parent package is, for a submodule)."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def require(engine: str, module: str, install: str) -> None:
    """Check that a module is installed.

    Raises:
        EngineError: it is not; the hint is `install`.

    """
    if not is_installed(module):
        raise missing(engine, module, install)


def missing(engine: str, module: str, install: str) -> EngineError:
    return EngineError(f"{engine} needs the package {module.partition('.')[0]}, which is not installed", hint=install)


def load(engine: str, module: str, install: str) -> Any:
    """Import a module of an engine.

    Raises:
        EngineError: it is not installed, or does not load.

    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == module.partition(".")[0]:
            raise missing(engine, module, install) from error
        raise EngineError(f"{engine} lacks the package {error.name}", hint=install) from error
    except Exception as error:
        raise EngineError(f"{engine} does not load: {one_line(str(error))}", hint=install) from error
