"""pycurl, libcurl's bindings, without the asyncio interface that the package imports.

That import takes 13 ms, a third of the time before the request, and is not used here. Older releases do not have it.
Another import of `pycurl`, before or after, returns the same classes.
"""

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any


def _load() -> Any:
    spec = None if "pycurl" in sys.modules else PathFinder.find_spec("pycurl")
    if spec is None or spec.submodule_search_locations is None:
        return import_module("pycurl")
    package = type(sys)("pycurl")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["pycurl"] = package
    try:
        return import_module("pycurl._pycurl")
    except ModuleNotFoundError:
        pass  # the package has another layout: import it whole
    finally:
        del sys.modules["pycurl"]
    return import_module("pycurl")


pycurl = _load()
