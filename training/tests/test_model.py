"""Tests of the tokenizer, the chat template, the model, its optimizer. They take some seconds."""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import unittest
from itertools import islice
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from training import batches, evaluate, tokenizer
from training.balance import ExpertCounter, mean_over_max, update_biases
from training.data import generate
from training.data.sample import assistant, call_tool, tool_result, user
from training.export import as_on_disk
from training.model import build, config, gates
from training.optimizer import Optimizer, orthogonal
from training.tokenizer import ID, Encoded, encode, for_transformers, learn, render
from training.train import Budget, Run
from training.workers import OneDevice, losses

TOKENIZER = learn(1000, seed=1, samples=300)


def decode(ids: list[int]) -> str:
    return TOKENIZER.decode(ids, skip_special_tokens=False)


class Conversations(unittest.TestCase):
    def test_come_back_from_their_tokens(self) -> None:
        for sample in islice(generate("train", 3), 200):
            self.assertEqual(render(sample), decode(encode(TOKENIZER, sample).ids))

    def test_mark_what_the_assistant_says(self) -> None:
        for sample in islice(generate("train", 4), 200):
            encoded = encode(TOKENIZER, sample)
            spoken = [message for message in sample.messages if message["role"] == "assistant"]
            self.assertEqual(len(spoken), len(encoded.turns))
            for message, (begin, end) in zip(spoken, encoded.turns):
                text = decode(encoded.ids[begin:end])
                self.assertTrue(text.endswith(tokenizer.EOS))
                self.assertIn(message["content"] or message["tool_calls"][0]["function"]["arguments"], text)

    def test_are_rendered_by_transformers_in_the_same_way(self) -> None:
        theirs = for_transformers(TOKENIZER, 100)
        for sample in islice(generate("train", 5), 100):
            if not sample.thinking:
                text = theirs.apply_chat_template(sample.messages, tools=sample.tools, tokenize=False)
                self.assertEqual(render(sample), text)

    def test_begin_an_answer_with_or_without_thinking(self) -> None:
        theirs = for_transformers(TOKENIZER, 100)
        options = dict(tokenize=False, add_generation_prompt=True)
        plain = theirs.apply_chat_template([user("Hi")], **options)
        thinking = theirs.apply_chat_template([user("Hi")], thinking=True, **options)
        self.assertEqual("<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜></think>", plain)
        self.assertEqual("<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜><think>", thinking)

    def test_give_tool_calls_that_the_evaluator_reads_back(self) -> None:
        call = call_tool("weather", {"city": "Oslo"})
        messages = [user("Weather in Oslo?"), call, tool_result({"degrees": 7}), assistant("7 degrees.")]
        text = for_transformers(TOKENIZER, 100).apply_chat_template(messages, tokenize=False)
        said = text.split("</think>")[1].split("<｜tool▁output▁begin｜>")[0]
        answer = evaluate.from_text(said)
        self.assertIsNone(answer["content"])
        function = answer["tool_calls"][0]["function"]
        self.assertEqual(("weather", {"city": "Oslo"}), (function["name"], json.loads(function["arguments"])))


class GoingOn(unittest.TestCase):
    def test_from_an_exported_model_takes_its_weights_and_a_place_in_the_schedule(self) -> None:
        torch.manual_seed(3)
        exported = build("small")
        gates(exported)[2].e_score_correction_bias += torch.arange(16) / 100
        run = Run.__new__(Run)
        run.model = build("small")
        run.optimizer = Optimizer(dict(run.model.named_parameters()))
        run.budget = Budget(36e6, 12_288)
        with tempfile.TemporaryDirectory() as directory:
            as_on_disk(exported)
            exported.save_pretrained(directory)
            run.go_on_from(Path(directory), 24e6)
        for (name, wanted), got in zip(exported.state_dict().items(), run.model.state_dict().values()):
            self.assertTrue(torch.equal(wanted, got.to(wanted.dtype)), name)
        self.assertEqual(1953, run.step_count)
        self.assertEqual(24_000_000, run.tokens)
        self.assertLess(run.factor(), 0.02)  # it warms up again
        run.step_count += 100
        self.assertAlmostEqual((1 - 24 / 36) / 0.9, run.factor())


class Model(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(0)
        self.model = build("small")

    def test_fits_the_repository(self) -> None:
        self.assertLessEqual(sum(p.numel() for p in self.model.parameters()), 15.5e6)

    def test_medium_is_within_its_bound(self) -> None:
        with torch.device("meta"):
            medium = AutoModelForCausalLM.from_config(config("medium"))
        self.assertLessEqual(sum(p.numel() for p in medium.parameters()), 120e6)

    def test_computes_what_transformers_own_code_does(self) -> None:
        ids = torch.randint(20, 5000, (2, 40))
        with torch.no_grad():
            ours = self.model.float()(ids).logits
            self.model.set_attn_implementation("eager")
            self.model.set_experts_implementation("eager")
            theirs = self.model(ids).logits
        self.assertLess((ours - theirs).abs().max().item(), 1e-3)

    def test_learns(self) -> None:
        batch = batches.collate([Encoded([0, 3, *range(50, 90), 1], [(2, 43)])], random.Random(0), 0)
        engine = OneDevice(self.model, Optimizer(dict(self.model.named_parameters())))
        seen = [engine.step([batch], number, 1.0).loss for number in range(1, 9)]
        self.assertLess(seen[-1], 0.6 * seen[0])

    def test_does_not_see_padding(self) -> None:
        counter = ExpertCounter(self.model)
        one = Encoded([0, 3, 50, 51, 4, 6, 60, 1], [(6, 8)])
        alone = batches.collate([one], random.Random(0), 0)
        padded = batches.collate([one, Encoded(one.ids * 3, [])], random.Random(0), 0)
        with torch.no_grad():
            loss = losses(self.model.float(), alone, counter)[0]
            counted = counter.counts.sum().item()
            loss_padded = losses(self.model, padded, counter)[0]
        self.assertTrue(torch.allclose(loss, loss_padded, atol=1e-4))
        moe_layers = len(gates(self.model))
        self.assertEqual(2 * moe_layers * len(one.ids), counted)
        self.assertEqual(2 * moe_layers * len(one.ids) * 5, counter.counts.sum().item())

    def test_is_exported_as_deepseek_publishes_and_loads_again(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            from training.export import SCORES, check_names, write_checksums

            as_on_disk(self.model)
            self.model.save_pretrained(folder)
            for_transformers(TOKENIZER, 100).save_pretrained(folder)
            check_names(Path(folder) / "model.safetensors")
            for name in (SCORES, "README.md"):
                (Path(folder) / name).write_text("of a later hour")
            write_checksums(Path(folder))
            checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
            self.assertEqual(0, checked.returncode, checked.stdout)
            for name in ("model.safetensors: OK", "config.json: OK", "tokenizer.json: OK"):
                self.assertIn(name, checked.stdout)
            for name in (SCORES, "README.md", "SHA256SUMS"):
                self.assertNotIn(name, checked.stdout)
            again = AutoModelForCausalLM.from_pretrained(folder)
            words = AutoTokenizer.from_pretrained(folder)
        self.assertEqual(ID[tokenizer.EOS], words.eos_token_id)
        for (name, mine), (_, theirs) in zip(self.model.named_parameters(), again.named_parameters()):
            self.assertTrue(torch.equal(mine, theirs), name)


class Training(unittest.TestCase):
    def test_muon_steps_are_near_orthogonal(self) -> None:
        torch.manual_seed(0)
        for shape in ((4, 32, 64), (64, 32)):
            values = torch.linalg.svdvals(orthogonal(torch.randn(shape)).float())
            self.assertGreater(values.min().item(), 0.4)
            self.assertLess(values.max().item(), 1.4)

    def test_biases_move_towards_balance(self) -> None:
        model = build("small")
        counts = torch.full((len(gates(model)), 16), 10)
        counts[:, 3], counts[:, 5] = 30, 2
        update_biases(model, counts, 0.01)
        for gate in gates(model):
            self.assertAlmostEqual(-0.01, gate.e_score_correction_bias[3].item(), places=6)
            self.assertAlmostEqual(0.01, gate.e_score_correction_bias[5].item(), places=6)

    def test_balance_is_one_when_all_experts_have_as_much(self) -> None:
        self.assertEqual([1.0, 0.25], mean_over_max(torch.tensor([[5, 5, 5, 5], [20, 0, 0, 0]])))


if __name__ == "__main__":
    unittest.main()
