"""The tokenizer: byte-level BPE learned from the training data, its special tokens, and conversations as token ids.

Digits and Chinese characters are tokens of their own, and a word takes no neighbouring punctuation: a name or number
is then written with the same tokens in a question and in its answer, which is what a small model needs to copy it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.data import generate
from training.data.sample import Sample

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"
THINK, END_THINK = "<think>", "</think>"
CALLS_BEGIN, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL_BEGIN, CALL_SEPARATOR, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
OUTPUT_BEGIN, OUTPUT_END = "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"
TOOLS = [CALLS_BEGIN, CALL_BEGIN, CALL_SEPARATOR, CALL_END, CALLS_END, OUTPUT_BEGIN, OUTPUT_END]
SPECIALS = [BOS, EOS, PAD, USER, ASSISTANT, THINK, END_THINK, *TOOLS]
ID = {token: i for i, token in enumerate(SPECIALS)}

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
WORDS = r"[一-鿿]|\p{N}| ?[^\s\p{N}\p{P}\p{S}一-鿿]+| ?[\p{P}\p{S}]+|\s+(?!\S)|\s+"


def learn(vocab_size: int, seed: int, samples: int = 30_000) -> Tokenizer:
    """BPE merges of the training split's text. Special tokens come first: their ids are those of `ID`."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(WORDS), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIALS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (plain_text(sample) for sample in islice(generate("train", seed), samples))
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def plain_text(sample: Sample) -> str:
    """The conversation without its special tokens, for learning merges."""
    text = render(sample)
    for token in SPECIALS:
        text = text.replace(token, "\n")
    return text


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def render(sample: Sample) -> str:
    """The whole conversation as the chat template writes it."""
    messages: list[dict[str, Any]] = list(sample.messages)
    if sample.thinking:
        messages[-1] = {**messages[-1], "reasoning_content": sample.thinking}
    return _template().render(messages=messages, tools=sample.tools, bos_token=BOS, eos_token=EOS)


@dataclass(frozen=True)
class Encoded:
    """A conversation in tokens, and which of them the assistant says (turn -1 is the last turn)."""

    ids: list[int]
    turns: list[tuple[int, int]]  # [begin, end) of what the assistant says, its end of sentence included


def encode(tokenizer: Tokenizer, sample: Sample) -> Encoded:
    ids = tokenizer.encode(render(sample), add_special_tokens=False).ids
    turns = []
    for i, token in enumerate(ids):
        if token == ID[ASSISTANT]:
            begin = i + 2  # the prompt ends with <think> or </think>
        elif token == ID[EOS]:
            turns.append((begin, i + 1))
    return Encoded(ids, turns)


def for_transformers(tokenizer: Tokenizer, max_length: int) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers saves and loads it, chat template included."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
        chat_template=TEMPLATE.read_text(encoding="utf-8"),
    )
