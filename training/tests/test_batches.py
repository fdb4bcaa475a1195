"""Batches are a function of seed and number; steps are one of the batches, however many processes compute them."""

from __future__ import annotations

import random
import unittest
from unittest import mock

import numpy as np
import torch

from training import batches
from training.batches import MicroBatch, collate, drill
from training.model import build
from training.optimizer import Optimizer
from training.tokenizer import ASSISTANT, ID, Encoded, learn
from training.workers import Processes

TOKENIZER = learn(600, seed=1, samples=300)


def pool(number: int, progress: float, seed: int = 1) -> list[list[MicroBatch]]:
    return batches.pool(TOKENIZER, seed, number, progress, step_tokens=4000, micro=1000)


def same(a: list[list[MicroBatch]], b: list[list[MicroBatch]]) -> bool:
    flat_a, flat_b = [one for step in a for one in step], [one for step in b for one in step]
    return len(flat_a) == len(flat_b) and all(
        np.array_equal(x.ids, y.ids) and np.array_equal(x.targets, y.targets) and np.array_equal(x.weights, y.weights)
        for x, y in zip(flat_a, flat_b)
    )


class Pools(unittest.TestCase):
    def test_are_a_function_of_seed_and_number(self) -> None:
        first = pool(3, 0.2)
        self.assertTrue(same(first, pool(3, 0.2)))
        self.assertFalse(same(first, pool(4, 0.2)))
        self.assertFalse(same(first, pool(3, 0.2, seed=2)))

    def test_fill_their_steps_within_the_micro_batch(self) -> None:
        steps = pool(0, 0.2)
        self.assertEqual(batches.POOL_STEPS, len(steps))
        for batch in (batch for step in steps for batch in step):
            self.assertTrue(batch.ids.size <= 1000 or len(batch.ids) == 1)

    def test_have_drills_in_the_middle_and_long_samples_later(self) -> None:
        def share(progress: float) -> float:
            with mock.patch.object(batches, "drill", wraps=drill) as drills:
                steps = pool(0, progress)
            return drills.call_count / sum(len(batch.ids) for step in steps for batch in step)

        self.assertTrue(0.05 < share(0.0) < 0.3)
        self.assertEqual(1.0, share(0.415))
        self.assertTrue(0.05 < share(0.6) < 0.3)

        def longest(progress: float) -> int:
            pools = [pool(number, progress) for number in range(10)]
            return max(batch.ids.shape[1] for steps in pools for step in steps for batch in step)

        self.assertLessEqual(longest(0.34), batches.LONGEST_FIRST)
        self.assertGreater(longest(0.36), batches.LONGEST_FIRST)

    def test_weigh_the_answer(self) -> None:
        batch = collate([Encoded([0, 3, 50, 4, 6, 60, 61, 62, 1], [(5, 9)])], random.Random(0), prompt_share=0)
        self.assertEqual([5, 6, 7, 8], batch.targets.tolist())
        self.assertEqual([0.5] * 4, batch.weights.tolist())


class Drills(unittest.TestCase):
    def test_answers_stand_in_their_questions(self) -> None:
        rng = random.Random(1)
        for _ in range(200):
            one = drill(rng, 600)
            assistant = one.ids.index(ID[ASSISTANT])
            question, answer = one.ids[2:assistant], one.ids[assistant + 1 : -1]
            if one.turns[-1][1] == len(one.ids):
                self.assertEqual([(assistant + 1, len(one.ids))], one.turns)
            else:  # rows: a stop behind the last value
                self.assertEqual(len(one.ids) - 2, one.turns[-1][1])
            self.assertTrue(set(answer) - {batches.NO_VALUE} <= set(question))
            self.assertTrue(all(batches.NO_VALUE < token < 600 for token in question))

    def test_rows_differ_in_subject_and_value_alone(self) -> None:
        for seed in range(200):
            one = batches.rows(random.Random(seed), 600)
            assistant = one.ids.index(ID[ASSISTANT])
            told, asked = one.ids[2:assistant], one.ids[assistant + 1 : -1]
            self.assertEqual(len(told), len(asked))  # every row comes twice, in another order
            row_begin = assistant + 1
            for begin, end in one.turns:
                self.assertTrue(row_begin < begin < end)  # a subject before, a value after
                row = one.ids[row_begin : end + 1]  # its stop included
                self.assertTrue(any(told[at : at + len(row)] == row for at in range(len(told))))
                row_begin = end + 1

    def test_tables_have_values_and_gaps(self) -> None:
        answers = [batches.table(random.Random(seed), 600)[1] for seed in range(200)]
        gaps = sum(answer.count(batches.NO_VALUE) for answer in answers)
        self.assertTrue(200 < gaps < 600)


class Steps(unittest.TestCase):
    def test_are_the_same_bits_for_any_number_of_processes(self) -> None:
        step = pool(0, 0.0)[0]
        weights = []
        for count in (1, 3):
            torch.manual_seed(1)
            model = build("small")
            engine = Processes(model, Optimizer(dict(model.named_parameters())), "small", count)
            losses = [engine.step(step, number, 1.0).loss for number in (1, 2)]
            engine.close()
            weights.append([torch.tensor(losses), *(p.detach().clone() for p in model.parameters())])
        self.assertTrue(all(torch.equal(a, b) for a, b in zip(*weights)))


if __name__ == "__main__":
    unittest.main()
