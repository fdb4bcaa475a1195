"""Tests of the synthetic data: its splits, its determinism, and that every scorer tells right from wrong."""

from __future__ import annotations

import json
import subprocess
import time
import unittest
from collections import Counter, defaultdict
from itertools import islice

from training.data import TASKS, generate, scoring
from training.data.facts import SPLITS, Facts, split_of
from training.data.sample import Sample

COUNT = 60  # samples of each task


def samples(task: str, split: str = "train", seed: int = 1) -> list[Sample]:
    return list(islice(generate(split, seed, task), COUNT))


def text_length(sample: Sample) -> int:
    return sum(len(message["content"] or "") for message in sample.messages)


class EveryTask(unittest.TestCase):
    def test_gives_full_score_to_its_own_answer(self) -> None:
        for name, task in TASKS.items():
            for sample in samples(name, "test"):
                with self.subTest(task=name, expected=sample.expected):
                    self.assertEqual(1.0, task.score(sample.expected, sample.messages[-1]))

    def test_gives_less_to_wrong_answers(self) -> None:
        wrong = [
            {"role": "assistant", "content": "I do not know that."},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": None, "tool_calls": None},
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "fly", "arguments": "{"}}]},
        ]
        for name, task in TASKS.items():
            for sample in samples(name):
                for answer in wrong:
                    with self.subTest(task=name, expected=sample.expected, answer=answer):
                        self.assertLess(task.score(sample.expected, answer), 1.0)

    def test_rarely_takes_the_answer_to_another_sample(self) -> None:
        for name, task in TASKS.items():
            drawn = samples(name)
            answers = [sample.messages[-1] for sample in drawn]
            mean = sum(task.score(s.expected, a) for s, a in zip(drawn, answers[1:] + answers[:1])) / len(drawn)
            with self.subTest(task=name):
                self.assertLess(mean, 0.6)

    def test_is_well_formed(self) -> None:
        for name, task in TASKS.items():
            for sample in samples(name):
                with self.subTest(task=name):
                    self.assertEqual((name, task.domain), (sample.task, sample.domain))
                    roles = [message["role"] for message in sample.messages]
                    self.assertEqual("assistant", roles[-1])
                    self.assertIn("user", roles)
                    self.assertNotIn("{", (sample.messages[-1]["content"] or "") if name != "invoice_fields" else "")
                    json.dumps([sample.messages, sample.expected, sample.tools])

    def test_keeps_to_its_length(self) -> None:
        for name, task in TASKS.items():
            for sample in samples(name):
                with self.subTest(task=name):
                    self.assertLessEqual(text_length(sample), task.max_chars)

    def test_comes_in_both_languages(self) -> None:
        for name in TASKS:
            with self.subTest(task=name):
                count = Counter(sample.language for sample in samples(name))
                self.assertGreater(min(count["en"], count["zh"]), COUNT // 5)

    def test_has_no_half_width_punctuation_between_chinese_characters(self) -> None:
        for name in TASKS:
            for sample in samples(name):
                for message in sample.messages:
                    with self.subTest(task=name, text=message["content"]):
                        if message["role"] != "tool":
                            self.assertNotRegex(message["content"] or "", r"[\u4e00-\u9fff][,;?!][\u4e00-\u9fff]")


class Splits(unittest.TestCase):
    def test_a_fact_of_one_split_is_in_no_other(self) -> None:
        seen: dict[str, set[str]] = defaultdict(set)
        for split in SPLITS:
            for sample in islice(generate(split, 3), 3000):
                seen[split].update(sample.facts)
        self.assertGreater(len(seen["test"]), 1000)
        for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
            self.assertFalse(seen[a] & seen[b])

    def test_hash_does_not_change_between_machines(self) -> None:
        for key in ("pair:(12, 7)", "person:'王丽'", "number:'A4821'"):
            digest = subprocess.run(["b2sum", "--length", "32"], input=key.encode(), capture_output=True, check=True)
            bucket = int.from_bytes(bytes.fromhex(digest.stdout.split()[0].decode()), "little") % 100
            expected = "train" if bucket < 90 else "validation" if bucket < 95 else "test"
            self.assertEqual(expected, split_of(key))

    def test_shares_are_90_5_5(self) -> None:
        count = Counter(split_of(f"fact {number}") for number in range(20000))
        self.assertAlmostEqual(0.90, count["train"] / 20000, delta=0.01)
        self.assertAlmostEqual(0.05, count["test"] / 20000, delta=0.01)

    def test_an_unknown_split_is_refused(self) -> None:
        with self.assertRaisesRegex(ValueError, "dev"):
            Facts("dev", None)

    def test_measured_skills_are_not_memorised(self) -> None:
        """The conversations of these tasks in the test split never occur in training."""
        for name in ("addition_subtraction", "sentiment", "order_number", "fraud_risk", "tool_call", "filing_figures"):
            trained = {json.dumps(s.messages) for s in islice(generate("train", 5, name), 3000)}
            tested = {json.dumps(s.messages) for s in islice(generate("test", 5, name), 300)}
            with self.subTest(task=name):
                self.assertFalse(trained & tested)


class Mix(unittest.TestCase):
    def test_same_seed_gives_same_samples(self) -> None:
        first, second = ([*islice(generate("train", 7), 300)] for _ in range(2))
        self.assertEqual(first, second)
        self.assertNotEqual(first, [*islice(generate("train", 8), 300)])

    def test_is_half_english_half_chinese_and_holds_every_task(self) -> None:
        drawn = [*islice(generate("train", 1), 5000)]
        languages = Counter(sample.language for sample in drawn)
        self.assertAlmostEqual(0.5, languages["zh"] / len(drawn), delta=0.05)
        self.assertEqual(set(TASKS), {sample.task for sample in drawn})

    def test_makes_two_thousand_samples_a_second(self) -> None:
        start = time.process_time()
        for _ in islice(generate("train", 1), 2000):
            pass
        self.assertLess(time.process_time() - start, 1.0)


class Scorers(unittest.TestCase):
    def test_exact_overlooks_case_space_and_width_of_punctuation(self) -> None:
        self.assertEqual(1.0, scoring.exact({"text": "不可以。谢谢！"}, {"content": " 不可以.谢谢! "}))
        self.assertEqual(1.0, scoring.exact({"texts": ["7", "seven"]}, {"content": "Seven"}))
        self.assertEqual(0.0, scoring.exact({"text": "7"}, {"content": "17"}))

    def test_contains_counts_whole_values(self) -> None:
        self.assertEqual(1.0, scoring.contains({"values": ["A12", "30 days"]}, {"content": "Order A12: 30 days."}))
        self.assertEqual(0.5, scoring.contains({"values": ["A12", "30 days"]}, {"content": "Order A123, 30 days"}))
        self.assertEqual(0.0, scoring.contains({"values": [4]}, {"content": "It is 4.5"}))
        self.assertEqual(1.0, scoring.contains({"values": ["30天"]}, {"content": "签收后30天内"}))

    def test_label_reads_the_beginning(self) -> None:
        self.assertEqual(1.0, scoring.label({"label": "high"}, {"content": "High: new device"}))
        self.assertEqual(0.0, scoring.label({"label": "high"}, {"content": "highest"}))
        self.assertEqual(0.0, scoring.label({"label": "高"}, {"content": "低：无异常"}))

    def test_verdict_reads_the_end(self) -> None:
        self.assertEqual(1.0, scoring.verdict({"label": "high"}, {"content": "Signals: large amount. Risk: High"}))
        self.assertEqual(0.0, scoring.verdict({"label": "high"}, {"content": "high"}))
        self.assertEqual(1.0, scoring.verdict({"label": "高"}, {"content": "可疑点：无。风险：高。"}))
        self.assertEqual(0.0, scoring.verdict({"label": "高"}, {"content": "可疑点：高。风险：低"}))

    def test_fields_count_exact_lines(self) -> None:
        expected = {"fields": {"Revenue": "$4.1 million", "Growth": "7%"}}
        self.assertEqual(1.0, scoring.fields(expected, {"content": "revenue: $4.1 million\nGrowth： 7%"}))
        self.assertEqual(0.5, scoring.fields(expected, {"content": "Revenue: $4.1 million\nGrowth: 17%"}))

    def test_json_fields_want_an_object(self) -> None:
        expected = {"fields": {"total": 12, "number": "A1"}}
        self.assertEqual(1.0, scoring.json_fields(expected, {"content": '{"number": "A1", "total": 12}'}))
        self.assertEqual(0.5, scoring.json_fields(expected, {"content": '{"number": "A1", "total": "12"}'}))
        self.assertEqual(0.0, scoring.json_fields(expected, {"content": "[1]"}))

    def test_tool_call_counts_half_for_the_tool_and_half_for_the_arguments(self) -> None:
        def answer(name: str, arguments: str) -> dict:
            return {"content": None, "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}

        expected = {"name": "find", "arguments": {"a": 1, "b": "x"}}
        self.assertEqual(1.0, scoring.tool_call(expected, answer("find", '{"b": "x", "a": 1}')))
        self.assertEqual(0.75, scoring.tool_call(expected, answer("find", '{"b": "y", "a": 1}')))
        self.assertEqual(0.0, scoring.tool_call(expected, answer("fund", '{"b": "x", "a": 1}')))
        self.assertEqual(0.0, scoring.tool_call(expected, answer("find", '{"b": "x", "a": 1')))
        self.assertEqual(0.0, scoring.tool_call(expected, {"content": "find"}))
        self.assertIsNone(scoring.parsed_tool_calls(answer("find", "[]")))


if __name__ == "__main__":
    unittest.main()
