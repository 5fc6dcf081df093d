"""pycurl: libcurl's bindings, without the asyncio interface that its package imports besides.

That takes 13 ms, a third of the way from Enter to the request, and nobody here uses it. Older releases are that module
alone. Whoever imports `pycurl` itself, before or after, gets the same classes.
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
        pass  # it is made otherwise than it was: as it is, then
    finally:
        del sys.modules["pycurl"]
    return import_module("pycurl")


pycurl = _load()
