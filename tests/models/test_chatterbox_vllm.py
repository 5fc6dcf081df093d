"""The stand-in for chatterbox-vllm has the signatures of its source, which is read and not imported: it needs CUDA."""

import ast
import importlib.util
import inspect
from pathlib import Path

import pytest

from support.chatterbox import VllmModel

pytestmark = pytest.mark.models

SPEC = importlib.util.find_spec("chatterbox_vllm")
if SPEC is None:
    pytest.skip("chatterbox-vllm is not installed: make test-models has it", allow_module_level=True)

SOURCE = Path(SPEC.submodule_search_locations[0], "tts.py").read_text("utf-8")
[CLASS] = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.ClassDef) and node.name == "ChatterboxTTS"]
METHODS = {node.name: node for node in CLASS.body if isinstance(node, ast.FunctionDef)}


def described(arguments):
    """Return the names of a function's arguments, and the values of its defaults as far as they are literals."""
    names = [each.arg for each in arguments.args]
    defaults = (
        dict(zip(names[-len(arguments.defaults) :], arguments.defaults, strict=True)) if arguments.defaults else {}
    )
    return [(name, ast.unparse(defaults[name]) if name in defaults else None) for name in names]


@pytest.mark.parametrize("name", ["from_local", "from_pretrained", "generate", "generate_with_conds", "shutdown"])
def test_signatures(name):
    stand_in = [node for node in ast.walk(ast.parse(inspect.getsource(VllmModel))) if isinstance(node, ast.FunctionDef)]
    [mine] = [node for node in stand_in if node.name == name]
    theirs = METHODS[name].args
    assert [given for given, _ in described(mine.args)] == [wanted for wanted, _ in described(theirs)]
    for (argument, given), (_, wanted) in zip(described(mine.args), described(theirs), strict=True):
        assert given == wanted or (argument, wanted) == ("repo_id", "REPO_ID")
    assert (mine.args.vararg is None, mine.args.kwarg is None) == (theirs.vararg is None, theirs.kwarg is None)


def test_what_else_the_engine_relies_on():
    assert "**{**base_vllm_kwargs, **kwargs}" in SOURCE  # so `model` can be another folder
    assert '"model": "./t3-model"' in SOURCE
    assert "self.t3.generate(" in SOURCE
    assert "return self.generate_with_conds(" in SOURCE
    assert any(ast.unparse(each).startswith("lru_cache") for each in METHODS["get_audio_conditionals"].decorator_list)
    assert (
        'environ.get("CHATTERBOX_CFG_SCALE"' in Path(SPEC.submodule_search_locations[0], "models/t3/t3.py").read_text()
    )
