"""Training steps: on a CPU one process with one thread per core, on a GPU this process.

One thread per process is what makes the CPU fast here: a micro-batch of 2000 tokens stays in its core's cache, and no
operation waits for the slowest thread. Weights, gradients and the optimizer's state lie in shared memory; micro-batches,
and then parameters to update, go to whichever process is free.
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
from training.model import build, compute_type
from training.optimizer import Optimizer

SLOTS = 12  # micro-batches whose gradients wait to be summed

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


def gradients(model: DeepseekV3ForCausalLM, counter: ExpertCounter, batch: MicroBatch, total_weight: float) -> float:
    """Leaves the gradients of a micro-batch's share of the loss in the parameters; returns that share."""
    weights = torch.from_numpy(batch.weights / total_weight).to(model.device)
    loss = (losses(model, batch, counter)[0] * weights).sum()
    loss.backward()
    return loss.item()


def zeros(model: DeepseekV3ForCausalLM, dtype: torch.dtype) -> Gradients:
    return {name: torch.zeros_like(p, dtype=dtype) for name, p in model.named_parameters()}


class OneDevice:
    """Steps computed in this process."""

    def __init__(self, model: DeepseekV3ForCausalLM, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self.counter, self.sums = ExpertCounter(model), zeros(model, torch.float32)

    def step(self, batches: list[MicroBatch], number: int, factor: float) -> StepResult:
        self.counter.counts.zero_()
        total, loss = weight_of(batches), 0.0
        for batch in batches:
            loss += gradients(self.model, self.counter, batch, total)
            for name, parameter in self.model.named_parameters():
                self.sums[name] += parameter.grad
                parameter.grad = None
        for name, gradient in self.sums.items():
            self.optimizer.step(name, gradient, number, factor)
            gradient.zero_()
        return StepResult(loss, self.counter.counts.cpu())

    def close(self) -> None:
        pass


class Processes:
    """Steps computed in one process per core.

    Each micro-batch has gradients of its own, which are summed in the micro-batches' order: which process computed
    which, and how many processes there are, changes nothing.
    """

    def __init__(
        self, model: DeepseekV3ForCausalLM, optimizer: Optimizer, size: str, count: int = len(os.sched_getaffinity(0))
    ) -> None:
        context = mp.get_context("spawn")
        model.share_memory()
        optimizer.share_memory()
        sums = _shared(zeros(model, torch.float32))
        slots = [_shared(zeros(model, compute_type())) for _ in range(SLOTS)]
        self.tasks, self.results = context.SimpleQueue(), context.SimpleQueue()
        shared = (size, model.state_dict(), optimizer, sums, slots, self.tasks, self.results)
        self.processes = [context.Process(target=_work, args=shared, daemon=True) for _ in range(count)]
        for process in self.processes:
            process.start()
        by_size = sorted(sums, key=lambda name: -sums[name].numel())
        self.shards = [by_size[i :: 4 * count] for i in range(4 * count)]

    def step(self, batches: list[MicroBatch], number: int, factor: float) -> StepResult:
        total = weight_of(batches)
        longest_first = sorted(batches, key=lambda one: -one.ids.size)
        added: list[tuple[float, np.ndarray]] = []
        for begin in range(0, len(batches), SLOTS):
            group = longest_first[begin : begin + SLOTS]
            added += self._all([(_gradients, slot, batch, total) for slot, batch in enumerate(group)])
            self._all([(_sum, shard, len(group)) for shard in self.shards])
        self._all([(_update, shard, number, factor) for shard in self.shards])
        return StepResult(sum(loss for loss, _ in added), sum(torch.from_numpy(counts) for _, counts in added))

    def _all(self, tasks: list[tuple]) -> list:
        """The tasks' results, in the tasks' order."""
        for number, task in enumerate(tasks):
            self.tasks.put((number, *task))
        return [result for _, result in sorted((self.results.get() for _ in tasks), key=lambda one: one[0])]

    def close(self) -> None:
        for _ in self.processes:
            self.tasks.put(None)


def _shared(tensors: Gradients) -> Gradients:
    return {name: tensor.share_memory_() for name, tensor in tensors.items()}


class _Worker:
    """What a process works with: the parent's weights and optimizer, and all gradients."""

    def __init__(self, size: str, shared: dict, optimizer: Optimizer, sums: Gradients, slots: list[Gradients]) -> None:
        self.model = build(size)
        self.model.load_state_dict(shared, assign=True)  # the parent's tensors, not copies
        self.model.tie_weights()
        self.optimizer, self.sums, self.slots = optimizer, sums, slots
        self.counter = ExpertCounter(self.model)


def _work(size: str, shared: dict, optimizer: Optimizer, sums: Gradients, slots: list[Gradients], tasks, results):
    """A process: runs functions from `tasks` until None, and puts what they return into `results`."""
    torch.set_num_threads(1)
    worker = _Worker(size, shared, optimizer, sums, slots)
    while (task := tasks.get()) is not None:
        number, function, *arguments = task
        results.put((number, function(worker, *arguments)))


def _gradients(worker: _Worker, slot: int, batch: MicroBatch, total_weight: float) -> tuple[float, np.ndarray]:
    worker.counter.counts.zero_()
    loss = gradients(worker.model, worker.counter, batch, total_weight)
    for name, parameter in worker.model.named_parameters():
        worker.slots[slot][name].copy_(parameter.grad)
        parameter.grad = None
    return loss, worker.counter.counts.numpy().copy()


def _sum(worker: _Worker, names: list[str], slots: int) -> None:
    for name in names:
        for slot in worker.slots[:slots]:
            worker.sums[name] += slot[name]


def _update(worker: _Worker, names: list[str], number: int, factor: float) -> None:
    for name in names:
        worker.optimizer.step(name, worker.sums[name], number, factor)
        worker.sums[name].zero_()
