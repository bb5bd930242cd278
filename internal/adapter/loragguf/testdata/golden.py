"""Make the goldens of this package: adapters as PEFT saves them, and the files that llama.cpp loads.

    $(hack/python.sh internal/adapter/loragguf/testdata/requirements.txt)/bin/python internal/adapter/loragguf/testdata/golden.py

The files are written by llama.cpp's own package gguf; rows are ordered as llama.cpp's converter
orders those of weights (LlamaModel.permute). Each golden is proved before it is kept: a random
weight with the adapter merged by PEFT's formula and then converted must be the converted weight
with the adapter merged by llama.cpp's formula.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
LAYERS, HEADS, KV_HEADS, HEAD_DIM, HIDDEN, MLP = 11, 4, 2, 4, 16, 24
QUERIES, KEYS = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
SHAPES = {
    "self_attn.q_proj": (HIDDEN, QUERIES),
    "self_attn.k_proj": (HIDDEN, KEYS),
    "self_attn.v_proj": (HIDDEN, KEYS),
    "self_attn.o_proj": (QUERIES, HIDDEN),
    "mlp.gate_proj": (HIDDEN, MLP),
    "mlp.up_proj": (HIDDEN, MLP),
    "mlp.down_proj": (MLP, HIDDEN),
}
NAMES = dict(zip(SHAPES, ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), strict=True))
ROTATED = {"self_attn.q_proj": HEADS, "self_attn.k_proj": KV_HEADS}

Matrix = NDArray[np.float32]


def permute(weights: Matrix, heads: int) -> Matrix:
    """Return rows in llama.cpp's order."""
    half = weights.shape[0] // heads // 2
    return weights.reshape(heads, 2, half, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def converted(module: str, weights: Matrix) -> Matrix:
    """Return a weight of transformers as llama.cpp has it."""
    return permute(weights, ROTATED[module]) if module in ROTATED else weights


def pattern(patterns: dict[str, Any], module: str, otherwise: float) -> float:
    """Return what PEFT takes for a module: peft.utils.other.get_pattern_key."""
    for key, value in patterns.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return float(value)
    return otherwise


def stored(values: Matrix, dtype: str) -> tuple[bytes, Matrix]:
    """Return the bytes of a tensor, and the numbers that they stand for."""
    if dtype == "BF16":
        high = (values.view(np.uint32) >> 16).astype(np.uint16)
        return high.tobytes(), (high.astype(np.uint32) << 16).view(np.float32)
    kept = values.astype({"F32": np.float32, "F16": np.float16, "F64": np.float64}[dtype])
    return kept.tobytes(), kept.astype(np.float32)


def make(name: str, config: dict[str, Any], modules: list[str], layers: list[int], dtype: str) -> None:
    """Write one adapter and its golden."""
    folder, random = HERE / name, np.random.default_rng(7)
    folder.mkdir(exist_ok=True)
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "owner/tiny", "bias": "none", "r": 4,
        "lora_alpha": 8, "rank_pattern": {}, "alpha_pattern": {}, "use_rslora": False, "use_dora": False, "modules_to_save": None,
        "target_modules": sorted(m.split(".")[-1] for m in modules), **config,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    root = math.sqrt if config["use_rslora"] else float
    ranks = [int(pattern(config["rank_pattern"], f"model.layers.{n}.{m}", config["r"])) for n in layers for m in modules]
    alpha = float(config["lora_alpha"]) * (math.sqrt(max(ranks)) if config["use_rslora"] else 1)
    head: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data, tensors = b"", {}
    for layer in layers:
        for module in modules:
            place = f"model.layers.{layer}.{module}"
            rank = int(pattern(config["rank_pattern"], place, config["r"]))
            scale = pattern(config["alpha_pattern"], place, config["lora_alpha"]) / root(rank)
            wide, high = SHAPES[module]
            pair = []
            for half, shape in (("A", (rank, wide)), ("B", (high, rank))):
                raw, values = stored(random.standard_normal(shape).astype(np.float32), dtype)
                head[f"base_model.model.{place}.lora_{half}.weight"] = {
                    "dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)],
                }  # fmt: skip
                data += raw
                pair.append(values)
            down, up = pair
            factor = scale * rank / alpha
            ours = converted(module, up) * np.float32(factor) if abs(factor - 1) > 1e-12 else converted(module, up)
            prove(module, scale * (up @ down), (alpha / rank) * (ours @ down), random)
            blk = f"blk.{layer}.{NAMES[module]}.weight.lora_"
            tensors[f"base_model.model.{place}.lora_A.weight"] = (blk + "a", down)
            tensors[f"base_model.model.{place}.lora_B.weight"] = (blk + "b", ours)
    text = json.dumps(head).encode()
    (folder / "adapter_model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    writer = gguf.GGUFWriter(folder / "want.gguf", "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for key in sorted(tensors):
        writer.add_tensor(tensors[key][0], np.ascontiguousarray(tensors[key][1]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def prove(module: str, theirs: Matrix, ours: Matrix, random: np.random.Generator) -> None:
    """Compare a weight that is merged and converted with one that is converted and merged."""
    wide, high = SHAPES[module]
    weight = random.standard_normal((high, wide)).astype(np.float32)
    np.testing.assert_allclose(converted(module, weight + theirs), converted(module, weight) + ours, rtol=1e-5, atol=1e-4)


if __name__ == "__main__":
    EVERY = list(SHAPES)
    make("every-layer", {}, EVERY, [0, 1, 10], "F32")
    make("usual-pair-bf16", {"r": 2, "lora_alpha": 16}, ["self_attn.q_proj", "self_attn.v_proj"], [0, 2], "BF16")
    make("half-precision", {}, ["self_attn.k_proj", "mlp.down_proj"], [3], "F16")
    make("double-precision", {}, ["self_attn.k_proj"], [3], "F64")
    make("rank-stabilised", {"use_rslora": True, "r": 8}, ["self_attn.q_proj", "mlp.up_proj"], [0], "F32")
    patterns = {
        "rank_pattern": {"k_proj": 2, "layers.1.mlp.up_proj": 8},
        "alpha_pattern": {"layers.0.mlp.up_proj": 1, r"layers\.\d+\.self_attn.q_proj": 5},
    }
    make("patterns", patterns, ["self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj"], [0, 1], "F32")
    make("patterns-rank-stabilised", {**patterns, "use_rslora": True}, ["self_attn.q_proj", "mlp.up_proj"], [0, 1], "F32")
