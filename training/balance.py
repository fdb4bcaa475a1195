"""Balance of the experts without an auxiliary loss, as in DeepSeek-V3 (arXiv 2412.19437, section 2.1.2).

Each router adds a bias per expert to its scores when it chooses experts (not when it weighs their outputs). After every
step the bias of an expert with more tokens than the mean goes down by `speed`, that of one with fewer goes up.
"""

from __future__ import annotations

import torch
from transformers import DeepseekV3ForCausalLM

from training.model import gates


class ExpertCounter:
    """Counts the tokens that each layer's router sends to each expert: `counts`, int64 [layers, experts]."""

    def __init__(self, model: DeepseekV3ForCausalLM) -> None:
        routers = gates(model)
        self.counts = torch.zeros(len(routers), model.config.n_routed_experts, dtype=torch.int64, device=model.device)
        self.real: torch.Tensor | None = None  # bool [tokens]: which tokens of the coming forward are no padding
        for layer, gate in enumerate(routers):
            gate.register_forward_hook(self._hook(layer))

    def _hook(self, layer: int):
        def count(module: torch.nn.Module, inputs: tuple, output: tuple) -> None:
            chosen = output[2] if self.real is None else output[2][self.real]
            self.counts[layer] += torch.bincount(chosen.flatten(), minlength=self.counts.shape[1])

        return count


def update_biases(model: DeepseekV3ForCausalLM, counts: torch.Tensor, speed: float) -> None:
    for gate, tokens in zip(gates(model), counts.float()):
        gate.e_score_correction_bias += speed * torch.sign(tokens.mean() - tokens)


def mean_over_max(counts: torch.Tensor) -> list[float]:
    """Per layer: 1 when every expert has as many tokens; 1/16 when one of 16 has them all."""
    tokens = counts.double()
    return (tokens.mean(1) / tokens.max(1).values.clamp(min=1)).tolist()
