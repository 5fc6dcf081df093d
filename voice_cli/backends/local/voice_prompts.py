"""Load VibeVoice's cached voice prompts: pickles, without running code in them.

A prompt is a dictionary of the prefilled outputs of four passes (`lm`, `tts_lm`, `neg_lm`, `neg_tts_lm`), saved as
whole objects. torch's own `weights_only` loader cannot load them (transformers' outputs are subclasses of dict), so the
unpickler here allows only the classes of a prompt: tensors, those outputs, their cache.
"""

import pickle
import types
import zipfile
from typing import Any

from voice_cli.errors import UsageError
from voice_cli.printable import one_line

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
"""Module and name of the allowed classes and functions. torch handles the storages of tensors itself."""


class PromptUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        is_allowed = (module_name, global_name) in ALLOWED
        if is_allowed or (module_name == "torch" and global_name.isidentifier()):
            found = super().find_class(module_name, global_name)
            if is_allowed or type(found).__name__ == "dtype":
                return found
        raise pickle.UnpicklingError(f"it contains a {module_name}.{global_name}, which is not allowed")


_pickle = types.SimpleNamespace(Unpickler=PromptUnpickler, __name__=__name__)
"""The module `pickle` for torch.load."""


def load_prompt(torch: Any, path: str, device: str) -> Any:
    """Read a prompt onto the device; raise UsageError if it is not one, or contains anything else."""
    try:
        if not zipfile.is_zipfile(path):
            raise pickle.UnpicklingError("it is not a torch file")
        prompt = torch.load(path, map_location=torch.device(device), pickle_module=_pickle, weights_only=False)
    except Exception as error:
        raise UsageError(
            f"cannot load the voice {path}: {one_line(str(error))}",
            hint="use a cached prompt of VibeVoice Realtime: a .pt file with prefilled outputs only",
        ) from error
    if not isinstance(prompt, dict) or any(part not in prompt for part in PARTS):
        raise UsageError(f"{path} is not a voice prompt: it lacks one of {', '.join(PARTS)}")
    return prompt
