"""Muon for the matrices, AdamW for embedding, norms and routers.

Muon (Keller Jordan, https://kellerjordan.github.io/posts/muon/) takes the step of a matrix to be the orthogonal matrix
nearest to its momentum. A layer's experts are one tensor [experts, rows, columns]: each is a matrix of its own.
"""

from __future__ import annotations

import torch

from training.model import compute_type

MUON_RATE, MUON_MOMENTUM = 0.02, 0.95
ADAM_RATE, ADAM_BETAS, ADAM_EPSILON = 1.5e-3, (0.9, 0.98), 1e-10
WEIGHT_DECAY = 0.02  # per step and unit of learning rate, of matrices only


def orthogonal(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """The nearest orthogonal matrices, roughly (singular values in about 0.7 to 1.2), by Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.to(compute_type())
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Optimizer:
    """Float32 copies of parameters, and their steps."""

    def __init__(self, parameters: dict[str, torch.nn.Parameter]) -> None:
        self.parameters = {name: p.detach() for name, p in parameters.items()}
        self.master = {name: p.detach().float().clone() for name, p in parameters.items()}
        self.first = {name: torch.zeros_like(m) for name, m in self.master.items()}
        self.second = {name: torch.zeros_like(m) for name, m in self.master.items() if not self._is_matrix(name)}

    @staticmethod
    def _is_matrix(name: str) -> bool:
        return "proj" in name

    @torch.no_grad()
    def step(self, name: str, gradient: torch.Tensor, number: int, factor: float) -> None:
        """Step `number` (from 1) of one parameter; `factor` is the schedule's, between 0 and 1."""
        if self._is_matrix(name):
            self._muon(name, gradient, factor)
        else:
            self._adam(name, gradient, number, factor)
        self.parameters[name].copy_(self.master[name])

    def _muon(self, name: str, gradient: torch.Tensor, factor: float) -> None:
        momentum = self.first[name].lerp_(gradient, 1 - MUON_MOMENTUM)
        direction = gradient.lerp(momentum, MUON_MOMENTUM)
        parts = 2 if "gate_up_proj" in name else 1  # two matrices that transformers keeps in one tensor
        for w, d in zip(self.master[name].chunk(parts, -2), direction.chunk(parts, -2)):
            scale = max(1, d.shape[-2] / d.shape[-1]) ** 0.5
            w.mul_(1 - MUON_RATE * factor * WEIGHT_DECAY)
            w.add_(orthogonal(d), alpha=-MUON_RATE * factor * scale)

    def _adam(self, name: str, gradient: torch.Tensor, number: int, factor: float) -> None:
        first = self.first[name].lerp_(gradient, 1 - ADAM_BETAS[0])
        second = self.second[name].lerp_(gradient.square(), 1 - ADAM_BETAS[1])
        first_true = first / (1 - ADAM_BETAS[0] ** number)
        second_true = second / (1 - ADAM_BETAS[1] ** number)
        self.master[name].sub_(ADAM_RATE * factor * first_true / (second_true.sqrt() + ADAM_EPSILON))

    def state(self) -> dict[str, dict[str, torch.Tensor]]:
        return {"master": self.master, "first": self.first, "second": self.second}

    @torch.no_grad()
    def restore(self, state: dict[str, dict[str, torch.Tensor]]) -> None:
        for kind, tensors in self.state().items():
            for name, tensor in tensors.items():
                tensor.copy_(state[kind][name])
        for name, parameter in self.parameters.items():
            parameter.copy_(self.master[name])

    def share_memory(self) -> None:
        for tensors in (self.parameters, *self.state().values()):
            for tensor in tensors.values():
                tensor.share_memory_()
