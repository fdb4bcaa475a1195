"""The exported model gives the same greedy answers served by Switchyard and by transformers. Skipped without either."""

from __future__ import annotations

import unittest
from itertools import islice
from pathlib import Path

from training.data import TASKS, generate
from training.evaluate import END_OF_SENTENCE, ask, from_text
from training.served import PROGRAM, served

MODEL = Path(__file__).parents[2] / "models" / "switchyard-r1-small"
TOKENS = 60


@unittest.skipUnless(PROGRAM.exists() and MODEL.exists(), "needs the built program and the trained model")
class Served(unittest.TestCase):
    def test_answers_are_those_of_transformers(self) -> None:
        # In float32, where rounding does not decide between two tokens.
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(MODEL)
        samples = [next(islice(generate("test", 2, task), 1)) for task in sorted(TASKS)]
        with served(MODEL, "--dtype", "float32") as url:
            answers = [ask(url, sample, max_tokens=TOKENS) for sample in samples]
        for sample, answer in zip(samples, answers):
            prompt = tokenizer.apply_chat_template(
                sample.messages[:-1], sample.tools, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            ids = model.generate(**prompt, max_new_tokens=TOKENS, do_sample=False)[0, prompt["input_ids"].shape[1] :]
            text = tokenizer.decode(ids, skip_special_tokens=False).removesuffix(END_OF_SENTENCE)
            calls = [{key: call[key] for key in ("type", "function")} for call in answer.get("tool_calls") or []]  # no ids
            given = {"role": answer["role"], "content": answer["content"], "tool_calls": calls or None}
            with self.subTest(task=sample.task):
                self.assertEqual(from_text(text), given)


if __name__ == "__main__":
    unittest.main()
