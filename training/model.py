"""The model's sizes, and transformers' DeepseekV3 set up for fast training.

The model's code is transformers'; it lets a caller choose how attention and the experts are computed. On a CPU, in
bfloat16, attention of short sequences is faster as plain matrix products than in the fused kernel, and the experts are
faster when tokens are sorted by expert. Sequences are padded at their end and need no mask.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface, DeepseekV3Config, DeepseekV3ForCausalLM
from transformers.integrations.moe import ExpertsInterface, grouped_mm_experts_forward

from training.tokenizer import BOS, EOS, ID, PAD

CONTEXT = 4096
VOCABULARY = 5120
SIZES: dict[str, dict[str, int]] = {
    "small": dict(
        hidden_size=256, num_hidden_layers=7, intermediate_size=768, moe_intermediate_size=128, num_attention_heads=8,
        kv_lora_rank=128, qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=48,
    ),
    "medium": dict(
        hidden_size=640, num_hidden_layers=10, intermediate_size=1920, moe_intermediate_size=288,
        num_attention_heads=10, kv_lora_rank=256, qk_nope_head_dim=64, qk_rope_head_dim=32, v_head_dim=96,
    ),
}  # fmt: skip
SHORT = 512  # tokens up to which attention in bfloat16 runs as plain matrix products on a CPU


def config(size: str) -> DeepseekV3Config:
    return DeepseekV3Config(
        **SIZES[size],
        vocab_size=VOCABULARY,
        num_key_value_heads=SIZES[size]["num_attention_heads"],
        q_lora_rank=None,
        n_routed_experts=16,
        num_experts_per_tok=2,
        norm_topk_prob=True,
        routed_scaling_factor=2.0,
        n_shared_experts=2,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
        num_nextn_predict_layers=0,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=ID[BOS],
        eos_token_id=ID[EOS],
        pad_token_id=ID[PAD],
        use_cache=True,
    )


def compute_type() -> torch.dtype:
    """What training computes in: bfloat16 where the machine multiplies it, and not where it would be emulated."""
    native = torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def build(size: str) -> DeepseekV3ForCausalLM:
    """A model with fresh weights (torch's seed decides them); router biases and rotary frequencies are float32."""
    model = DeepseekV3ForCausalLM(config(size))
    frequencies = model.model.rotary_emb.inv_freq.clone()
    model = model.to(compute_type())
    model.model.rotary_emb.inv_freq = frequencies  # rounded, they would be a ninth of a turn off after 4000 positions
    for gate in gates(model):
        gate.e_score_correction_bias = gate.e_score_correction_bias.float()
    model.set_attn_implementation("causal")
    model.set_experts_implementation("sorted")
    return model


def gates(model: DeepseekV3ForCausalLM) -> list[torch.nn.Module]:
    """The routers of the layers that have experts."""
    return [layer.mlp.gate for layer in model.model.layers if hasattr(layer.mlp, "gate")]


@cache
def _causal_bias(length: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.full((length, length), float("-inf"), dtype=dtype, device=device).triu(1)


def causal_attention(
    module: torch.nn.Module,
    query: torch.Tensor,  # [batch, heads, length, width], as key and value
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **unused: Any,
) -> tuple[torch.Tensor, None]:
    batch, heads, length, width = query.shape
    if query.is_cpu and query.dtype == torch.bfloat16 and length <= SHORT:
        bias = _causal_bias(length, query.dtype, query.device).expand(batch * heads, -1, -1)
        flat = [x.reshape(batch * heads, length, -1) for x in (query, key, value)]
        scores = torch.baddbmm(bias, flat[0], flat[1].transpose(1, 2), alpha=scaling)
        output = torch.bmm(scores.softmax(-1), flat[2]).view(batch, heads, length, -1)
    else:
        output = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
    return output.transpose(1, 2).contiguous(), None


def sorted_experts(
    experts: torch.nn.Module,
    hidden: torch.Tensor,  # [tokens, hidden]
    chosen: torch.Tensor,  # int64 [tokens, top_k]
    shares: torch.Tensor,  # float32 [tokens, top_k]: factors on the chosen experts' outputs
) -> torch.Tensor:
    if not hidden.is_cpu:
        return grouped_mm_experts_forward(experts, hidden, chosen, shares)
    order = chosen.flatten().argsort()
    token = order // chosen.shape[1]
    counts = chosen.flatten().bincount(minlength=experts.num_experts).tolist()
    outputs = []
    weights = zip(experts.gate_up_proj.unbind(), experts.down_proj.unbind())
    for rows, (gate_up, down) in zip(hidden[token].split(counts), weights):
        gate, up = F.linear(rows, gate_up).chunk(2, -1)
        outputs.append(F.linear(F.silu(gate) * up, down))
    weighted = torch.cat(outputs) * shares.flatten()[order, None].to(hidden.dtype)
    return torch.zeros_like(hidden).index_add_(0, token, weighted)


ExpertsInterface.register("sorted", sorted_experts)
AttentionInterface.register("causal", causal_attention)
AttentionMaskInterface.register("causal", lambda *args, **kwargs: None)
