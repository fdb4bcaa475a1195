#!/usr/bin/env python3
"""The tokenizers beside Hugging Face's `tokenizers`, one core each, in one run: `make bench` with --only tokenizers.

    tokenizer_table.py [--tokenizers DIR] [--text FILE] [--passes N]

DIR holds a folder a tokenizer (tests/data/text's small ones when none is given). FILE: documents separated by form feeds (.gz allowed);
without it a text is made: words drawn by rank, an ideograph each so often. Prints a Markdown table; the reference is called from Python, one call a
document, without a batch. Absolute figures of a shared machine are noise: read the ratios.
"""
import argparse
import gzip
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from common import BIN, ROOT, stamp

os.environ["RAYON_NUM_THREADS"] = "1"


def made_text(size=2_000_000):
    rng = random.Random(1)
    syllables = ["ka", "lo", "mi", "ter", "an", "su", "re", "dor", "vi", "el", "per", "tu", "ing", "st", "the"]
    words = ["".join(rng.choice(syllables) for _ in range(rng.randint(1, 4))) for _ in range(5000)] + [chr(c) for c in range(0x4E00, 0x5200)]
    out, length = [], 0
    while length < size:
        document = " ".join(words[int(rng.paretovariate(0.7)) % len(words)] + rng.choice(["", "", ",", ".", "\n"]) for _ in range(300))
        out.append(document)
        length += len(document.encode())
    return "\f".join(out)


def reference(path, text, passes):
    """(documents MB/s, whole MB/s, load ms, tokens)."""
    from tokenizers import Tokenizer
    start = time.perf_counter()
    tokenizer = Tokenizer.from_file(str(path))
    load = time.perf_counter() - start
    best, tokens, size = 1e9, 0, len(text.encode()) / 1e6
    for _ in range(passes):
        start = time.perf_counter()
        tokens = sum(len(tokenizer.encode(document, add_special_tokens=False).ids) for document in text.split("\f"))
        best = min(best, time.perf_counter() - start)
    start = time.perf_counter()
    tokenizer.encode(text, add_special_tokens=False)
    return size / best, size / (time.perf_counter() - start), load * 1e3, tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizers", type=pathlib.Path, help="folders with a tokenizer.json")
    parser.add_argument("--text", type=pathlib.Path)
    parser.add_argument("--passes", type=int, default=2)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if a.text:
            text = (gzip.open if a.text.suffix == ".gz" else open)(a.text, "rb").read().decode()
        else:
            text = made_text()
        path = pathlib.Path(folder) / "text"
        path.write_bytes(text.encode())
        if not a.tokenizers:
            a.tokenizers = pathlib.Path(folder)
            for packed in sorted((ROOT / "tests/data/text").glob("*/tokenizer.json.zst")):
                (a.tokenizers / packed.parent.name).mkdir()
                subprocess.run(["zstd", "-qd", packed, "-o", a.tokenizers / packed.parent.name / "tokenizer.json"], check=True)
        print(f"commit {', '.join(stamp())}; {len(text.encode()) / 1e6:.2f} MB\n")
        print("| tokenizer | documents, MB/s | tokenizers | ratio | one string, MB/s | tokenizers | ratio | load, ms | tokenizers | decode, MB/s |\n|---|---|---|---|---|---|---|---|---|---|")
        for one in sorted(a.tokenizers.glob("*/tokenizer.json")):
            run = subprocess.run([BIN / "tokenizer_bench", one, path, str(a.passes)], capture_output=True, text=True)
            if run.returncode:
                sys.exit(run.stderr)
            documents, whole, decode, load, tokens = map(float, run.stdout.split("\n")[1].split(","))
            theirs = reference(one, text, a.passes)
            if tokens != theirs[3]:
                sys.exit(f"{one.parent.name}: {tokens:.0f} tokens, the reference has {theirs[3]}")
            print(f"| {one.parent.name} | {documents:.1f} | {theirs[0]:.2f} | {documents / theirs[0]:.1f} | {whole:.1f} | {theirs[1]:.2f} | {whole / theirs[1]:.1f} | {load:.0f} | "
                  f"{theirs[2]:.0f} | {decode:.0f} |", flush=True)


if __name__ == "__main__":
    main()
