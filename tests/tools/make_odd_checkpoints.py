#!/usr/bin/env python3
"""Random checkpoints of every supported architecture with odd dimensions, and what transformers computes from them.

    make_odd_checkpoints.py OUT [--only WORD] [--list]

A directory OUT/NAME has the form of tests/data/golden/NAME, so that the tests there run on it:

    SWITCHYARD_GOLDEN=OUT build/bin/golden_tests   # logits, greedy continuations, router choices
    SWITCHYARD_GOLDEN=OUT build/bin/ranks_tests    # the same bits on 1 to 4 ranks

For developers; `make test` does not need it. Wants torch, transformers, safetensors and numpy, and the zstd program.
Each model is written, read back from what was written by transformers' own reader, and computed in float32.
In bfloat16 one close router choice can fall the other way; LogitsInBfloat16StayNear then fails for that checkpoint alone.
"""

import argparse
import copy
import json
import math
import pathlib
import shutil
import subprocess
import tempfile
import zlib

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

GREEDY_TOKENS = 24
MARGIN_MIN = 0.02  # of every greedy step: nothing may hang on rounding
BASE = dict(max_position_embeddings=1024, bos_token_id=0, eos_token_id=1, pad_token_id=None, attention_dropout=0.0)

YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
LINEAR = dict(rope_type="linear", factor=2.5)
DYNAMIC = dict(rope_type="dynamic", factor=2.0)


def mla(model_type, heads, hidden, nope, rope, value, lora, q_lora, experts, top_k, **rest):
    return dict(model_type=model_type, hidden_size=hidden, num_attention_heads=heads, num_key_value_heads=heads,
                qk_nope_head_dim=nope, qk_rope_head_dim=rope, v_head_dim=value, kv_lora_rank=lora, q_lora_rank=q_lora,
                n_routed_experts=experts, num_experts_per_tok=top_k, **rest)


def v2(*a, **k):
    return mla("deepseek_v2", *a, **k)


def v3(*a, **k):
    return mla("deepseek_v3", *a, **k)


def gqa(model_type, heads, kv, hidden, **rest):
    return dict(model_type=model_type, num_attention_heads=heads, num_key_value_heads=kv, hidden_size=hidden, **rest)


# name -> (config, how it is written). Written: dtype, shards (0 = one file, -1 = one tensor a shard), style
# ("published" or "v5"), drop (keys that config.json lacks), rope (theta and scaling), odd_header (data not aligned).
MODELS = {
    # Heads 3, 5, 7; latent ranks and heads no multiples of 16; with and without query LoRA.
    "v2-a": (v2(3, 48, 10, 6, 14, 20, None, 10, 3, intermediate_size=44, moe_intermediate_size=20, num_hidden_layers=3,
                n_shared_experts=2, first_k_dense_replace=1, topk_method="greedy", routed_scaling_factor=1.0, vocab_size=259,
                n_group=1, topk_group=1), dict(dtype="bfloat16", shards=-1, style="published")),
    "v2-b": (v2(5, 80, 24, 8, 20, 36, 28, 12, 3, intermediate_size=88, moe_intermediate_size=12, num_hidden_layers=2,
                n_shared_experts=1, first_k_dense_replace=0, topk_method="group_limited_greedy", n_group=4, topk_group=2,
                routed_scaling_factor=2.5, vocab_size=1001),
             dict(dtype="float16", shards=3, style="v5", rope=dict(theta=5000.0, **YARN, mscale=0.7, mscale_all_dim=0.7))),
    "v2-c": (v2(7, 84, 18, 10, 18, 12, 20, 10, 3, intermediate_size=36, moe_intermediate_size=20, num_hidden_layers=2,
                n_shared_experts=3, first_k_dense_replace=1, topk_method="greedy", routed_scaling_factor=1.7, vocab_size=263,
                tie_word_embeddings=True),
             dict(dtype="float32", shards=0, style="published", rope=dict(theta=10000.0, **YARN, mscale=1.0, mscale_all_dim=0.5))),
    "v2-bias": (v2(3, 36, 10, 6, 14, 20, 24, 10, 3, intermediate_size=44, moe_intermediate_size=20, num_hidden_layers=2,
                   n_shared_experts=1, first_k_dense_replace=1, topk_method="greedy", routed_scaling_factor=1.0, vocab_size=259,
                   attention_bias=True), dict(dtype="bfloat16", shards=0, style="v5")),
    "v3-a": (v3(3, 72, 12, 6, 10, 20, 20, 12, 3, intermediate_size=44, moe_intermediate_size=20, num_hidden_layers=3,
                n_shared_experts=1, first_k_dense_replace=1, n_group=1, topk_group=1, norm_topk_prob=True,
                routed_scaling_factor=2.5, vocab_size=259, num_nextn_predict_layers=1),
             dict(dtype="float16", shards=-1, style="published")),
    "v3-b": (v3(5, 120, 20, 12, 24, 44, None, 10, 3, intermediate_size=88, moe_intermediate_size=28, num_hidden_layers=3,
                n_shared_experts=2, first_k_dense_replace=0, n_group=5, topk_group=3, norm_topk_prob=False,
                routed_scaling_factor=1.3, vocab_size=1001, num_nextn_predict_layers=0),
             dict(dtype="float32", shards=5, style="v5", rope=dict(theta=10000.0, **YARN, mscale=1.0, mscale_all_dim=1.0))),
    "v3-c": (v3(7, 100, 8, 4, 8, 36, 28, 12, 3, intermediate_size=20, moe_intermediate_size=44, num_hidden_layers=2,
                n_shared_experts=1, first_k_dense_replace=1, n_group=3, topk_group=2, norm_topk_prob=True,
                routed_scaling_factor=1.0, vocab_size=777, rope_interleave=False, tie_word_embeddings=True),
             dict(dtype="bfloat16", shards=0, style="v5", odd_header=True)),
    "v3-bias": (v3(3, 48, 10, 6, 14, 20, None, 10, 3, intermediate_size=44, moe_intermediate_size=20, num_hidden_layers=2,
                   n_shared_experts=1, first_k_dense_replace=1, n_group=2, topk_group=1, norm_topk_prob=True,
                   routed_scaling_factor=1.5, vocab_size=259, attention_bias=True), dict(dtype="float32", shards=0, style="published")),
    "v3-defaults": (v3(4, 64, 16, 8, 16, 32, 24, 16, 3, intermediate_size=44, moe_intermediate_size=20, num_hidden_layers=4,
                       n_shared_experts=1, vocab_size=301, routed_scaling_factor=2.5),
                    dict(dtype="bfloat16", shards=0, style="published",
                         drop=["n_group", "topk_group", "first_k_dense_replace", "norm_topk_prob", "rope_theta", "moe_layer_freq"])),
    # q/k norm; head_dim that is not hidden / heads, or not given.
    "qwen3moe-a": (gqa("qwen3_moe", 3, 1, 48, head_dim=20, num_experts=10, num_experts_per_tok=3, moe_intermediate_size=20,
                       intermediate_size=44, num_hidden_layers=3, norm_topk_prob=True, mlp_only_layers=[1], vocab_size=259),
                   dict(dtype="float16", shards=-1, style="published")),
    "qwen3moe-b": (gqa("qwen3_moe", 5, 5, 80, num_experts=12, num_experts_per_tok=3, moe_intermediate_size=28,
                       intermediate_size=88, num_hidden_layers=4, norm_topk_prob=False, decoder_sparse_step=2, vocab_size=1001,
                       tie_word_embeddings=True), dict(dtype="float32", shards=4, style="v5", drop=["head_dim"])),
    "qwen3moe-c": (gqa("qwen3_moe", 15, 3, 100, head_dim=12, num_experts=11, num_experts_per_tok=5, moe_intermediate_size=44,
                       intermediate_size=20, num_hidden_layers=2, norm_topk_prob=True, attention_bias=True, vocab_size=333,
                       use_sliding_window=True, sliding_window=13),
                   dict(dtype="bfloat16", shards=2, style="v5", rope=dict(theta=1e6, **YARN))),
    "qwen3moe-d": (gqa("qwen3_moe", 7, 7, 36, head_dim=34, num_experts=3, num_experts_per_tok=3, moe_intermediate_size=100,
                       intermediate_size=20, num_hidden_layers=2, norm_topk_prob=True, vocab_size=257),
                   dict(dtype="float32", shards=0, style="published", odd_header=True, rope=dict(theta=20000.0, **DYNAMIC))),
    # Shared expert behind a gate.
    "qwen2moe-a": (gqa("qwen2_moe", 3, 3, 36, num_experts=10, num_experts_per_tok=3, moe_intermediate_size=20,
                       shared_expert_intermediate_size=44, intermediate_size=88, num_hidden_layers=2, vocab_size=259),
                   dict(dtype="float16", shards=-1, style="published")),
    "qwen2moe-b": (gqa("qwen2_moe", 10, 5, 120, num_experts=12, num_experts_per_tok=3, moe_intermediate_size=44,
                       shared_expert_intermediate_size=20, intermediate_size=88, num_hidden_layers=4, norm_topk_prob=True,
                       decoder_sparse_step=2, mlp_only_layers=[3], vocab_size=1001, tie_word_embeddings=True),
                   dict(dtype="float32", shards=3, style="v5", rope=dict(theta=1e6, **LINEAR))),
    "qwen2moe-c": (gqa("qwen2_moe", 6, 1, 72, num_experts=12, num_experts_per_tok=3, moe_intermediate_size=36,
                       shared_expert_intermediate_size=100, intermediate_size=88, num_hidden_layers=4, qkv_bias=False,
                       use_sliding_window=True, sliding_window=11, max_window_layers=3, vocab_size=401),
                   dict(dtype="bfloat16", shards=0, style="v5", drop=["layer_types"])),
    "mixtral-a": (gqa("mixtral", 3, 1, 48, num_local_experts=10, num_experts_per_tok=3, intermediate_size=20,
                      num_hidden_layers=2, vocab_size=259, sliding_window=None), dict(dtype="float16", shards=-1, style="published")),
    "mixtral-b": (gqa("mixtral", 5, 5, 80, num_local_experts=12, num_experts_per_tok=3, intermediate_size=44,
                      num_hidden_layers=3, vocab_size=1001, sliding_window=17, head_dim=18, tie_word_embeddings=True),
                  dict(dtype="float32", shards=7, style="v5", rope=dict(theta=1e4, **YARN))),
    "mixtral-c": (gqa("mixtral", 9, 3, 72, num_local_experts=5, num_experts_per_tok=1, intermediate_size=88,
                      num_hidden_layers=2, vocab_size=511, sliding_window=None),
                  dict(dtype="bfloat16", shards=0, style="published", drop=["head_dim", "rope_theta"])),
    # Sinks, biases, windows by layer_types and by default; head_dim 64 and YaRN when config.json does not say.
    "gptoss-a": (gqa("gpt_oss", 3, 1, 48, head_dim=20, num_local_experts=10, num_experts_per_tok=3, intermediate_size=20,
                     num_hidden_layers=3, sliding_window=7, vocab_size=259),
                 dict(dtype="float16", shards=-1, style="published", rope=dict(theta=150000.0, **YARN, truncate=False, beta_fast=32.0, beta_slow=1.0))),
    "gptoss-b": (gqa("gpt_oss", 10, 5, 80, head_dim=18, num_local_experts=12, num_experts_per_tok=3, intermediate_size=44,
                     num_hidden_layers=4, sliding_window=33, vocab_size=1001, tie_word_embeddings=True,
                     layer_types=["full_attention", "sliding_attention", "sliding_attention", "full_attention"]),
                 dict(dtype="float32", shards=3, style="v5", rope=dict(theta=10000.0, rope_type="default"))),
    "gptoss-c": (gqa("gpt_oss", 7, 7, 72, num_local_experts=11, num_experts_per_tok=3, intermediate_size=36,
                     num_hidden_layers=2, sliding_window=16, vocab_size=333, swiglu_limit=2.0, swiglu_alpha=1.1),
                 dict(dtype="bfloat16", shards=0, style="published", drop=["head_dim", "layer_types", "rope_scaling", "rope_theta"])),
    "gptoss-d": (gqa("gpt_oss", 3, 3, 36, head_dim=16, num_local_experts=5, num_experts_per_tok=2, intermediate_size=100,
                     num_hidden_layers=2, sliding_window=16, vocab_size=333, attention_bias=False),
                 dict(dtype="float32", shards=0, style="v5", odd_header=True)),
    "glm-a": (gqa("glm4_moe", 3, 1, 48, head_dim=20, n_routed_experts=10, num_experts_per_tok=3, moe_intermediate_size=20,
                  intermediate_size=44, num_hidden_layers=3, n_shared_experts=1, first_k_dense_replace=1, attention_bias=True,
                  use_qk_norm=True, routed_scaling_factor=2.5, vocab_size=259), dict(dtype="float16", shards=-1, style="published")),
    "glm-b": (gqa("glm4_moe", 5, 5, 80, n_routed_experts=12, num_experts_per_tok=3, moe_intermediate_size=28,
                  intermediate_size=88, num_hidden_layers=3, n_shared_experts=2, first_k_dense_replace=0, attention_bias=False,
                  use_qk_norm=False, norm_topk_prob=False, n_group=4, topk_group=2, vocab_size=1001, tie_word_embeddings=True),
              dict(dtype="float32", shards=5, style="v5", rope=dict(theta=10000.0, rope_type="default", partial_rotary_factor=0.25), drop=["head_dim"])),
    "glm-c": (gqa("glm4_moe", 14, 7, 100, head_dim=12, n_routed_experts=10, num_experts_per_tok=3, moe_intermediate_size=36,
                  intermediate_size=20, num_hidden_layers=2, n_shared_experts=1, first_k_dense_replace=1, attention_bias=True,
                  use_qk_norm=True, vocab_size=777),
              dict(dtype="bfloat16", shards=0, style="v5", odd_header=True, rope=dict(theta=1e6, **YARN, partial_rotary_factor=1.0))),
    # Dense.
    "llama-a": (gqa("llama", 3, 1, 48, intermediate_size=20, num_hidden_layers=2, vocab_size=259),
                dict(dtype="float16", shards=-1, style="published", drop=["head_dim", "rope_theta"])),
    "llama-b": (gqa("llama", 5, 5, 80, head_dim=18, intermediate_size=88, num_hidden_layers=3, vocab_size=1001,
                    tie_word_embeddings=True), dict(dtype="float32", shards=4, style="v5", rope=dict(theta=5e5, **LLAMA3))),
    "llama-c": (gqa("llama", 15, 5, 120, intermediate_size=44, num_hidden_layers=2, vocab_size=333, attention_bias=True),
                dict(dtype="bfloat16", shards=0, style="published", rope=dict(theta=10000.0, **LINEAR))),
    "llama-d": (gqa("llama", 7, 7, 112, intermediate_size=36, num_hidden_layers=2, vocab_size=333, mlp_bias=True),
                dict(dtype="bfloat16", shards=0, style="v5", rope=dict(theta=10000.0, **DYNAMIC), odd_header=True)),
    "llama-e": (gqa("llama", 7, 1, 84, head_dim=66, intermediate_size=100, num_hidden_layers=2, vocab_size=129),
                dict(dtype="float32", shards=-1, style="published", rope=dict(theta=10000.0, **YARN))),
    "qwen2-a": (gqa("qwen2", 3, 3, 36, intermediate_size=20, num_hidden_layers=2, vocab_size=259),
                dict(dtype="float16", shards=-1, style="published")),
    "qwen2-b": (gqa("qwen2", 10, 5, 80, intermediate_size=88, num_hidden_layers=4, vocab_size=1001, tie_word_embeddings=True,
                    use_sliding_window=True, sliding_window=19, max_window_layers=2), dict(dtype="float32", shards=3, style="v5")),
    "qwen2-c": (gqa("qwen2", 7, 1, 70, intermediate_size=44, num_hidden_layers=4, vocab_size=333, use_sliding_window=True,
                    sliding_window=23, max_window_layers=1),
                dict(dtype="bfloat16", shards=0, style="published", drop=["layer_types"], rope=dict(theta=1e6, **YARN))),
    "qwen3-a": (gqa("qwen3", 3, 1, 48, head_dim=20, intermediate_size=20, num_hidden_layers=2, vocab_size=259, tie_word_embeddings=True),
                dict(dtype="float16", shards=-1, style="published")),
    "qwen3-b": (gqa("qwen3", 5, 5, 72, intermediate_size=44, num_hidden_layers=2, vocab_size=1001, attention_bias=True),
                dict(dtype="float32", shards=3, style="published", drop=["head_dim"])),
    "qwen3-c": (gqa("qwen3", 9, 3, 100, head_dim=26, intermediate_size=88, num_hidden_layers=3, vocab_size=333,
                    use_sliding_window=True, sliding_window=9, max_window_layers=1),
                dict(dtype="bfloat16", shards=0, style="v5", rope=dict(theta=1e6, **YARN, attention_factor=1.2))),
}

CLASS = {"deepseek_v2": "DeepseekV2", "deepseek_v3": "DeepseekV3", "qwen3_moe": "Qwen3Moe", "qwen2_moe": "Qwen2Moe",
         "mixtral": "Mixtral", "gpt_oss": "GptOss", "glm4_moe": "Glm4Moe", "llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}


def write_config(config, how, directory):
    """config.json as its publisher would have it, or as transformers 5 writes it."""
    data = json.loads(config.to_json_string(use_diff=True))
    rope = data.pop("rope_parameters", None) or {}
    if how["style"] == "v5":
        data["rope_parameters"] = rope
        data["dtype"] = how["dtype"]
    else:
        rope = dict(rope)
        data["rope_theta"] = rope.pop("rope_theta", 10000.0)
        partial = rope.pop("partial_rotary_factor", None)
        if partial is not None:
            data["partial_rotary_factor"] = partial
        if rope.get("rope_type") == "default":
            rope = None
        else:
            rope["type"] = rope.pop("rope_type")
        data["rope_scaling"] = rope
        data.pop("dtype", None)
        data["torch_dtype"] = how["dtype"]
    for key in how.get("drop", []):
        data.pop(key, None)
        if key.startswith("rope") and how["style"] == "v5":
            data.pop("rope_parameters", None)
    (directory / "config.json").write_text(json.dumps(data, indent=2))


def randomize(model, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in list(model.named_parameters()) + [(n, b) for n, b in model.named_buffers() if "correction_bias" in n]:
            if "correction_bias" in name:
                p.copy_(torch.randn_like(p) * 0.1)
            elif "norm" in name:
                p.copy_(1 + 0.3 * torch.randn_like(p))
            elif p.ndim == 1 or name.endswith("_bias") or name.endswith("sinks"):
                p.copy_(0.3 * torch.randn_like(p))
            elif "embed_tokens" in name:
                p.copy_(torch.randn_like(p))
            else:
                transposed = p.ndim == 3 and model.config.model_type == "gpt_oss"
                fan_in = p.shape[-2] if transposed else p.shape[-1]
                router = name.endswith("gate.weight") or name.endswith("router.weight")
                gain = 2.0 if router else 3.0 if "lm_head" in name else 1.3
                p.copy_(torch.randn_like(p) * gain / math.sqrt(fan_in))
        if model.config.tie_word_embeddings:
            p = model.get_input_embeddings().weight
            p.mul_(3.0 / math.sqrt(p.shape[-1]))


def odd_save(tensors, path):
    """A file whose header has an odd length: no tensor is aligned to its type."""
    save_file(tensors, str(path), metadata={"format": "pt"})
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = raw[8:8 + size].rstrip()
    if len(header) % 2 == 0:
        header += b" "
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + size:])


def write_weights(tensors, how, directory):
    dtype = getattr(torch, how["dtype"])
    # As publishers do: the correction bias stays in float32.
    tensors = {n: (t.float() if "correction_bias" in n else t.to(dtype)).contiguous().clone() for n, t in tensors.items()}
    names = sorted(tensors)
    save = odd_save if how.get("odd_header") else lambda t, p: save_file(t, str(p), metadata={"format": "pt"})
    shards = how["shards"]
    if shards == 0:
        save(tensors, directory / "model.safetensors")
        return
    count = len(names) if shards < 0 else shards
    index = {}
    for i in range(count):
        file = f"model-{i + 1:05d}-of-{count:05d}.safetensors"
        part = {n: tensors[n] for n in names[i::count]}
        save(part, directory / file)
        index.update({n: file for n in part})
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=1))


def greedy(model, prompt, count):
    ids, margins = list(prompt), []
    past, feed = None, torch.tensor([ids])
    out = []
    for _ in range(count):
        r = model(feed, past_key_values=past, use_cache=True)
        past = r.past_key_values
        top = torch.topk(r.logits[0, -1], 2)
        margins.append(float(top.values[0] - top.values[1]))
        out.append(int(top.indices[0]))
        feed = torch.tensor([[out[-1]]])
    return out, margins


def make(name, out):
    fields, how = copy.deepcopy(MODELS[name])
    seed = zlib.crc32(name.encode()) & 0xFFFFFF
    rope = how.get("rope")
    if rope is not None:
        rope = dict(rope)
        fields["rope_parameters"] = {"rope_theta": rope.pop("theta"), **({"rope_type": "default"} | rope)}
    config_class = getattr(transformers, CLASS[fields["model_type"]] + "Config")
    config = config_class(**{**BASE, **fields})
    config.architectures = [CLASS[fields["model_type"]] + "ForCausalLM"]
    directory = out / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    write_config(config, how, directory)
    # The model that this config.json means, defaults included.
    config = AutoConfig.from_pretrained(directory)
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomize(model, seed)
    with tempfile.TemporaryDirectory() as temporary:
        model.save_pretrained(temporary)
        tensors = {}
        for file in pathlib.Path(temporary).glob("*.safetensors"):
            tensors.update(load_file(str(file)))
    write_weights(tensors, how, directory)
    (directory / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": 1}))

    model, info = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager",
                                                       output_loading_info=True)
    problems = {k: v for k, v in info.items() if v}
    if problems:
        raise SystemExit(f"{name}: read back with {problems}")
    model.eval()
    half = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16, attn_implementation="eager", experts_implementation="eager").eval()
    vocab = config.vocab_size
    rng = np.random.default_rng(seed)
    files, manifest = {}, {"name": name, "architecture": config.architectures[0], "cases": {}, "greedy": {}, "seed": seed,
                           "made_with": {"transformers": transformers.__version__, "torch": torch.__version__}}
    routes = {}
    for layer, block in enumerate(model.model.layers):
        for module_name, module in block.named_modules():
            if module_name.endswith("experts") and not module_name.endswith("shared_experts"):
                module.register_forward_pre_hook(
                    lambda m, args, kwargs, layer=layer: routes.__setitem__(layer, [*args, *kwargs.values()][:3]), with_kwargs=True)
    logits_max, calibration = 0.0, {}
    for case, length, first in [("short", 9, 0), ("mid", 70, 0), ("long", 300, 268), ("text", 31, 0)]:
        ids = torch.from_numpy(rng.integers(0, vocab, (1, length)))
        routes.clear()
        logits = model(ids).logits[0, first:].float()
        if case in ("short", "mid"):
            diff = (half(ids).logits[0].float() - logits).abs()
            calibration[case] = (float(diff.max()), float(diff.mean()),
                                 float((half(ids).logits[0].argmax(-1) == logits.argmax(-1)).float().mean()))
        if case == "mid":
            manifest["router_layers"] = sorted(routes)
            for layer, (_, index, weight) in sorted(routes.items()):
                order = torch.argsort(weight, dim=-1, descending=True, stable=True)
                files[f"router.mid.layer{layer}.experts"] = index.gather(-1, order).to(torch.int32).contiguous()
                files[f"router.mid.layer{layer}.weights"] = weight.gather(-1, order).float().contiguous()
        files[f"{case}.input_ids"] = ids[0].contiguous()
        files[f"{case}.logits"] = logits.contiguous()
        manifest["cases"][case] = {"tokens": length, "logits_first_position": first}
        logits_max = max(logits_max, float(logits.abs().max()))
    manifest["cases"]["text"] |= {"messages": [], "prompt": ""}
    for i, length in enumerate([5, 17, 40, 130]):
        for _ in range(60):
            prompt = rng.integers(0, vocab, length)
            tokens, margins = greedy(model, prompt.tolist(), GREEDY_TOKENS)
            if min(margins) > MARGIN_MIN:
                break
        else:
            raise SystemExit(f"{name}: no prompt of {length} without close calls")
        files[f"greedy.{i}.prompt"] = torch.from_numpy(prompt)
        files[f"greedy.{i}.tokens"] = torch.tensor(tokens)
        files[f"greedy.{i}.margins"] = torch.tensor(margins)
        manifest["greedy"][str(i)] = {"prompt_tokens": length, "steps": GREEDY_TOKENS, "min_margin": min(margins)}
    manifest["logit_abs_max"] = logits_max
    manifest["tolerance"] = {
        "float32": {"max_abs_diff": 2e-4 * logits_max},
        "bfloat16": {"short": {"max_abs_diff": 2 * calibration["short"][0]},
                     "mid": {"mean_abs_diff": 2 * calibration["mid"][1], "argmax_agreement": max(0.0, calibration["mid"][2] - 0.1)}}}
    (directory / "reference.json").write_text(json.dumps(manifest, indent=1))
    save_file(files, str(directory / "reference.safetensors"))
    subprocess.run(["zstd", "-q", "--rm", "-f", str(directory / "reference.safetensors")], check=True)
    print(f"{name}: logits up to {logits_max:.1f}, {len(tensors)} tensors, bf16 off by {calibration['short'][0]:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in MODELS:
        if arguments.only not in name:
            continue
        if arguments.list:
            print(name)
            continue
        try:
            with torch.no_grad():
                make(name, arguments.out)
        except Exception as error:
            print(f"{name}: FAILED {type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    main()
