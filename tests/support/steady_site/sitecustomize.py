"""Replace `chatterbox` with the steady engine in every Python process that has this folder on its path.

Tests cannot patch Ray's replicas, which are separate processes. The engine uses the name `chatterbox` for that engine's
entries in the server's tables.
"""

from voice_cli.backends import BACKENDS

BACKENDS["chatterbox"] = "support.steady_engine:SteadyEngine"
