#!/usr/bin/env python3
"""Trains a small BPE tokenizer with byte fallback in the manner of Llama 2 and writes it with vectors of the library.

    make_byte_fallback_tokenizer.py DIRECTORY

Needs the package tokenizers==0.23.3. No pre-tokenizer: whole texts are one piece. Vectors are the library's ids, decoded texts and streaming pieces.
"""
import json
import pathlib
import random
import sys

from fuzz_tokenizers import guarded, stream, text
from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

SYLLABLES = ["ka", "lo", "mi", "ter", "an", "su", "re", "dor", "vi", "el", "per", "tu", "ing", "st", "the", "Ma", "Ro", "42", "7", "ß", "é", "я", "ни", "你", "好", "。", ".", ","]


def corpus(rng):
    vocabulary = ["".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 4))) for _ in range(800)]
    for _ in range(1500):
        yield "\u2581" + "\u2581".join(rng.choice(vocabulary[: rng.choice([20, 200, 800])]) for _ in range(12))


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    special = ["<unk>", "<s>", "</s>"]
    raw = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    raw.train_from_iterator(corpus(rng), trainers.BpeTrainer(vocab_size=1500, special_tokens=special + [f"<0x{b:02X}>" for b in range(256)], max_token_length=12, show_progress=False))
    file = json.loads(raw.to_str())
    file["added_tokens"] = [token for token in file["added_tokens"] if token["content"] in special]  # the bytes are ordinary entries
    tokenizer = Tokenizer.from_str(json.dumps(file))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    (directory / "tokenizer.json").write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}) + "\n", encoding="utf-8")
    sentences = list(corpus(rng))
    with open(directory / "vectors.jsonl", "w", encoding="utf-8") as out:
        for i in range(400):
            one = text(rng) if i % 2 else sentences[i][1:].replace("\u2581", " ")
            if i < 3:
                one = ["a" * 30000, " " * 5000, "<s>".join(sentences[:3])][i]
            ids, with_special = tokenizer.encode(one, add_special_tokens=False).ids, tokenizer.encode(one).ids
            out.write(json.dumps({"text": one, "ids": ids, "ids_special": with_special, "decoded": tokenizer.decode(with_special, skip_special_tokens=False),
                                  "decoded_clean": tokenizer.decode(with_special)}) + "\n")
    written = 0
    with open(directory / "vectors_stream.jsonl", "w", encoding="utf-8") as out:
        while written < 200:
            ids = tokenizer.encode(text(rng)).ids[:60] if rng.random() < 0.7 else [rng.randrange(tokenizer.get_vocab_size()) for _ in range(rng.randint(1, 20))]
            skip = rng.random() < 0.5
            pieces = guarded(lambda: stream(tokenizer, ids, skip))
            if pieces is None:
                continue
            out.write(json.dumps({"ids": ids, "skip_special_tokens": skip, "pieces": pieces[0], "flush": pieces[1], "text": tokenizer.decode(ids, skip_special_tokens=skip)}) + "\n")
            written += 1


if __name__ == "__main__":
    main()
