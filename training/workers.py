"""Training steps: on a CPU one process with one thread per core, on a GPU this process.

One thread per process is what makes the CPU fast here: a micro-batch of 2000 tokens stays in its core's cache, and no
operation waits for the slowest thread. Weights, gradient sums and the optimizer's state lie in shared memory;
micro-batches, and then parameters to update, go to whichever process is free.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from transformers import DeepseekV3ForCausalLM

from training.balance import ExpertCounter
from training.batches import MicroBatch
from training.model import build
from training.optimizer import Optimizer

Gradients = dict[str, torch.Tensor]


@dataclass
class StepResult:
    loss: float  # weighted mean over the step's targets
    counts: torch.Tensor  # int64 [layers, experts]: tokens


def losses(
    model: DeepseekV3ForCausalLM, batch: MicroBatch, counter: ExpertCounter
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy of each target, and whether the model's first choice is right."""
    ids, targets, lengths = (torch.from_numpy(x).to(model.device) for x in (batch.ids, batch.targets, batch.lengths))
    counter.real = (torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]).flatten()
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state.flatten(0, 1)
    logits = model.lm_head(hidden[targets - 1]).float()
    wanted = ids.flatten()[targets]
    return F.cross_entropy(logits, wanted, reduction="none"), logits.argmax(-1) == wanted


def weight_of(batches: list[MicroBatch]) -> float:
    return float(sum(batch.weights.sum() for batch in batches))


class Accumulator:
    """Sums gradients of micro-batches in float32."""

    def __init__(self, model: DeepseekV3ForCausalLM, sums: Gradients, counter: ExpertCounter) -> None:
        self.model, self.sums, self.counter = model, sums, counter

    def add(self, batch: MicroBatch, total_weight: float) -> float:
        weights = torch.from_numpy(batch.weights / total_weight).to(self.model.device)
        loss = (losses(self.model, batch, self.counter)[0] * weights).sum()
        loss.backward()
        for name, parameter in self.model.named_parameters():
            self.sums[name] += parameter.grad
            parameter.grad = None
        return loss.item()


def zeros(model: DeepseekV3ForCausalLM) -> Gradients:
    return {name: torch.zeros_like(p, dtype=torch.float32) for name, p in model.named_parameters()}


class OneDevice:
    """Steps computed in this process."""

    def __init__(self, model: DeepseekV3ForCausalLM, optimizer: Optimizer) -> None:
        self.counter, self.optimizer = ExpertCounter(model), optimizer
        self.work = Accumulator(model, zeros(model), self.counter)

    def step(self, batches: list[MicroBatch], number: int, factor: float) -> StepResult:
        self.counter.counts.zero_()
        loss = sum(self.work.add(batch, weight_of(batches)) for batch in batches)
        for name, total in self.work.sums.items():
            self.optimizer.step(name, total, number, factor)
            total.zero_()
        return StepResult(loss, self.counter.counts.cpu())

    def close(self) -> None:
        pass


class Processes:
    """Steps computed in one process per core."""

    def __init__(self, model: DeepseekV3ForCausalLM, optimizer: Optimizer, size: str) -> None:
        count = os.cpu_count() or 1
        context = mp.get_context("spawn")
        model.share_memory()
        optimizer.share_memory()
        sums = [{name: total.share_memory_() for name, total in zeros(model).items()} for _ in range(count)]
        self.tasks, self.results = context.SimpleQueue(), context.SimpleQueue()
        shared = (size, model.state_dict(), optimizer, sums, self.tasks, self.results)
        self.processes = [context.Process(target=_work, args=(rank, *shared), daemon=True) for rank in range(count)]
        for process in self.processes:
            process.start()
        by_size = sorted(sums[0], key=lambda name: -sums[0][name].numel())
        self.shards = [by_size[i :: 4 * count] for i in range(4 * count)]

    def step(self, batches: list[MicroBatch], number: int, factor: float) -> StepResult:
        total = weight_of(batches)
        added = self._all([(_add, batch, total) for batch in sorted(batches, key=lambda one: -one.ids.size)])
        self._all([(_update, shard, number, factor) for shard in self.shards])
        return StepResult(sum(loss for loss, _ in added), sum(torch.from_numpy(counts) for _, counts in added))

    def _all(self, tasks: list[tuple]) -> list:
        for task in tasks:
            self.tasks.put(task)
        return [self.results.get() for _ in tasks]

    def close(self) -> None:
        for _ in self.processes:
            self.tasks.put(None)


class _Worker:
    """What a process works with: the parent's weights and optimizer, and the gradient sums of all processes."""

    def __init__(self, rank: int, size: str, shared: dict, optimizer: Optimizer, sums: list[Gradients]) -> None:
        model = build(size)
        model.load_state_dict(shared, assign=True)  # the parent's tensors, not copies
        model.tie_weights()
        self.optimizer, self.sums = optimizer, sums
        self.counter = ExpertCounter(model)
        self.accumulator = Accumulator(model, sums[rank], self.counter)


def _work(rank: int, size: str, shared: dict, optimizer: Optimizer, sums: list[Gradients], tasks, results) -> None:
    """A process: runs functions from `tasks` until None, and puts what they return into `results`."""
    torch.set_num_threads(1)
    worker = _Worker(rank, size, shared, optimizer, sums)
    while (task := tasks.get()) is not None:
        function, *arguments = task
        results.put(function(worker, *arguments))


def _add(worker: _Worker, batch: MicroBatch, total_weight: float) -> tuple[float, np.ndarray]:
    worker.counter.counts.zero_()
    loss = worker.accumulator.add(batch, total_weight)
    return loss, worker.counter.counts.numpy().copy()


def _update(worker: _Worker, names: list[str], number: int, factor: float) -> None:
    for name in names:
        first, *others = [sums[name] for sums in worker.sums]
        for other in others:
            first += other
            other.zero_()
        worker.optimizer.step(name, first, number, factor)
        first.zero_()
