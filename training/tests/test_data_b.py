"""Tests of the medical, legal and passage tasks: that each answer is the one right answer to what the sample shows."""

from __future__ import annotations

import random
import re
import unittest
from collections import defaultdict
from itertools import islice

from training.data import generate
from training.data.facts import Facts
from training.data.sample import LANGUAGES, Sample
from training.data.tasks.legal import risks
from training.data.tasks.legal_clauses import RISKS
from training.data.tasks.medical_words import CLASSES, DRUGS
from training.data.tasks.passage_facts import NOT_SAID
from training.data.tasks.passages import _alike

COUNT = 200
PASSAGES = ("passage_short", "passage_turns", "passage_alike", "passage_medium", "passage_long")
DRUG_NAMES = {name: drug for drug, (zh, _) in DRUGS.items() for name in (drug, zh)}


def samples(task: str, split: str = "train", count: int = COUNT) -> list[Sample]:
    return list(islice(generate(split, 11, task), count))


def prompt(sample: Sample) -> str:
    return "\n".join(message["content"] for message in sample.messages[:-1])


def answer(sample: Sample) -> str:
    return sample.messages[-1]["content"]


def is_unsaid(sample: Sample) -> bool:
    return answer(sample).endswith(NOT_SAID)


class Passages(unittest.TestCase):
    def test_the_answer_is_a_span_of_the_passage(self) -> None:
        for task in PASSAGES:
            for sample in samples(task):
                with self.subTest(task=task, answer=answer(sample)):
                    if not is_unsaid(sample):
                        self.assertIn(sample.expected["texts"][-1], prompt(sample))

    def test_about_one_question_in_eight_has_no_answer(self) -> None:
        for task in PASSAGES[:3]:
            unsaid = sum(is_unsaid(sample) for sample in samples(task, count=2000)) / 2000
            self.assertAlmostEqual(0.13, unsaid, delta=0.03)

    def test_alike_subjects_are_told_the_same_relations(self) -> None:
        rng = random.Random(1)
        for language in LANGUAGES:
            for _ in range(100):
                passage = _alike(rng, Facts("train", rng), language)
                relations = {tuple(fact.wording.answer for fact in subject.told) for subject in passage.subjects}
                self.assertEqual(1, len(relations))
                self.assertTrue(2 <= len({subject.name for subject in passage.subjects}) <= 10)

    def test_lengths_come_in_three_classes(self) -> None:
        def lengths(task: str, language: str) -> list[int]:
            return [len(prompt(sample)) for sample in samples(task) if sample.language == language]

        for language, medium, long in (("en", 900, 3300), ("zh", 350, 1600)):
            with self.subTest(language=language):
                self.assertLess(max(lengths("passage_short", language)), medium)
                self.assertGreater(min(lengths("passage_medium", language)), medium * 0.9)
                self.assertGreater(min(lengths("passage_long", language)), long)

    def test_the_facts_asked_for_lie_at_every_depth_of_a_long_passage(self) -> None:
        depths = []
        for sample in samples("passage_long"):
            value = sample.expected["texts"][-1]
            if not is_unsaid(sample) and prompt(sample).count(value) == 1:
                depths.append(prompt(sample).index(value) / len(prompt(sample)))
        for low in (0.0, 0.25, 0.5, 0.75):
            self.assertGreater(sum(low <= depth < low + 0.25 for depth in depths), len(depths) // 10)

    def test_the_passage_of_turns_stands_in_an_earlier_turn(self) -> None:
        for sample in samples("passage_turns"):
            value = sample.expected["texts"][-1]
            if not is_unsaid(sample):
                self.assertTrue(any(value in message["content"] for message in sample.messages[:-2]))

    def test_the_test_split_never_runs_out_of_subjects(self) -> None:
        self.assertEqual(COUNT, len(samples("passage_long", "test")))

    def test_passages_are_about_half_of_what_is_trained_on(self) -> None:
        size: dict[bool, float] = defaultdict(float)
        for sample in islice(generate("train", 1), 8000):
            per_token = {"en": 3.8, "zh": 1.8}[sample.language]  # characters, roughly
            texts = sum(len(message["content"] or "") for message in sample.messages) + len(str(sample.tools or ""))
            size[sample.task in PASSAGES] += texts / per_token
        self.assertTrue(0.4 < size[True] / sum(size.values()) < 0.65)


class Medical(unittest.TestCase):
    def test_record_fields_are_spans_of_the_record(self) -> None:
        for sample in samples("medical_record"):
            for value in sample.expected["fields"].values():
                self.assertIn(value.removesuffix("岁").lower(), prompt(sample).lower())

    def test_a_dose_is_the_one_behind_its_drug(self) -> None:
        for sample in samples("medical_dose"):
            dose = sample.expected["texts"][-1]
            drug = next(name for name in sorted(DRUG_NAMES, key=len, reverse=True) if name in answer(sample))
            number = re.search(r"(\d+) ?(mg|毫克)", dose).group(1)
            if sample.language == "en":
                self.assertRegex(prompt(sample), rf"{drug} {number} mg")
            else:
                self.assertRegex(prompt(sample), rf"{drug}，?每次{number}毫克")

    def test_conflicts_are_those_of_the_drug_or_its_class(self) -> None:
        seen = set()
        for sample in samples("medical_allergy"):
            text = prompt(sample)
            english = {DRUG_NAMES[name] for name in DRUG_NAMES if re.search(rf"(?<![a-z]){name}(?![a-z])", text)}
            twice = {drug for drug in english if max(text.count(drug), text.count(DRUGS[drug][0])) == 2}
            groups = [group for group, zh in CLASSES.items() if group in text or zh in text]
            by_class = {drug for drug in english if DRUGS[drug][1] in groups}
            conflicts = twice | by_class
            self.assertLessEqual(len(conflicts), 1)
            seen.add((bool(twice), bool(by_class)))
            if conflicts:
                drug = conflicts.pop()
                self.assertTrue(drug in answer(sample) or DRUGS[drug][0] in answer(sample))
            else:
                self.assertIn(answer(sample), ("No conflict.", "没有冲突。"))
        self.assertEqual({(False, False), (True, False), (False, True)}, seen)


class Legal(unittest.TestCase):
    def test_clauses_named_are_those_that_carry_the_risk(self) -> None:
        for sample in samples("contract_risks"):
            named = sample.expected["risks"]
            for number, clause in re.findall(r"^(\d)\. (.+)$", prompt(sample), re.MULTILINE):
                self.assertEqual(named.get(number), self.risk_of(clause, sample.language == "zh"), clause)

    def risk_of(self, clause: str, chinese: bool) -> str | None:
        for risk in RISKS:
            for wording in risk.risky[chinese]:
                pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(wording))
                if re.fullmatch(pattern, clause, re.IGNORECASE):
                    return risk.name[chinese]
        return None

    def test_risks_are_scored_by_the_lines_that_agree(self) -> None:
        wanted = {"risks": {"1": "no payment date", "3": "Unlimited liability"}, "clauses": 3}

        def score(text: str, expected: dict = wanted) -> float:
            return risks(expected, {"content": text})

        first = "1. Paid at will. Risk: no payment date."
        both = first + "\n2. Paid on 3 May 2024. No risk.\n3. {b} pays all. Risk: unlimited liability."
        self.assertEqual(1.0, score(both))
        self.assertEqual(0.5, score(first))
        self.assertAlmostEqual(2 / 3, score(both.replace("No risk", "Risk: automatic renewal")))
        self.assertEqual(0.0, score("No risk found."))
        self.assertEqual(1.0, score("1. 甲方付款。无风险。", {"risks": {}, "clauses": 1}))
        self.assertEqual(0.0, score("1. 甲方付款。无风险。", {"risks": {}, "clauses": 2}))
        self.assertEqual(0.0, score("1. 甲方付款。风险：无限责任。", {"risks": {}, "clauses": 1}))

    def test_contract_fields_are_spans_of_the_contract(self) -> None:
        for sample in samples("contract_fields"):
            for value in sample.expected["fields"].values():
                self.assertIn(value, prompt(sample))

    def test_all_kinds_of_clauses_occur_in_the_test_split(self) -> None:
        kinds = {sample.expected["texts"][-1] for sample in samples("clause_kind", "test", 1500)}
        self.assertEqual(20, len(kinds))


if __name__ == "__main__":
    unittest.main()
