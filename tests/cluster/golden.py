"""What a correct engine computes from the golden checkpoints (tests/data/golden/README.md)."""

import array
import json
import math
import subprocess

from cluster import GOLDEN


class Golden:
    """reference.json and reference.safetensors.zst of a checkpoint (tests/data/golden/README.md)."""

    def __init__(self, model):
        self.manifest = json.loads((GOLDEN / model / "reference.json").read_text())
        packed = GOLDEN / model / "reference.safetensors.zst"
        self.data = subprocess.run(["zstd", "-dc", packed], check=True, capture_output=True).stdout
        self.head_bytes = int.from_bytes(self.data[:8], "little")
        self.head = json.loads(self.data[8:8 + self.head_bytes])

    def tensor(self, name):
        """All elements, flat."""
        begin, end = self.head[name]["data_offsets"]
        kind = {"I64": "q", "F32": "f"}[self.head[name]["dtype"]]
        return array.array(kind, self.data[8 + self.head_bytes + begin:8 + self.head_bytes + end]).tolist()

    def greedy(self):
        """[(prompt, continuation)] of token ids."""
        return [(self.tensor(f"greedy.{i}.prompt"), self.tensor(f"greedy.{i}.tokens")) for i in self.manifest["greedy"]]

    def logprobs(self, case):
        """Per position of a case whose logits are all there: the log-probability of each token that may come next."""
        _, vocabulary = self.head[f"{case}.logits"]["shape"]
        flat = self.tensor(f"{case}.logits")
        rows = [flat[i:i + vocabulary] for i in range(0, len(flat), vocabulary)]
        norms = [max(row) + math.log(sum(math.exp(x - max(row)) for x in row)) for row in rows]
        return [[x - norm for x in row] for row, norm in zip(rows, norms)]
