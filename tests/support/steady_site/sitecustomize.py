"""Read by every Python process that has this folder on its path: there, `chatterbox` is the steady engine.

A replica of Ray's is a process of its own, which no test reaches otherwise. It has the name of an engine that computes
its voices, and so that one's place in the server's tables.
"""

from voice_cli.backends import BACKENDS

BACKENDS["chatterbox"] = "support.steady_engine:SteadyEngine"
