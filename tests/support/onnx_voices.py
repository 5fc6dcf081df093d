"""Minimal ONNX voices for real engines: VITS-like networks that generate a sine wave.

Each token produces `FRAMES_PER_TOKEN` frames. The length shows the number of tokens and the speed; the pitch shows the
speaker.
"""

import json

import numpy as np

from support.packages import needs

FRAMES_PER_TOKEN = 400
HERTZ = 220
"""Speaker 0's pitch; speaker n has n + 1 times that."""
LOUDNESS = 0.1 * 2**0.5
"""The wave's highest sample: the level of `backends.local.level`, so that the gain is 1."""

SYMBOLS = "_^$ !',-.:;?abcdefhijklmnopqrstuvwxyzæçðøħŋœɐɑɒɔəɚɛɜɡɪɹʃʊʌʒˈˌːθɾʔᵻ\u0329\u0303"
"""espeak-ng's IPA symbols for English, in NFD."""


def network(
    path,
    *,
    rate=16000,
    speakers=1,
    frames_per_token=FRAMES_PER_TOKEN,
    notes=None,
    has_parts=False,
    loudness=LOUDNESS,
):
    """Write a VITS network like Piper's: `input`, `input_lengths`, `scales` (and `sid`) to (1, 1, frames).

    `has_parts`: its nodes have the names of Piper's two parts, and the lengths of the tokens are rounded up.
    """
    onnx = needs("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    values = {
        "one": np.int64(1),
        "zero": np.float32(0),
        "unit": np.float32(1),
        "per_token": np.float32(frames_per_token),
        "step": np.float32(2 * np.pi * HERTZ / rate),
        "loudness": np.float32(loudness),
        "shape": np.array([1, 1, -1], np.int64),
    }
    inputs = [
        helper.make_tensor_value_info("input", kinds.INT64, [1, "tokens"]),
        helper.make_tensor_value_info("input_lengths", kinds.INT64, [1]),
        helper.make_tensor_value_info("scales", kinds.FLOAT, [3]),
    ]
    nodes = [
        helper.make_node("Shape", ["input"], ["size"]),
        helper.make_node("Gather", ["size", "one"], ["tokens"]),
        helper.make_node("Cast", ["tokens"], ["count"], to=kinds.FLOAT),
        helper.make_node("Gather", ["scales", "one"], ["length_scale"]),
        helper.make_node("Mul", ["count", "per_token"], ["unscaled"]),
        helper.make_node("Mul", ["unscaled", "length_scale"], ["exact"]),
        helper.make_node("Round", ["exact"], ["frames"]),
        *_lengths(helper, kinds, is_wanted=has_parts),
        helper.make_node("Range", ["zero", "frames", "unit"], ["time"]),
    ]
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", kinds.INT64, [1]))
        nodes += [
            helper.make_node("Cast", ["sid"], ["speaker"], to=kinds.FLOAT),
            helper.make_node("Add", ["speaker", "unit"], ["pitch"]),
            helper.make_node("Mul", ["time", "pitch"], ["pitched"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["time"], ["pitched"]))
    nodes += [
        helper.make_node("Reshape", ["pitched", "shape"], ["z"]),
        helper.make_node("Mul", ["z", "step"], ["phase"], name="/dec/Mul" if has_parts else ""),
        helper.make_node("Sin", ["phase"], ["wave"], name="/dec/Sin" if has_parts else ""),
        helper.make_node("Mul", ["wave", "loudness"], ["hum"], name="/dec/Mul_1" if has_parts else ""),
        helper.make_node("Reshape", ["hum", "shape"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "hum",
        inputs,
        [helper.make_tensor_value_info("output", kinds.FLOAT, [1, 1, "frames"])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    helper.set_model_props(model, {name: str(note) for name, note in (notes or {}).items()})
    onnx.save(model, str(path))


def _lengths(helper, kinds, *, is_wanted):
    """Return nodes that compute the length of each token, as (1, tokens)."""
    if not is_wanted:
        return []
    return [
        helper.make_node("Cast", ["input"], ["as_float"], to=kinds.FLOAT),
        helper.make_node("Mul", ["as_float", "zero"], ["zeros"]),
        helper.make_node("Mul", ["per_token", "length_scale"], ["length"]),
        helper.make_node("Add", ["zeros", "length"], ["lengths"]),
        helper.make_node("Ceil", ["lengths"], ["lengths_up"]),
    ]


def sherpa_voice(folder, *, rate=16000, speakers=1, lexicon=None, notes=None, **options):
    """Create a model folder like sherpa-onnx's Piper voices; a lexicon maps words to symbols."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {
        "sample_rate": rate,
        "n_speakers": speakers,
        "language": "English",
        "comment": "piper",
        "voice": "en-us",
        "has_espeak": 1,
        "add_blank": 1,
    }
    network(folder / "en_US-hum-low.onnx", rate=rate, speakers=speakers, notes=metadata | (notes or {}), **options)
    tokens = "".join(f"{symbol} {number}\n" for number, symbol in enumerate(SYMBOLS))
    (folder / "tokens.txt").write_text(tokens, encoding="utf-8")
    if lexicon:
        lines = "".join(f"{word} {' '.join(symbols)}\n" for word, symbols in lexicon.items())
        (folder / "lexicon.txt").write_text(lines, encoding="utf-8")
    return folder


def piper_voice(folder, *, rate=22050, speakers=None, length_scale=1.0, **options):
    """Create a Piper voice; `speakers` are names."""
    ids = {symbol: [number] for number, symbol in enumerate(SYMBOLS)}
    folder.mkdir(parents=True, exist_ok=True)
    names = speakers or []
    network(folder / "en_US-hum-low.onnx", rate=rate, speakers=max(1, len(names)), **options)
    config = {
        "audio": {"sample_rate": rate},
        "espeak": {"voice": "en-us"},
        "language": {"code": "en_US"},
        "inference": {"length_scale": length_scale},
        "num_symbols": 256,
        "num_speakers": max(1, len(names)),
        "speaker_id_map": {name: number for number, name in enumerate(names)},
        "phoneme_id_map": ids,
        "phoneme_type": "espeak",
    }
    (folder / "en_US-hum-low.onnx.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def pitch(pcm, rate):
    """Return the pitch in hertz from the zero crossings."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    crossings = np.count_nonzero(np.diff(np.signbit(samples)))
    return crossings / 2 / (len(samples) / rate)


def kokoro_model(folder, speakers=("af_hum", "am_hum"), *, units_per_token=4, quiet_units=2):
    """Create a Kokoro model: each token has so many units of 600 samples, and the pads at both ends are silence.

    The style's first number is the pitch as a multiple of `HERTZ`: that of speaker n is n + 1.
    """
    onnx = needs("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "zero": np.float32(0),
        "unit": np.float32(1),
        "units": np.float32(units_per_token),
        "lead": np.float32(600 * quiet_units),
        "half": np.float32(0.5),
        "unit_samples": np.float32(600),
        "step": np.float32(2 * np.pi * HERTZ / 24000),
        "first": np.array([0], np.int64),
        "flat": np.array([-1], np.int64),
        "second_axis": np.array([1], np.int64),
        "begin": np.array([1], np.int64),
        "end": np.array([-1], np.int64),
        "pad": np.full((1, 1), quiet_units, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["tokens"], ["as_float"], to=kinds.FLOAT),
        helper.make_node("Mul", ["as_float", "zero"], ["zeros"]),
        helper.make_node("Slice", ["zeros", "begin", "end", "second_axis"], ["inside"]),
        helper.make_node("Div", ["units", "speed"], ["scaled"]),
        helper.make_node("Add", ["inside", "scaled"], ["lengths"]),
        helper.make_node("Concat", ["pad", "lengths", "pad"], ["padded"], axis=1),
        helper.make_node("Round", ["padded"], ["durations"], name="/encoder/Round"),
        helper.make_node("ReduceSum", ["durations"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "unit_samples"], ["count"]),
        helper.make_node("Range", ["zero", "count", "unit"], ["time"]),
        helper.make_node("Reshape", ["style", "flat"], ["numbers"]),
        helper.make_node("Gather", ["numbers", "first"], ["pitch"]),
        helper.make_node("Mul", ["time", "pitch"], ["pitched"]),
        helper.make_node("Mul", ["pitched", "step"], ["phase"]),
        helper.make_node("Sin", ["phase"], ["wave"]),
        helper.make_node("Mul", ["wave", "half"], ["hum"]),
        helper.make_node("Sub", ["count", "lead"], ["last"]),
        helper.make_node("GreaterOrEqual", ["time", "lead"], ["has_begun"]),
        helper.make_node("Less", ["time", "last"], ["goes_on"]),
        helper.make_node("And", ["has_begun", "goes_on"], ["sounds"]),
        helper.make_node("Cast", ["sounds"], ["gate"], to=kinds.FLOAT),
        helper.make_node("Mul", ["hum", "gate"], ["audio"]),
    ]
    inputs = [
        helper.make_tensor_value_info("tokens", kinds.INT64, [1, "tokens"]),
        helper.make_tensor_value_info("style", kinds.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", kinds.FLOAT, [1]),
    ]
    initializers = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    graph = helper.make_graph(
        nodes, "hum", inputs, [helper.make_tensor_value_info("audio", kinds.FLOAT, ["frames"])], initializers
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "hum.onnx")
    styles = {name: np.full((510, 1, 256), number + 1, np.float32) for number, name in enumerate(speakers)}
    np.savez(folder / "voices.npz", **styles)
    return folder
