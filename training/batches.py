"""Training batches: a function of seed and number alone, so that a run that was stopped goes on as if it had not been.

Samples of a pool of several steps are sorted by length and cut into micro-batches of like lengths, so that little is
padding; the micro-batches are then dealt to the steps at random.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import islice

import numpy as np
from tokenizers import Tokenizer

from training.data import TASKS, generate
from training.model import CONTEXT
from training.tokenizer import ASSISTANT, BOS, EOS, ID, PAD, SPECIALS, USER, Encoded, encode

POOL_STEPS = 4
LONGEST_FIRST, LONG_FROM = 512, 0.35  # tokens of a sample until long ones join, and at what share of the run
# Share of drills among the samples at shares of the run, linear between them: a phase of nothing else in the middle.
DRILLS = [0.39, 0.4, 0.43, 0.44], [0.2, 1.0, 1.0, 0.2]
LONGEST_LOOKUP = 6  # the power of two of pairs in a drill
TABLE_SHARE, ROWS_SHARE = 0.3, 0.4  # of the drills
NO_VALUE = len(SPECIALS)  # the token that a table's answer has where there is no value
PROMPT_SHARE, PROMPT_WEIGHT = 0.1, 0.1  # a prompt's tokens are learned too, a little: some of them, with this weight


@dataclass
class MicroBatch:
    ids: np.ndarray  # int64 [sequences, length], padded at the end
    targets: np.ndarray  # int64 [n]: flat positions in ids of tokens to predict, each from the one before it
    weights: np.ndarray  # float32 [n]: their share in the loss
    lengths: np.ndarray  # int64 [sequences]


def pool(
    tokenizer: Tokenizer, seed: int, number: int, progress: float, step_tokens: int, micro: int
) -> list[list[MicroBatch]]:
    """The micro-batches of steps POOL_STEPS * number and following, at this share of the run."""
    longest = LONGEST_FIRST if progress < LONG_FROM else CONTEXT
    drills = float(np.interp(progress, *DRILLS))
    rng = random.Random(f"{seed}/{number}")
    samples: list[Encoded] = []
    tokens = 0
    for sample in generate("train", rng.randrange(2**60)):
        encoded = drill(rng, tokenizer.get_vocab_size()) if rng.random() < drills else encode(tokenizer, sample)
        if len(encoded.ids) <= longest:
            samples.append(encoded)
            tokens += len(encoded.ids)
            if tokens >= POOL_STEPS * step_tokens:
                break
    samples.sort(key=lambda one: len(one.ids))
    batches = [collate(group, rng) for group in cut(samples, micro)]
    rng.shuffle(batches)
    return [batches[step::POOL_STEPS] for step in range(POOL_STEPS)]


def drill(rng: random.Random, vocabulary: int) -> Encoded:
    """Random tokens to copy, pairs of them of which some are wanted, or a table to look up.

    A token here says nothing but where else it stood: what an answer that quotes its prompt needs to find. On
    conversations alone a model learns which tokens are likely instead, and copies late.
    """

    def tokens(low: int, high: int) -> list[int]:
        return [rng.randrange(len(SPECIALS) + 1, vocabulary) for _ in range(rng.randint(low, high))]

    which = rng.random()
    if which < ROWS_SHARE:
        return rows(rng, vocabulary)
    if which < ROWS_SHARE + TABLE_SHARE:
        question, answer = table(rng, vocabulary)
    elif which < (1 + ROWS_SHARE + TABLE_SHARE) / 2:
        question = answer = tokens(2, 40)
    else:
        pairs = [(tokens(1, 2), tokens(1, 3)) for _ in range(round(2 ** rng.uniform(1, LONGEST_LOOKUP)))]
        asked = rng.sample(pairs, rng.randint(1, min(8, len(pairs))))
        question = [token for key, value in pairs for token in key + value]
        answer = [token for key, value in asked for token in key + value]
    ids = [ID[BOS], ID[USER], *question, ID[ASSISTANT], *answer, ID[EOS]]
    return Encoded(ids, [(len(ids) - 1 - len(answer), len(ids))])


def names(rng: random.Random, parts: list[int], count: int, most: int) -> list[tuple[int, ...]]:
    """Up to `count` different names of about the same length, at most `most` tokens, that share their tokens."""
    width = rng.randint(1, most)
    drawn = (tuple(rng.choices(parts, k=rng.randint(max(1, width - 1), width))) for _ in range(count))
    return list(dict.fromkeys(drawn))


def rows(rng: random.Random, vocabulary: int) -> Encoded:
    """Rows that differ in subject and value alone, then all again in another order: the values are learned.

    What stands between a subject and its value is the same in all rows: none to four tokens.
    """

    def token() -> int:
        return rng.randrange(NO_VALUE + 1, vocabulary)

    parts = [token() for _ in range(rng.randint(6, 24))]
    subjects = names(rng, parts, rng.randint(2, 12), 4)
    before, between = [token() for _ in range(rng.randint(0, 3))], [token() for _ in range(rng.randint(0, 4))]
    stop = token()
    lines = {subject: [token() for _ in range(rng.randint(1, 3))] for subject in subjects}
    ids = [ID[BOS], ID[USER]]
    for subject in subjects:
        ids += [*before, *subject, *between, *lines[subject], stop]
    ids.append(ID[ASSISTANT])
    turns = []
    for subject in rng.sample(subjects, len(subjects)):
        ids += [*before, *subject, *between]
        turns.append((len(ids), len(ids) + len(lines[subject])))
        ids += [*lines[subject], stop]
    return Encoded([*ids, ID[EOS]], turns)


def table(rng: random.Random, vocabulary: int) -> tuple[list[int], list[int]]:
    """Subjects and relations that share their tokens, each with a value or none; then questions, and their answers.

    As in a passage, a value is found by its subject and its relation both: neither alone decides, nor does one token of
    a name. Where the table has no value, the answer says NO_VALUE.
    """
    parts = [rng.randrange(NO_VALUE + 1, vocabulary) for _ in range(rng.randint(6, 16))]
    subjects, relations = names(rng, parts, rng.randint(2, 10), 4), names(rng, parts, rng.randint(2, 6), 2)
    cells = [(subject, relation) for subject in subjects for relation in relations]
    told = {cell for cell in cells if rng.random() < 0.6}
    order = [cell for cell in cells if cell in told]
    if rng.random() < 0.5:
        rng.shuffle(order)
    relation_first = {relation for relation in relations if rng.random() < 0.3}
    stop = rng.choice(parts)
    values: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
    question: list[int] = []
    for subject, relation in order:
        value = [rng.randrange(NO_VALUE + 1, vocabulary) for _ in range(rng.randint(1, 3))]
        values[subject, relation] = value
        question += [*relation, *subject] if relation in relation_first else [*subject, *relation]
        question += [*value, stop]
    answer: list[int] = []
    for cell in rng.sample(cells, min(len(cells), rng.randint(1, 8))):
        subject, relation = cell
        question += [stop, *subject, *relation]
        answer += [*subject, *relation, *values.get(cell, [NO_VALUE]), stop]
    return question, answer


def cut(samples: list[Encoded], micro: int) -> list[list[Encoded]]:
    """Groups of at most `micro` tokens, padding included, of samples sorted by length."""
    groups: list[list[Encoded]] = [[]]
    for sample in samples:
        if groups[-1] and (len(groups[-1]) + 1) * len(sample.ids) > micro:
            groups.append([])
        groups[-1].append(sample)
    return groups


def collate(group: list[Encoded], rng: random.Random, prompt_share: float = PROMPT_SHARE) -> MicroBatch:
    length = max(len(one.ids) for one in group)
    ids = np.full((len(group), length), ID[PAD], dtype=np.int64)
    weights = np.zeros((len(group), length), dtype=np.float32)
    for row, one in enumerate(group):
        end = len(one.ids)
        ids[row, :end] = one.ids
        weights[row, 1:end] = [PROMPT_WEIGHT * (rng.random() < prompt_share) for _ in range(end - 1)]
        for begin, end in one.turns:
            # A turn's weight grows with the root of its length: one word that decides counts beside a long record.
            weights[row, begin:end] = (end - begin) ** -0.5
    flat = weights.reshape(-1)
    targets = flat.nonzero()[0]
    return MicroBatch(ids, targets, flat[targets], np.array([len(one.ids) for one in group]))


def validation(tokenizer: Tokenizer, per_task: int, longest: int, micro: int) -> list[tuple[list[str], MicroBatch]]:
    """The same samples at every call: `per_task` of each task, with the task's name; only the last turn has weight."""
    samples: list[tuple[str, Encoded]] = []
    for task in TASKS:
        for sample in islice(generate("validation", 1, task), per_task):
            one = encode(tokenizer, sample)
            if len(one.ids) <= longest:
                samples.append((task, Encoded(one.ids, one.turns[-1:])))
    samples.sort(key=lambda pair: len(pair[1].ids))
    names = iter([task for task, _ in samples])
    groups = cut([one for _, one in samples], micro)
    return [(list(islice(names, len(group))), collate(group, random.Random(0), prompt_share=0)) for group in groups]
