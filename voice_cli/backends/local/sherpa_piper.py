"""A Piper voice for sherpa-onnx, which reads the symbols from `tokens.txt` and the rest from the network's metadata."""

import hashlib
import os
import shutil

from voice_cli.backends.local.onnx_graph import field
from voice_cli.backends.local.piper import read_config
from voice_cli.errors import FileError, UsageError
from voice_cli.folders import user_folder

_METADATA = 14
"""`metadata_props` of ModelProto (onnx.proto3): entries of key (1) and value (2)."""


def converted(network: str) -> str:
    """Return the folder of a voice's conversion in the user's cache folder; convert it unless it is there.

    Raises:
        UsageError: it is not a Piper voice, or reads no phonemes of espeak-ng.
        FileError: it cannot be written.

    """
    config = read_config(f"{network}.json")
    if config.get("phoneme_type", "espeak") != "espeak":
        raise UsageError(
            f"the voice {network} does not read espeak-ng's phonemes", hint="use sherpa-onnx's build of it"
        )
    status = os.stat(network)
    key = f"{os.path.abspath(network)} {status.st_size} {status.st_mtime_ns}"
    name = os.path.basename(network).removesuffix(".onnx")
    folder = os.path.join(user_folder("cache"), "sherpa", f"{name}-{hashlib.sha256(os.fsencode(key)).hexdigest()[:16]}")
    if os.path.isdir(folder):
        return folder
    partial = f"{folder}.{os.urandom(4).hex()}"
    try:
        os.makedirs(partial)
        target = os.path.join(partial, os.path.basename(network))
        shutil.copyfile(network, target)
        with open(target, "ab") as output:  # a list of a protobuf message may be continued at its end
            output.write(b"".join(_entry(key, value) for key, value in _metadata(config).items()))
        with open(os.path.join(partial, "tokens.txt"), "w", encoding="utf-8", newline="\n") as output:
            output.writelines(f"{symbol} {ids[0]}\n" for symbol, ids in config["phoneme_id_map"].items() if ids)
        shutil.copyfile(f"{network}.json", f"{target}.json")
        os.replace(partial, folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not os.path.isdir(folder):  # else another process was faster
            raise FileError(f"cannot write {folder}: {error.strerror}") from error
    return folder


def _metadata(config: dict[str, object]) -> dict[str, object]:
    audio, espeak = config["audio"], config["espeak"]
    language = config.get("language")
    return {
        "model_type": "vits",
        "comment": "piper",
        # sherpa-onnx exits the process if an entry is empty.
        "language": (language.get("name_english") if isinstance(language, dict) else "") or espeak["voice"],  # type: ignore[index]
        "voice": espeak["voice"],  # type: ignore[index]
        "has_espeak": 1,
        "add_blank": 1,
        "n_speakers": config["num_speakers"],
        "sample_rate": audio["sample_rate"],  # type: ignore[index]
    }


def _entry(key: str, value: object) -> bytes:
    return field(_METADATA, field(1, key.encode()) + field(2, str(value).encode()))
