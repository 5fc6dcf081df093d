"""Load VibeVoice's cached voice prompts: pickles, without running code in them.

A prompt is a dictionary of the prefilled outputs of four passes (`lm`, `tts_lm`, `neg_lm`, `neg_tts_lm`), saved as
whole objects. torch's own `weights_only` loader cannot make them (transformers' outputs are dictionaries of another
class), so the unpickler here makes what a prompt consists of: tensors, those outputs, their cache; and nothing else.
"""

import pickle
import types
import zipfile
from typing import Any

from voice_cli.errors import UsageError, one_line

PARTS = ("lm", "tts_lm", "neg_lm", "neg_tts_lm")

ALLOWED = frozenset(
    {
        ("collections", "OrderedDict"),
        ("torch", "Size"),
        ("torch", "device"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("transformers.cache_utils", "DynamicCache"),
        ("transformers.cache_utils", "DynamicLayer"),
        ("transformers.modeling_outputs", "BaseModelOutputWithPast"),
        ("vibevoice.modular.modeling_vibevoice_streaming_inference", "VibeVoiceCausalLMOutputWithPast"),
    }
)
"""Module and name of what may be called. The storages of tensors never get this far: torch knows them itself."""


class PromptUnpickler(pickle.Unpickler):
    """An unpickler that finds only the classes of a prompt."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = None
        if (module_name, global_name) in ALLOWED:
            found = super().find_class(module_name, global_name)
        elif module_name == "torch" and global_name.isidentifier():
            value = super().find_class(module_name, global_name)
            found = value if type(value).__name__ == "dtype" else None
        if found is None:
            raise pickle.UnpicklingError(f"it wants to make a {module_name}.{global_name}, which no prompt has")
        return found


_pickle = types.SimpleNamespace(Unpickler=PromptUnpickler, __name__=__name__)
"""What torch.load takes for the module pickle."""


def load_prompt(torch: Any, path: str, device: str) -> Any:
    """Read a prompt onto the device.

    Raises:
        UsageError: it cannot be read, is no prompt, or has something else in it.

    """
    try:
        if not zipfile.is_zipfile(path):
            raise pickle.UnpicklingError("it is no file of torch's")
        prompt = torch.load(path, map_location=torch.device(device), pickle_module=_pickle, weights_only=False)
    except Exception as error:
        raise UsageError(
            f"cannot load the voice {path}: {one_line(str(error))}",
            hint="a cached prompt of VibeVoice Realtime is wanted: a .pt of prefilled outputs, and nothing else in it",
        ) from error
    if not isinstance(prompt, dict) or any(part not in prompt for part in PARTS):
        raise UsageError(f"{path} is no voice prompt: it lacks one of {', '.join(PARTS)}")
    return prompt
