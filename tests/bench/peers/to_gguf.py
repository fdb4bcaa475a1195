"""Checkpoints of make_checkpoint.py as GGUF files in bfloat16, as llama.cpp and ik_llama.cpp read them.

Names and keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and the gguf package's constants. Matrices keep their bytes;
norms, routers and biases become float32, as llama.cpp wants them.
"""
import json
import pathlib
import struct

import gguf
import numpy as np

BF16 = gguf.GGMLQuantizationType.BF16


class Safetensors:
    """The tensors of a checkpoint, as views of its files; bfloat16 as uint16."""

    def __init__(self, directory):
        self.entries = {}
        for path in sorted(directory.glob("*.safetensors")):
            with open(path, "rb") as file:
                (size,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(size))
            data = np.memmap(path, np.uint8, "r", offset=8 + size)
            header.pop("__metadata__", None)
            self.entries |= {name: (entry, data) for name, entry in header.items()}

    def __getitem__(self, name):
        entry, data = self.entries[name]
        begin, end = entry["data_offsets"]
        dtype = {"BF16": np.uint16, "F32": np.float32}[entry["dtype"]]
        return data[begin:end].view(dtype).reshape(entry["shape"])


def as_float(tensor):
    return tensor if tensor.dtype == np.float32 else (tensor.astype(np.uint32) << 16).view(np.float32)


def pairs_side_by_side(weight, heads):
    """Rows of a projection so that rotary halves (j, j + d/2) become pairs (2j, 2j + 1), which the `llama` graph rotates."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def head(c, writer):
    writer.add_block_count(c["num_hidden_layers"])
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(c["num_attention_heads"])
    writer.add_rope_freq_base(c["rope_theta"])
    writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
    writer.add_vocab_size(c["vocab_size"])
    writer.add_expert_used_count(c["num_experts_per_tok"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)


def gqa_keys(c, writer):
    writer.add_head_count_kv(c["num_key_value_heads"])
    writer.add_key_length(c["head_dim"])
    writer.add_value_length(c["head_dim"])
    writer.add_rope_dimension_count(c["head_dim"])


def stacked(t, names):
    return lambda: np.stack([t[name + ".weight"] for name in names])


def moe(t, i, experts, prefix, names):
    for to, name in names.items():
        yield f"blk.{i}.ffn_{to}_exps.weight", stacked(t, [f"{prefix}experts.{e}.{name}" for e in range(experts)])


GATE_UP_DOWN = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


def qwen3moe(c, t, writer):
    gqa_keys(c, writer)
    writer.add_expert_count(c["num_experts"])
    writer.add_expert_feed_forward_length(c["moe_intermediate_size"])
    for i in range(c["num_hidden_layers"]):
        p, b = f"model.layers.{i}.", f"blk.{i}."
        for to, name in {"attn_q": "q_proj", "attn_k": "k_proj", "attn_v": "v_proj", "attn_output": "o_proj", "attn_q_norm": "q_norm",
                         "attn_k_norm": "k_norm"}.items():
            yield f"{b}{to}.weight", t[f"{p}self_attn.{name}.weight"]
        yield b + "ffn_gate_inp.weight", t[p + "mlp.gate.weight"]
        yield from moe(t, i, c["num_experts"], p + "mlp.", GATE_UP_DOWN)


def mixtral(c, t, writer):
    gqa_keys(c, writer)
    writer.add_expert_count(c["num_local_experts"])
    heads = {"q": c["num_attention_heads"], "k": c["num_key_value_heads"]}
    for i in range(c["num_hidden_layers"]):
        p, b = f"model.layers.{i}.", f"blk.{i}."
        for to, count in heads.items():
            yield f"{b}attn_{to}.weight", pairs_side_by_side(t[f"{p}self_attn.{to}_proj.weight"], count)
        yield b + "attn_v.weight", t[p + "self_attn.v_proj.weight"]
        yield b + "attn_output.weight", t[p + "self_attn.o_proj.weight"]
        yield b + "ffn_gate_inp.weight", t[p + "block_sparse_moe.gate.weight"]
        yield from moe(t, i, c["num_local_experts"], p + "block_sparse_moe.", {"gate": "w1", "up": "w3", "down": "w2"})


def deepseek_v3(c, t, writer, kv_b_as_one):
    rank, nope, rope, v = c["kv_lora_rank"], c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"]
    if kv_b_as_one:
        writer.add_head_count_kv(c["num_attention_heads"])
        writer.add_key_length(nope + rope)
        writer.add_value_length(v)
    else:
        writer.add_head_count_kv(1)  # the latent, for all heads
        writer.add_key_length(rank + rope)
        writer.add_value_length(rank)
        writer.add_key_length_mla(nope + rope)
        writer.add_value_length_mla(v)
    writer.add_rope_dimension_count(rope)
    writer.add_q_lora_rank(c["q_lora_rank"])
    writer.add_kv_lora_rank(rank)
    writer.add_leading_dense_block_count(c["first_k_dense_replace"])
    writer.add_expert_count(c["n_routed_experts"])
    writer.add_expert_shared_count(c["n_shared_experts"])
    writer.add_expert_feed_forward_length(c["moe_intermediate_size"])
    writer.add_expert_weights_scale(c["routed_scaling_factor"])
    writer.add_expert_weights_norm(c["norm_topk_prob"])
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    writer.add_expert_group_count(c["n_group"])
    writer.add_expert_group_used_count(c["topk_group"])
    for i in range(c["num_hidden_layers"]):
        p, b = f"model.layers.{i}.", f"blk.{i}."
        for to, name in {"attn_q_a": "q_a_proj", "attn_q_a_norm": "q_a_layernorm", "attn_q_b": "q_b_proj", "attn_kv_a_mqa": "kv_a_proj_with_mqa",
                         "attn_kv_a_norm": "kv_a_layernorm", "attn_output": "o_proj"}.items():
            yield f"{b}{to}.weight", t[f"{p}self_attn.{name}.weight"]
        kv_b = t[p + "self_attn.kv_b_proj.weight"]
        if kv_b_as_one:
            yield b + "attn_kv_b.weight", kv_b
        else:
            expanded = kv_b.reshape(c["num_attention_heads"], nope + v, rank)
            yield b + "attn_k_b.weight", np.ascontiguousarray(expanded[:, :nope].swapaxes(1, 2))
            yield b + "attn_v_b.weight", np.ascontiguousarray(expanded[:, nope:])
        if i < c["first_k_dense_replace"]:
            for to, name in GATE_UP_DOWN.items():
                yield f"{b}ffn_{to}.weight", t[f"{p}mlp.{name}.weight"]
            continue
        yield b + "ffn_gate_inp.weight", t[p + "mlp.gate.weight"]
        yield b + "exp_probs_b.bias", t[p + "mlp.gate.e_score_correction_bias"]
        for to, name in GATE_UP_DOWN.items():
            yield f"{b}ffn_{to}_shexp.weight", t[f"{p}mlp.shared_experts.{name}.weight"]
        yield from moe(t, i, c["n_routed_experts"], p + "mlp.", GATE_UP_DOWN)


ARCHITECTURES = {"qwen3_moe": ("qwen3moe", qwen3moe), "mixtral": ("llama", mixtral), "deepseek_v3": ("deepseek2", deepseek_v3)}


def tokenizer(directory, size, writer):
    source = json.loads((directory / "tokenizer.json").read_text())
    ids = dict(source["model"]["vocab"]) | {one["content"]: one["id"] for one in source["added_tokens"]}
    added = {one["id"] for one in source["added_tokens"]}
    texts = [f"[PAD{i}]" for i in range(size)]
    kinds = [gguf.TokenType.UNUSED] * size
    for text, token in ids.items():
        texts[token], kinds[token] = text, gguf.TokenType.CONTROL if token in added else gguf.TokenType.NORMAL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("deepseek-llm")
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in source["model"]["merges"]])


def convert(directory, output, kv_b_as_one=False):
    """`kv_b_as_one`: latent attention as GGUF had it before llama.cpp absorbed it; ik_llama.cpp reads the newer form of DeepSeek's own sizes only."""
    directory, output = pathlib.Path(directory), pathlib.Path(output)
    c = json.loads((directory / "config.json").read_text())
    name, layers = ARCHITECTURES[c["model_type"]]
    t = Safetensors(directory)
    partial = output.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, name)
    head(c, writer)
    tokenizer(directory, c["vocab_size"], writer)
    writer.add_bos_token_id(c["bos_token_id"])
    writer.add_eos_token_id(c["eos_token_id"])
    tensors = [("token_embd.weight", t["model.embed_tokens.weight"]), ("output_norm.weight", t["model.norm.weight"]),
               ("output.weight", t["lm_head.weight"])]
    for i in range(c["num_hidden_layers"]):
        for to, source in {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}.items():
            tensors.append((f"blk.{i}.{to}.weight", t[f"model.layers.{i}.{source}.weight"]))
    tensors += layers(c, t, writer, kv_b_as_one) if layers is deepseek_v3 else layers(c, t, writer)

    def ready(name, tensor):
        tensor = tensor() if callable(tensor) else tensor
        if tensor.ndim == 1 or "ffn_gate_inp" in name:
            return np.ascontiguousarray(as_float(tensor)), None
        return np.ascontiguousarray(tensor).view(np.uint8), BF16

    for name, tensor in tensors:
        data, kind = ready(name, tensor)
        writer.add_tensor_info(name, data.shape, data.dtype, data.nbytes, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, tensor in tensors:
        writer.write_tensor_data(ready(name, tensor)[0])
    writer.close()
    partial.rename(output)
