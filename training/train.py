"""Trains the model: python -m training.train --size small --out build/train/small [--resume]

The run ends when its budget of tokens is spent. The learning rate warms up and, from a tenth of the run on, falls to
zero; samples are conversations, long ones after a third, and drills. Every few minutes the run is saved: --resume goes on
from there, as if it had not stopped. In --out: tokenizer.json, log.csv, checkpoint.pt.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import sys
import time
from collections import defaultdict
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import DeepseekV3ForCausalLM

from training import batches
from training.balance import ExpertCounter, mean_over_max, update_biases
from training.model import CONTEXT, VOCABULARY, build
from training.optimizer import Optimizer
from training.tokenizer import learn
from training.workers import OneDevice, Processes, losses

COLUMNS = ["step", "tokens", "seconds", "loss", "rate", "balance", "validation_loss", "validation_exact"]
WARM_UP_STEPS, DECAY_FROM = 60, 0.1  # the latter is a share of the run
BIAS_SPEED = 0.005
SAVE_SECONDS, VALIDATE_SECONDS, LOG_STEPS = 300, 600, 10


@dataclass(frozen=True)
class Budget:
    tokens: float
    step_tokens: int


BUDGETS = {"small": Budget(36e6, 12_288), "medium": Budget(100e6, 32_768)}


class Data:
    """The batches of a run, made in background processes a few steps ahead."""

    def __init__(self, tokenizer: Tokenizer, seed: int, budget: Budget, micro: int, processes: int) -> None:
        self.arguments = dict(tokenizer=tokenizer, seed=seed, step_tokens=budget.step_tokens, micro=micro)
        self.share = batches.POOL_STEPS * budget.step_tokens / budget.tokens  # of the run, a pool
        self.executor = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
        self.ahead = processes + 1
        self.pools: dict[int, Future] = {}

    def step(self, number: int) -> list[batches.MicroBatch]:
        first = number // batches.POOL_STEPS
        for pool in range(first, first + self.ahead):
            if pool not in self.pools:
                self.pools[pool] = self.executor.submit(
                    batches.pool, number=pool, progress=pool * self.share, **self.arguments
                )
        self.pools.pop(first - 1, None)
        return self.pools[first].result()[number % batches.POOL_STEPS]


class Run:
    """The state of a training run, and its loop."""

    def __init__(self, size: str, out: Path, seed: int, budget: Budget) -> None:
        self.size, self.out, self.budget = size, out, budget
        self.step_count, self.tokens, self.seconds = 0, 0, 0.0
        torch.set_num_threads(1)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(seed)
        self.model: DeepseekV3ForCausalLM = build(size).to(device)
        self.optimizer = Optimizer(dict(self.model.named_parameters()))
        self.tokenizer = self._tokenizer(seed)
        on_cpu = device.type == "cpu"
        micro = 2048 if on_cpu else budget.step_tokens // 2
        self.data = Data(self.tokenizer, seed, budget, micro, 1 if on_cpu else (os.cpu_count() or 1) // 2)
        self.engine = Processes(self.model, self.optimizer, size) if on_cpu else OneDevice(self.model, self.optimizer)
        self.counter = ExpertCounter(self.model) if on_cpu else self.engine.counter
        self.validation = batches.validation(self.tokenizer, 12, CONTEXT, micro)
        self.began, self.began_tokens = self.step_count, 0  # of the weights that it started from

    def go_on_from(self, model: Path, tokens: float) -> None:
        """Starts with an exported model's weights at the place of the schedule where `tokens` have been seen."""
        weights = DeepseekV3ForCausalLM.from_pretrained(model, dtype=torch.bfloat16).state_dict()
        for name, parameter in self.model.named_parameters():
            parameter.data.copy_(weights[name])
            self.optimizer.master[name].copy_(weights[name])
        for name, buffer in self.model.named_buffers():
            if name in weights:
                buffer.copy_(weights[name])
        self.tokens = self.began_tokens = int(tokens)
        self.step_count = self.began = round(tokens / self.budget.step_tokens)

    def _tokenizer(self, seed: int) -> Tokenizer:
        path = self.out / "tokenizer.json"
        if not path.exists():
            learn(VOCABULARY, seed).save(str(path))
        return Tokenizer.from_file(str(path))

    @property
    def progress(self) -> float:
        return self.tokens / self.budget.tokens

    def factor(self) -> float:
        """Of the learning rate, 0 to 1."""
        warm = (self.step_count - self.began + 1) / WARM_UP_STEPS
        return min(1.0, warm, max(0.0, (1 - self.progress) / (1 - DECAY_FROM)))

    def train(self) -> None:
        bar = tqdm(total=100, bar_format="{l_bar}{bar}| {elapsed} {postfix}", mininterval=5)
        window = Window()
        saved = validated = time.monotonic()
        while self.progress < 1:
            began = time.monotonic()
            factor = self.factor()
            step = self.data.step(self.step_count)
            result = self.engine.step(step, self.step_count + 1, factor)
            update_biases(self.model, result.counts, BIAS_SPEED * factor)
            tokens = sum(int(batch.lengths.sum()) for batch in step)
            self.step_count, self.tokens = self.step_count + 1, self.tokens + tokens
            self.seconds += time.monotonic() - began
            window.add(tokens, time.monotonic() - began, result.loss, result.counts)
            left = max(0.0, self.budget.tokens - self.tokens) / (self.tokens - self.began_tokens) * self.seconds / 60
            bar.n = min(100, 100 * self.progress)
            bar.set_postfix_str(
                f"step {self.step_count}, {window.rate:.0f} tokens/s, loss {result.loss:.3f}, {left:.0f} min left"
            )
            if self.progress >= 1 or time.monotonic() - validated > VALIDATE_SECONDS:
                self.log(window, factor, *self.validate(bar))
                window, validated = Window(), time.monotonic()
            elif self.step_count % LOG_STEPS == 0:
                self.log(window, factor)
                window = Window()
            if self.progress >= 1 or time.monotonic() - saved > SAVE_SECONDS:
                self.save()
                saved = time.monotonic()
        bar.close()
        self.engine.close()

    def log(self, window: Window, factor: float, validation_loss: float | str = "", exact: float | str = "") -> None:
        row = [self.step_count, self.tokens, round(self.seconds, 1), window.loss, factor, window.balance]
        with (self.out / "log.csv").open("a", newline="") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(COLUMNS)
            writer.writerow([*row, validation_loss, exact])

    @torch.no_grad()
    def validate(self, bar: tqdm) -> tuple[float, float]:
        """Loss, and the share of answers that greedy decoding gives exactly, as a mean over the tasks; prints them.

        Greedy decoding gives the expected answer if each of its tokens is the first choice after those before it.
        """
        self.counter.counts.zero_()
        total, weight = 0.0, 0.0
        exact: dict[str, list[bool]] = defaultdict(list)
        for tasks, batch in self.validation:
            loss, right = losses(self.model, batch, self.counter)
            total += float((loss.cpu() * torch.from_numpy(batch.weights)).sum())
            weight += float(batch.weights.sum())
            wrong_rows = set((batch.targets[~right.cpu().numpy()] // batch.ids.shape[1]).tolist())
            for row, task in enumerate(tasks):
                exact[task].append(row not in wrong_rows)
        shares = {task: sum(hits) / len(hits) for task, hits in sorted(exact.items())}
        mean = sum(shares.values()) / len(shares)
        balance = " ".join(f"{x:.2f}" for x in mean_over_max(self.counter.counts.cpu()))
        bar.write(
            f"step {self.step_count}, {self.tokens / 1e6:.1f} M tokens, {self.seconds / 60:.0f} min: "
            f"validation loss {total / weight:.4f}, exact {mean:.1%}, experts' mean/max by layer {balance}\n  "
            + " ".join(f"{task} {share:.0%}" for task, share in shares.items())
        )
        sys.stdout.flush()
        return total / weight, mean

    def save(self) -> None:
        state = {
            "size": self.size, "step": self.step_count, "tokens": self.tokens, "seconds": self.seconds,
            "began": self.began, "began_tokens": self.began_tokens,
            "optimizer": self.optimizer.state(), "buffers": dict(self.model.named_buffers()),
        }  # fmt: skip
        partial = self.out / "checkpoint.partial"
        torch.save(state, partial)
        partial.rename(self.out / "checkpoint.pt")

    def resume(self) -> None:
        state = torch.load(self.out / "checkpoint.pt", map_location=self.model.device, weights_only=True)
        self.step_count, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
        self.began, self.began_tokens = state["began"], state["began_tokens"]
        self.optimizer.restore(state["optimizer"])
        for name, buffer in self.model.named_buffers():
            buffer.copy_(state["buffers"][name])
        log = self.out / "log.csv"
        heading, *rows = log.read_text().splitlines(keepends=True)
        log.write_text(heading + "".join(row for row in rows if int(row.split(",")[0]) <= self.step_count))


class Window:
    """Means since the last row of the log."""

    def __init__(self) -> None:
        self.tokens, self.seconds, self.losses, self.counts = 0, 1e-9, [], 0

    def add(self, tokens: int, seconds: float, loss: float, counts: torch.Tensor) -> None:
        self.tokens, self.seconds, self.counts = self.tokens + tokens, self.seconds + seconds, self.counts + counts
        self.losses.append(loss)

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds

    @property
    def loss(self) -> float:
        return round(sum(self.losses) / len(self.losses), 5) if self.losses else float("nan")

    @property
    def balance(self) -> float:
        shares = mean_over_max(self.counts) if self.losses else [float("nan")]
        return round(sum(shares) / len(shares), 4)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Trains Switchyard R1.")
    parser.add_argument("--size", choices=sorted(BUDGETS), default="small")
    parser.add_argument("--out", type=Path, required=True, help="directory of the run")
    parser.add_argument("--tokens", type=float, help="tokens to train on (default: the size's)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    parser.add_argument("--model", type=Path, help="start from an exported model, at --begin tokens of the schedule")
    parser.add_argument("--begin", type=float, default=0, help="see --model")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments.out.mkdir(parents=True, exist_ok=True)
    if not arguments.resume and (arguments.out / "checkpoint.pt").exists():
        parser.error(f"{arguments.out} holds a run: go on with --resume, or remove it")
    default = BUDGETS[arguments.size]
    budget = Budget(arguments.tokens or default.tokens, default.step_tokens)
    if arguments.model and not arguments.resume:
        shutil.copy(arguments.model / "tokenizer.json", arguments.out)
    run = Run(arguments.size, arguments.out, arguments.seed, budget)
    if arguments.model and not arguments.resume:
        run.go_on_from(arguments.model, arguments.begin)
    if arguments.resume:
        run.resume()
    run.train()


if __name__ == "__main__":
    main()
