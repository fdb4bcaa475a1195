#!/usr/bin/env python3
"""Writes a Hugging Face checkpoint of a real shape with seeded random weights, for benchmarks where the weights' meaning does not matter.

    make_checkpoint.py PRESET OUT_DIR [--seed 1] [--dtype bf16|f16|f32] [--shards N] [--max-layers L] [--tokenizer DIR]

Needs numpy only. Streams one tensor at a time, so memory stays below a gigabyte. Weights are normal with standard deviation
1/sqrt(fan_in) (matrices that write to the residual stream: divided by sqrt(2 * layers)), norms are 1, the router has standard
deviation 1/sqrt(hidden). Embeddings have standard deviation 1/2: smaller, and a sequence's tokens crowd onto the same experts in deep
layers; larger, and the last token alone decides the next, so that a wrong KV cache would go unseen. So expert loads are near uniform
but not equal (mean/max 0.65 to 0.9 over thousands of tokens), and the context decides what is generated. The same arguments give the same
bytes, and --max-layers changes no tensor of the layers it keeps.

Presets (total parameters; parameters touched by one token, without the embedding table):
"""
import argparse, json, pathlib, shutil, struct, subprocess, sys, time, zlib
import numpy as np

COMMON = dict(bos_token_id=0, eos_token_id=1, hidden_act="silu", rms_norm_eps=1e-6, tie_word_embeddings=False, attention_dropout=0.0, initializer_range=0.02, use_cache=True)


def qwen3_moe(hidden, layers, experts, top_k, ff, heads, kv_heads, head_dim, vocab):
    return dict(COMMON, architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", hidden_size=hidden, num_hidden_layers=layers, num_experts=experts, num_experts_per_tok=top_k,
                moe_intermediate_size=ff, intermediate_size=ff * top_k, num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim, vocab_size=vocab, norm_topk_prob=True,
                decoder_sparse_step=1, mlp_only_layers=[], max_position_embeddings=40960, rope_theta=1e6, attention_bias=False, router_aux_loss_coef=0.001)


def deepseek(version, hidden, layers, dense, experts, top_k, shared, ff, dense_ff, heads, q_lora, kv_lora, nope, rope, v, vocab, groups=1, top_groups=1):
    c = dict(COMMON, architectures=[f"DeepseekV{version}ForCausalLM"], model_type=f"deepseek_v{version}", hidden_size=hidden, num_hidden_layers=layers, first_k_dense_replace=dense,
             n_routed_experts=experts, num_experts_per_tok=top_k, n_shared_experts=shared, moe_intermediate_size=ff, intermediate_size=dense_ff, num_attention_heads=heads, num_key_value_heads=heads,
             q_lora_rank=q_lora, kv_lora_rank=kv_lora, qk_nope_head_dim=nope, qk_rope_head_dim=rope, v_head_dim=v, vocab_size=vocab, n_group=groups, topk_group=top_groups, moe_layer_freq=1,
             max_position_embeddings=32768, rope_theta=10000.0, attention_bias=False)
    c |= dict(norm_topk_prob=True, routed_scaling_factor=2.5, scoring_func="sigmoid", topk_method="noaux_tc") if version == 3 else \
         dict(norm_topk_prob=False, routed_scaling_factor=1.0, scoring_func="softmax", topk_method="greedy")
    return c


def mixtral(hidden, layers, experts, top_k, ff, heads, kv_heads, vocab, window):
    return dict(COMMON, architectures=["MixtralForCausalLM"], model_type="mixtral", hidden_size=hidden, num_hidden_layers=layers, num_local_experts=experts, num_experts_per_tok=top_k,
                intermediate_size=ff, num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=hidden // heads, vocab_size=vocab, sliding_window=window, max_position_embeddings=32768, rope_theta=1e6)


PRESETS = {
    "tiny-qwen3moe": qwen3_moe(64, 2, 8, 2, 32, 2, 1, 32, 512),  # costs nothing to compute: for what surrounds a model
    "small-qwen3moe": qwen3_moe(512, 8, 32, 4, 384, 8, 2, 64, 102400),
    "medium-qwen3moe": qwen3_moe(1024, 16, 64, 4, 768, 16, 4, 64, 102400),
    "medium-deepseekv3": deepseek(3, 1024, 14, 1, 64, 6, 1, 512, 4096, 16, 512, 256, 64, 32, 64, 102400, 8, 4),  # sigmoid, 8 groups of which 4
    "medium-r1": deepseek(3, 1024, 14, 1, 16, 2, 2, 1536, 4096, 16, 512, 256, 64, 32, 64, 102400),  # 16 experts, top-2, 2 shared
    "medium-mixtral": mixtral(1024, 12, 8, 2, 2560, 16, 4, 102400, 4096),
    "v2-lite": deepseek(2, 2048, 27, 1, 64, 6, 2, 1408, 10944, 16, None, 512, 128, 64, 128, 102400),  # DeepSeek-V2-Lite's shape
    "h200-qwen3-30b-a3b": qwen3_moe(2048, 48, 128, 8, 768, 32, 4, 128, 151936),  # Qwen3-30B-A3B's shape: 61 GB in bf16, for GPU machines
}
TOKENIZER = {"h200-qwen3-30b-a3b": "qwen2"}  # every other preset: deepseek-llm


def tensors(c, depth=None):
    """(name, shape, standard deviation or None for ones) in file order; depth: the layer count that sets the residual scale."""
    d, L = c["hidden_size"], c["num_hidden_layers"]
    out = 1 / np.sqrt(2 * (depth or L))
    lin = lambda name, rows, cols, scale=1.0: (name + ".weight", (rows, cols), scale / np.sqrt(cols))
    mlp = lambda p, ff: [lin(p + "gate_proj", ff, d), lin(p + "up_proj", ff, d), lin(p + "down_proj", d, ff, out)]
    yield ("model.embed_tokens.weight", (c["vocab_size"], d), 0.5)
    for i in range(L):
        p = f"model.layers.{i}."
        yield (p + "input_layernorm.weight", (d,), None)
        yield (p + "post_attention_layernorm.weight", (d,), None)
        h, a = c["num_attention_heads"], p + "self_attn."
        if "kv_lora_rank" in c:
            qk, r = c["qk_nope_head_dim"] + c["qk_rope_head_dim"], c["kv_lora_rank"]
            if c["q_lora_rank"]:
                yield lin(a + "q_a_proj", c["q_lora_rank"], d)
                yield (a + "q_a_layernorm.weight", (c["q_lora_rank"],), None)
                yield lin(a + "q_b_proj", h * qk, c["q_lora_rank"])
            else:
                yield lin(a + "q_proj", h * qk, d)
            yield lin(a + "kv_a_proj_with_mqa", r + c["qk_rope_head_dim"], d)
            yield (a + "kv_a_layernorm.weight", (r,), None)
            yield lin(a + "kv_b_proj", h * (c["qk_nope_head_dim"] + c["v_head_dim"]), r)
            yield lin(a + "o_proj", d, h * c["v_head_dim"], out)
        else:
            hd, kv = c["head_dim"], c["num_key_value_heads"]
            yield lin(a + "q_proj", h * hd, d)
            yield lin(a + "k_proj", kv * hd, d)
            yield lin(a + "v_proj", kv * hd, d)
            yield lin(a + "o_proj", d, h * hd, out)
            if c["model_type"] == "qwen3_moe":
                yield (a + "q_norm.weight", (hd,), None)
                yield (a + "k_norm.weight", (hd,), None)
        if c["model_type"] == "mixtral":
            m = p + "block_sparse_moe."
            yield lin(m + "gate", c["num_local_experts"], d)
            for e in range(c["num_local_experts"]):
                yield lin(f"{m}experts.{e}.w1", c["intermediate_size"], d)
                yield lin(f"{m}experts.{e}.w2", d, c["intermediate_size"], out)
                yield lin(f"{m}experts.{e}.w3", c["intermediate_size"], d)
            continue
        m = p + "mlp."
        if i < c.get("first_k_dense_replace", 0):
            yield from mlp(m, c["intermediate_size"])
            continue
        experts = c.get("num_experts") or c["n_routed_experts"]
        yield lin(m + "gate", experts, d)
        if c["model_type"] == "deepseek_v3":
            yield (m + "gate.e_score_correction_bias", (experts,), 0.01)
        for e in range(experts):
            yield from mlp(f"{m}experts.{e}.", c["moe_intermediate_size"])
        if c.get("n_shared_experts"):
            yield from mlp(m + "shared_experts.", c["moe_intermediate_size"] * c["n_shared_experts"])
    yield ("model.norm.weight", (d,), None)
    yield lin("lm_head", c["vocab_size"], d, 1.5)


def touched(c, todo):
    """Parameters that one token's forward pass reads: top-k of the routed experts, no embedding table."""
    k, n = c["num_experts_per_tok"], c.get("num_experts") or c.get("n_routed_experts") or c["num_local_experts"]
    routed = sum(int(np.prod(s)) for name, s, _ in todo if ".experts." in name)
    rest = sum(int(np.prod(s)) for name, s, _ in todo if ".experts." not in name and "embed_tokens" not in name)
    return rest + routed * k // n


def to_bytes(x, dtype):
    if dtype == "f32":
        return x.tobytes()
    if dtype == "f16":
        return x.astype(np.float16).tobytes()
    u = x.view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16).tobytes()  # round to nearest even


def special_ids(tokenizer):
    """bos and eos ids as the tokenizer names them."""
    try:
        added = {t["content"]: t["id"] for t in json.load(open(tokenizer / "tokenizer.json"))["added_tokens"]}
        config = json.load(open(tokenizer / "tokenizer_config.json"))
    except OSError:
        return {}
    text = lambda t: t["content"] if isinstance(t, dict) else t
    return {k + "_id": added[text(config[k])] for k in ("bos_token", "eos_token") if config.get(k) and text(config[k]) in added}


def unpacked_tokenizer(name, out):
    """The repository keeps tokenizer.json compressed: unpacks it into the checkpoint's own folder, which is returned."""
    source = pathlib.Path(__file__).resolve().parents[1] / "data" / "text" / name
    subprocess.run(["zstd", "-q", "-d", "-f", source / "tokenizer.json.zst", "-o", out / "tokenizer.json"], check=True)
    shutil.copy(source / "tokenizer_config.json", out / "tokenizer_config.json")
    return out


def main():
    sizes = {p: list(tensors(c)) for p, c in PRESETS.items()}
    table = "".join(f"    {p:20} {sum(int(np.prod(s)) for _, s, _ in t) / 1e9:6.2f} B  {touched(PRESETS[p], t) / 1e9:5.2f} B\n" for p, t in sizes.items())
    ap = argparse.ArgumentParser(description=__doc__ + table, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("preset", choices=PRESETS)
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--dtype", choices=["bf16", "f16", "f32"], default="bf16")
    ap.add_argument("--shards", type=int, default=1)
    ap.add_argument("--max-layers", type=int)
    ap.add_argument("--tokenizer", type=pathlib.Path, help="folder of tokenizer.json and tokenizer_config.json; default: this repository's deepseek-llm (qwen2 for Qwen3's own vocabulary)")
    a = ap.parse_args()
    if a.shards < 1 or (a.max_layers is not None and a.max_layers < 1):
        ap.error("--shards and --max-layers must be at least 1")
    if a.tokenizer and not (a.tokenizer / "tokenizer.json").exists():
        ap.error(f"--tokenizer: no tokenizer.json in {a.tokenizer}")
    a.out.mkdir(parents=True, exist_ok=True)
    a.tokenizer = a.tokenizer or unpacked_tokenizer(TOKENIZER.get(a.preset, "deepseek-llm"), a.out)
    c = dict(PRESETS[a.preset])
    if a.max_layers:
        c["num_hidden_layers"] = min(a.max_layers, c["num_hidden_layers"])
    c["torch_dtype"] = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}[a.dtype]
    size, name = {"bf16": (2, "BF16"), "f16": (2, "F16"), "f32": (4, "F32")}[a.dtype]
    todo = list(tensors(c, PRESETS[a.preset]["num_hidden_layers"]))
    total = sum(int(np.prod(s)) for _, s, _ in todo)
    shards, part, filled = [[]], total / a.shards, 0
    for t in todo:
        if filled >= part * len(shards) and len(shards) < a.shards:
            shards.append([])
        shards[-1].append(t)
        filled += int(np.prod(t[1]))
    index, t0, written, nbytes_total = {}, time.time(), 0, 0
    for k, shard in enumerate(shards):
        file = "model.safetensors" if a.shards == 1 else f"model-{k + 1:05d}-of-{len(shards):05d}.safetensors"
        header, offset = {"__metadata__": {"format": "pt"}}, 0
        for n, s, _ in shard:
            f32 = n.endswith("e_score_correction_bias")
            nbytes = int(np.prod(s)) * (4 if f32 else size)
            header[n] = {"dtype": "F32" if f32 else name, "shape": list(s), "data_offsets": [offset, offset + nbytes]}
            offset += nbytes
            nbytes_total += nbytes
            index[n] = file
        head = json.dumps(header, separators=(",", ":")).encode()
        head += b" " * (-len(head) % 8)
        with open(a.out / file, "wb") as f:
            f.write(struct.pack("<Q", len(head)) + head)
            for n, s, std in shard:
                dtype = "f32" if n.endswith("e_score_correction_bias") else a.dtype
                if std is None:
                    f.write(to_bytes(np.ones(s, np.float32), dtype))
                    written += s[0]
                    continue
                rng = np.random.Generator(np.random.SFC64([a.seed, zlib.crc32(n.encode())]))  # one stream a tensor: cutting layers changes no other
                rows = s[0] if len(s) > 1 else 1
                step = max(1, (1 << 24) // int(np.prod(s[1:]) if len(s) > 1 else s[0]))
                for r in range(0, rows, step):
                    shape = (min(step, rows - r), *s[1:]) if len(s) > 1 else s
                    x = rng.standard_normal(shape, dtype=np.float32)
                    x *= np.float32(std)
                    f.write(to_bytes(x, dtype))
                written += int(np.prod(s))
                if sys.stderr.isatty():
                    print(f"\r{written / total:6.1%} of {total / 1e9:.2f} B parameters", end="", file=sys.stderr)
    if a.shards > 1:
        json.dump({"metadata": {"total_size": nbytes_total, "total_parameters": total}, "weight_map": index}, open(a.out / "model.safetensors.index.json", "w"), indent=1)
    special = special_ids(a.tokenizer)
    c |= special
    json.dump(c, open(a.out / "config.json", "w"), indent=2)
    json.dump({"bos_token_id": c["bos_token_id"], "eos_token_id": c["eos_token_id"], "do_sample": False}, open(a.out / "generation_config.json", "w"), indent=2)
    for n in ("tokenizer.json", "tokenizer_config.json"):
        if a.tokenizer != a.out and (a.tokenizer / n).exists():
            shutil.copy(a.tokenizer / n, a.out / n)
    print(f"{a.out}: {total / 1e9:.2f} B parameters, {touched(c, todo) / 1e9:.2f} B touched by a token, {nbytes_total / 1e9:.2f} GB in {len(shards)} file(s), {time.time() - t0:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
