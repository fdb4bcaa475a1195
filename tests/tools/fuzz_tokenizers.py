#!/usr/bin/env python3
"""Compares `switchyard tokenize` with Hugging Face's `tokenizers` on random tokenizer.json files and nasty texts.

    fuzz_tokenizers.py [--seed N] [--count N] [--texts N] [--keep FILE] [--charsmap FILE]

Needs the package tokenizers==0.23.3. Each configuration draws a model, a normalizer, a pre-tokenizer, a post-processor, a decoder and
added tokens with odd options; ids, decoded text and the streaming pieces must be the library's. A configuration that the library
refuses, or in which it panics, is skipped and counted. Prints each difference with its seed, exits 1 if there was one. --keep writes
one JSON line a configuration without a difference, {"tokenizer", "cases"}: the library's answers, for tests/data/text/configurations.jsonl.zst.
"""
import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHARSMAP = ""  # of SentencePiece; Precompiled is drawn where --charsmap names a file that has one
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
PATTERNS = [
    r"\s+", r"\d", r"\p{L}+", r"[^\s\p{L}\p{N}]+", r"a*", r"(?=b)", r" ?\p{L}+| ?\p{N}+|\s+(?!\S)|\s+", r"\w+|[^\w\s]+", r"$", r"^", r"\b",
    r"(?i:'s|'t|'re)|\p{N}{1,3}", r"[\r\n]", r"\p{Lu}", r".", r"\P{L}", r"[a-c]{2}", r"\s*[\r\n]+", r"x{1,2}+", r"[^\S\n]+",
    r"[a[bc]]+", r"[\p{L}&&[^\p{Han}]]+", r"[^a-c&&\w]", r"[[:alpha:]]+", r"[\W\d]+", r"[^\P{L}x]+", r"[[:punct:]]", r"\B", r"(?<=a)b?", r"[^[:^alnum:]a]+",
]
ALPHABET = list("abcdefgh") + list(" ABCD.,!?'-_/0123459") + ["\n", "\t", "\r\n", "▁", "é", "e\u0301", "ß", "İ", "ſ", "Σ", "я", "你", "好", "日", "한", "ᄒ", "ᅡ", "ᆫ",
    "½", "Ⅷ", "²", "①", "ﬁ", "Å", "\u212b", "\u0323", "\u0307", "\u200d", "\u200b", "\u00a0", "\u3000", "\u0085", "\u2028", "\ufeff", "\ufffd", "\x00", "\x01", "\x7f", "\u00ad",
    "😀", "👩\u200d👩", "🇩🇪", "\U00011938", "\U0001f16c", "\ua7dc", "ｱ", "か\u3099", "〜", "«", "\u066d", "\u1734", "ก", "ำ", "\u0e33", "ॐ", "क\u094d", "Ġ", "ā", "<0x41>", "<s>", "</s>", " <s> ", "<mask>", "[X]", "##", "don't", " do not", " n't", "tok", "TOK"]


def text(rng):
    kind = rng.random()
    if kind < 0.03:
        return ""
    if kind < 0.06:
        return rng.choice(ALPHABET) * rng.randint(1, 150)
    out = []
    for _ in range(rng.randint(1, rng.choice([3, 8, 30]))):
        r = rng.random()
        if r < 0.85:
            out.append(rng.choice(ALPHABET))
        elif r < 0.9:
            out.append(" " * rng.randint(1, 4))
        else:
            c = rng.choice([rng.randint(0, 0x7FF), rng.randint(0x800, 0xFFFF), rng.randint(0x10000, 0x1FFFF), rng.randint(0xE0000, 0x10FFFF)])
            out.append("" if 0xD800 <= c <= 0xDFFF else chr(c))
    return "".join(out)


def pattern(rng):
    return {"Regex": rng.choice(PATTERNS)} if rng.random() < 0.6 else {"String": rng.choice([" ", "a", "▁", "ab", "::", ".", "aa", "\n"])}


def normalizer(rng, depth=0):
    kinds = ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip", "StripAccents", "Replace", "Prepend", "BertNormalizer", "Nmt", "ByteLevel"] + (["Precompiled"] if CHARSMAP else [])
    kind = rng.choice(kinds + (["Sequence"] * 4 if depth < 2 else []))
    flag = lambda: rng.random() < 0.5
    if kind == "Sequence":
        return {"type": kind, "normalizers": [normalizer(rng, depth + 1) for _ in range(rng.randint(0, 3))]}
    if kind == "Strip":
        return {"type": kind, "strip_left": flag(), "strip_right": flag()}
    if kind == "Replace":
        return {"type": kind, "pattern": pattern(rng), "content": rng.choice(["", "▁", " ", "xy"])}
    if kind == "Prepend":
        return {"type": kind, "prepend": rng.choice(["▁", " ", "ab "])}  # an empty one breaks the library's alignments
    if kind == "BertNormalizer":
        return {"type": kind, "clean_text": flag(), "handle_chinese_chars": flag(), "strip_accents": rng.choice([None, True, False]), "lowercase": flag()}
    if kind == "Precompiled":
        return {"type": kind, "precompiled_charsmap": CHARSMAP}
    return {"type": kind}


def pre_tokenizer(rng, depth=0):
    kinds = ["BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "FixedLength", "Metaspace", "Punctuation", "Split", "Split", "Whitespace", "WhitespaceSplit"]
    kind = rng.choice(kinds + (["Sequence"] * 4 if depth < 2 else []))
    flag = lambda: rng.random() < 0.5
    if kind == "Sequence":
        return {"type": kind, "pretokenizers": [pre_tokenizer(rng, depth + 1) for _ in range(rng.randint(0, 3))]}
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": flag(), "trim_offsets": flag(), "use_regex": flag()}
    if kind == "CharDelimiterSplit":
        return {"type": kind, "delimiter": rng.choice([" ", "a", "▁", "."])}
    if kind == "Digits":
        return {"type": kind, "individual_digits": flag()}
    if kind == "FixedLength":
        return {"type": kind, "length": rng.randint(1, 6)}
    if kind == "Metaspace":
        return {"type": kind, "replacement": rng.choice("▁▁▁_"), "prepend_scheme": rng.choice(["always", "first", "never"]), "split": flag()}
    if kind == "Punctuation":
        return {"type": kind, "behavior": rng.choice(BEHAVIORS)}
    if kind == "Split":
        return {"type": kind, "pattern": pattern(rng), "behavior": rng.choice(BEHAVIORS), "invert": flag()}
    return {"type": kind}


def decoder(rng, depth=0):
    kinds = ["BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Strip", "WordPiece"]
    kind = rng.choice(kinds + (["Sequence"] * 6 if depth < 2 else []))
    flag = lambda: rng.random() < 0.5
    if kind == "Sequence":
        return {"type": kind, "decoders": [decoder(rng, depth + 1) for _ in range(rng.randint(0, 4))]}
    if kind == "BPEDecoder":
        return {"type": kind, "suffix": rng.choice(["</w>", "a", "▁"])}
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    if kind == "CTC":
        return {"type": kind, "pad_token": rng.choice(["<s>", "a"]), "word_delimiter_token": rng.choice(["|", "b", "▁"]), "cleanup": flag()}
    if kind == "Metaspace":
        return {"type": kind, "replacement": rng.choice("▁▁▁_"), "prepend_scheme": rng.choice(["always", "first", "never"]), "split": flag()}
    if kind == "Replace":
        return {"type": kind, "pattern": pattern(rng), "content": rng.choice(["", " ", "▁", "xy"])}
    if kind == "Strip":
        # The library panics where a token is shorter than "stop" takes.
        return {"type": kind, "content": rng.choice(" ▁a"), "start": rng.randint(0, 2), "stop": rng.choice([0, 0, 1])}
    if kind == "WordPiece":
        return {"type": kind, "prefix": rng.choice(["##", "▁", "a"]), "cleanup": flag()}
    return {"type": kind}


def post_processor(rng, names, depth=0):
    kind = rng.choice(["BertProcessing", "RobertaProcessing", "TemplateProcessing", "ByteLevel"] + (["Sequence"] if depth == 0 else []))
    if kind == "Sequence":
        return {"type": kind, "processors": [post_processor(rng, names, depth + 1) for _ in range(rng.randint(0, 2))]}
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    if kind == "TemplateProcessing":
        special = lambda: {"SpecialToken": {"id": rng.choice(["<s>", "two"]), "type_id": 0}}
        sequence = lambda name: {"Sequence": {"id": name, "type_id": 0}}
        single = [special() for _ in range(rng.randint(0, 2))] + [sequence("A")] * rng.choice([1, 1, 1, 2]) + [special() for _ in range(rng.randint(0, 2))]
        return {"type": kind, "single": single, "pair": [sequence("A"), special(), sequence("B")],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}, "two": {"id": "two", "ids": [2, 3], "tokens": ["a", "b"]}}}
    out = {"type": kind, "sep": ["</s>", 2], "cls": ["<s>", 1]}
    return out | {"trim_offsets": True, "add_prefix_space": False} if kind == "RobertaProcessing" else out


def byte_characters():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(0x100 + i) for i, b in enumerate(others)}


def bpe(rng):
    alphabet = [c for c in ALPHABET if len(c) == 1 and rng.random() < 0.8]
    if rng.random() < 0.5:
        alphabet = list(byte_characters().values())
    prefix, suffix = rng.choice([("", ""), ("", ""), ("", ""), ("##", ""), ("", "</w>")])
    tokens = ["<unk>", "<s>", "</s>"] + [p + c + s for c in alphabet for p in dict.fromkeys(["", prefix]) for s in dict.fromkeys(["", suffix])]
    tokens = list(dict.fromkeys(tokens))
    if rng.random() < 0.5:
        tokens += [f"<0x{b:02X}>" for b in range(256) if rng.random() < 0.98]
    merges = []
    if alphabet:
        for _ in range(rng.randint(0, 300)):
            left, right = rng.choice(tokens[3:]), rng.choice(tokens[3:])
            if (prefix and not right.startswith(prefix)) or (suffix and left.endswith(suffix)):
                continue
            joined = left + right[len(prefix):]
            if len(joined) > 12:
                continue
            if joined not in tokens:
                tokens.append(joined)
            if [left, right] not in merges:
                merges.append([left, right])
    flag = lambda: rng.random() < 0.5
    return {"type": "BPE", "dropout": None, "unk_token": rng.choice([None, "<unk>"]), "continuing_subword_prefix": prefix or None, "end_of_word_suffix": suffix or None,
            "fuse_unk": flag(), "byte_fallback": flag(), "ignore_merges": flag(), "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges}


def words(rng, count):
    pool = [c for c in ALPHABET if rng.random() < 0.9]
    return ["".join(rng.choice(pool) for _ in range(rng.randint(1, 4))) for _ in range(count)]


def unigram(rng):
    tokens = ["<unk>", "<s>", "</s>"] + [c for c in ALPHABET if rng.random() < 0.7] + words(rng, 150) + ["▁" + w for w in words(rng, 50)]
    if rng.random() < 0.5:
        tokens += [f"<0x{b:02X}>" for b in range(256) if rng.random() < 0.98]
    tokens = list(dict.fromkeys(tokens))
    return {"type": "Unigram", "unk_id": 0, "byte_fallback": rng.random() < 0.5, "vocab": [[t, 0.0 if i < 3 else -rng.choice([1, 2, 2.5, rng.random() * 10])] for i, t in enumerate(tokens)]}


def word_piece(rng):
    prefix = rng.choice(["##", "##", "", "▁"])
    tokens = ["[UNK]", "<s>", "</s>"] + [c for c in ALPHABET if rng.random() < 0.8] + [prefix + c for c in ALPHABET if rng.random() < 0.8] + words(rng, 100) + [prefix + w for w in words(rng, 100)]
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": prefix, "max_input_chars_per_word": rng.choice([100, 100, 5, 0]),
            "vocab": {t: i for i, t in enumerate(dict.fromkeys(tokens))}}


def word_level(rng):
    tokens = ["<unk>", "<s>", "</s>"] + ALPHABET + words(rng, 100)
    return {"type": "WordLevel", "unk_token": "<unk>", "vocab": {t: i for i, t in enumerate(dict.fromkeys(tokens))}}


def added_tokens(rng):
    contents = rng.sample(["<s>", "</s>", "<mask>", "[X]", "tok", "TOK", " x", "é", "日", "a", "ab", "<0x41>", "<s>a"], rng.randint(0, 6))
    flag = lambda p: rng.random() < p
    return [{"id": 0, "content": c, "single_word": flag(0.3), "lstrip": flag(0.3), "rstrip": flag(0.3), "normalized": flag(0.5), "special": flag(0.5)} for c in contents]


def configuration(rng):
    maybe = lambda p, value: value if rng.random() < p else None
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens(rng), "normalizer": maybe(0.7, normalizer(rng)),
            "pre_tokenizer": maybe(0.8, pre_tokenizer(rng)), "post_processor": maybe(0.4, post_processor(rng, None)), "decoder": maybe(0.85, decoder(rng)),
            "model": rng.choice([bpe, bpe, unigram, word_piece, word_level])(rng)}


def guarded(call):
    """The library's answer, or None where it fails or panics."""
    try:
        return call()
    except BaseException as error:  # a panic is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def ambiguous(config, tokenizer):
    """Whether two added tokens look the same once normalised: which one is found is a matter of the library's hashes."""
    forms = [token["content"] for token in config["added_tokens"] if token["normalized"]]
    if tokenizer.normalizer is not None:
        forms = [guarded(lambda: tokenizer.normalizer.normalize_str(form)) for form in forms]
    return len(set(forms)) < len(forms) or None in forms


def stream(tokenizer, ids, skip):
    """(pieces, flush) by the definition, or None where a later token takes back what was given out."""
    sent, pieces, whole = "", [], ""
    for k in range(len(ids)):
        whole = tokenizer.decode(ids[: k + 1], skip_special_tokens=skip)
        if whole.endswith("\ufffd"):
            pieces.append("")
            continue
        if not whole.startswith(sent):
            return None
        pieces.append(whole[len(sent):])
        sent = whole
    return (pieces, whole[len(sent):]) if whole.startswith(sent) else None


def cases_of(tokenizer, rng, count):
    out, limit = [], tokenizer.get_vocab_size() + 3
    for _ in range(count):
        t = text(rng)
        ids, special = guarded(lambda: tokenizer.encode(t, add_special_tokens=False).ids), guarded(lambda: tokenizer.encode(t).ids)
        if ids is not None and special is not None:
            out.append(({"text": t}, {"ids": ids, "ids_special": special}))
        some = special[:40] if special is not None and rng.random() < 0.6 else [rng.randrange(limit) for _ in range(rng.randint(1, 12))]
        decoded = guarded(lambda: [tokenizer.decode(some, skip_special_tokens=skip) for skip in (False, True)])
        if decoded is None or not some:
            continue
        out.append(({"ids": some}, {"decoded": decoded[0], "decoded_clean": decoded[1]}))
        skip = rng.random() < 0.5
        pieces = guarded(lambda: stream(tokenizer, some, skip))
        if pieces is not None:
            out.append(({"ids": some, "skip_special_tokens": skip}, {"pieces": pieces[0], "flush": pieces[1]}))
    return out


def ours(binary, path, questions, decode):
    if not questions:
        return []
    run = subprocess.run([binary, "tokenize", "--tokenizer", path] + (["--decode"] if decode else []), input="".join(json.dumps(q) + "\n" for q in questions),
                         capture_output=True, text=True, timeout=120)
    if run.returncode != 0:
        return run.stderr.strip() or run.stdout[-500:] or f"exit {run.returncode}"
    return [json.loads(line) for line in run.stdout.split("\n") if line]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--texts", type=int, default=25)
    parser.add_argument("--show", type=int, default=2, help="differences shown of a configuration")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--binary", default=str(ROOT / "build/bin/switchyard"))
    parser.add_argument("--charsmap", type=pathlib.Path, help="a tokenizer.json with a Precompiled normalizer")
    a = parser.parse_args()
    if a.charsmap:
        global CHARSMAP
        CHARSMAP = re.search(r'"precompiled_charsmap": ?"([^"]*)"', a.charsmap.read_text(encoding="utf-8")).group(1)
    refused, bad, kept = 0, [], []
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/tokenizer.json"
        for seed in range(a.seed, a.seed + a.count):
            rng = random.Random(seed)
            config = configuration(rng)
            source = json.dumps(config, ensure_ascii=False)
            tokenizer = guarded(lambda: Tokenizer.from_str(source))
            if tokenizer is None or ambiguous(config, tokenizer):
                refused += 1
                continue
            cases = cases_of(tokenizer, rng, a.texts)
            pathlib.Path(path).write_text(source, encoding="utf-8")
            wrong = []
            for decode in (False, True):
                part = [case for case in cases if ("text" not in case[0]) == decode]
                answers = ours(a.binary, path, [question for question, _ in part], decode)
                if isinstance(answers, str) and "more than two texts" in answers:
                    break  # the library panics with the first text
                if isinstance(answers, str):
                    wrong.append(answers)
                else:
                    wrong += [(question, wanted, got) for (question, wanted), got in zip(part, answers) if wanted != got]
            if wrong:
                bad.append(seed)
                parts = {k: v for k, v in config.items() if k not in ("model", "version", "truncation", "padding") and v}
                parts["model"] = {k: v for k, v in config["model"].items() if k not in ("vocab", "merges")}
                print(f"seed {seed}: {len(wrong)} of {len(cases)} differ\n  {json.dumps(parts, ensure_ascii=False)}")
                for one in wrong[: a.show]:
                    print("  ", one if isinstance(one, str) else "\n     ".join(json.dumps(x, ensure_ascii=True)[:400] for x in one))
                continue
            kept.append({"tokenizer": config, "cases": [question | wanted for question, wanted in cases]})
    print(f"{a.count} configurations, {refused} refused by the library, {len(bad)} differ: {bad}")
    if a.keep:
        a.keep.write_text("".join(json.dumps(k, ensure_ascii=False, separators=(",", ":")) + "\n" for k in kept), encoding="utf-8")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
