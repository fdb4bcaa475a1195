"""What a token costs, from a checkpoint's config: operations of a prompt's token, bytes that a decode step must read."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from make_checkpoint import tensors  # noqa: E402

BYTES = {"int8": 1.0, "bf16": 2.0, "int4": None}  # a weight's, without scales


class Work:
    def __init__(self, directory):
        c = json.loads((pathlib.Path(directory) / "config.json").read_text())
        self.experts = c.get("num_experts") or c.get("n_routed_experts") or c["num_local_experts"]
        self.top_k = c["num_experts_per_tok"]
        size = lambda keep: sum(int(shape[0]) * int(shape[1]) for name, shape, _ in tensors(c) if len(shape) == 2 and keep(name))
        self.routed = size(lambda name: ".experts." in name)
        self.head = size(lambda name: name.startswith("lm_head"))
        self.rest = size(lambda name: ".experts." not in name and "embed_tokens" not in name and not name.startswith("lm_head"))

        layers, heads = c["num_hidden_layers"], c["num_attention_heads"]
        if "kv_lora_rank" in c:
            head_width = c["qk_nope_head_dim"] + c["qk_rope_head_dim"] + c["v_head_dim"]  # expanded: the least there is to do
        else:
            head_width = 2 * (c.get("head_dim") or c["hidden_size"] // heads)
        self.attention = 2 * layers * heads * head_width  # operations of a token and a position it sees

    def token_operations(self):
        """A multiply and an add for each weight that a prompt's token meets; the last token's logits left out."""
        return 2 * (self.rest + self.routed * self.top_k / self.experts)

    def prefill_seconds(self, tokens, product, bf16):
        """Of a prompt, with products at so many operations a second, and attention at those of bfloat16."""
        return tokens * self.token_operations() / product + self.attention * tokens * (tokens + 1) / 2 / bf16

    def decode_bytes(self, sequences, weight_bytes, expert_bytes):
        """Weights that a step of so many sequences reads, at random routing; the KV of short sequences is left out."""
        distinct = 1 - (1 - self.top_k / self.experts) ** sequences
        return (self.rest + self.head) * weight_bytes + self.routed * distinct * expert_bytes

    def decode_operations(self):
        return self.token_operations() + 2 * self.head
