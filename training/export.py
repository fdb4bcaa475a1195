"""Writes a trained model as a Hugging Face directory: python -m training.export --run build/train/small

config.json, model.safetensors (bfloat16, names as in the published DeepSeek-V3), the tokenizer with its chat template,
generation_config.json, SHA256SUMS of these, and README.md: the model card, filled in from the run's log and the
evaluation's results.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import shutil
from itertools import islice
from pathlib import Path
from string import Template

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import DeepseekV3ForCausalLM, GenerationConfig

from training.balance import ExpertCounter, mean_over_max
from training.batches import collate, cut
from training.data import generate
from training.model import CONTEXT, build
from training.optimizer import Optimizer
from training.tokenizer import BOS, EOS, ID, PAD, TEMPLATE, encode, for_transformers
from training.workers import losses

CARD = Path(__file__).with_name("model_card.md")
SCORES = "evaluation.json"  # of training.evaluate, in the model's directory
NOTES = "notes.md"  # in the run's directory, if there is anything to say about that run


def load(run: Path) -> tuple[DeepseekV3ForCausalLM, dict]:
    """The model of a run's checkpoint, and the checkpoint."""
    state = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
    model = build(state["size"])
    Optimizer(dict(model.named_parameters())).restore(state["optimizer"])
    for name, buffer in model.named_buffers():
        buffer.copy_(state["buffers"][name])
    return model, state


def write(run: Path, out: Path) -> None:
    model, state = load(run)
    text = card(model, state, run, out)
    as_on_disk(model)
    # The first choice where a request leaves sampling open: transformers and Switchyard both read it so.
    model.generation_config = GenerationConfig(
        bos_token_id=ID[BOS], eos_token_id=ID[EOS], pad_token_id=ID[PAD], do_sample=True, top_k=1
    )
    model.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    check_names(out / "model.safetensors")
    tokenizer = for_transformers(Tokenizer.from_file(str(run / "tokenizer.json")), CONTEXT)
    tokenizer.save_pretrained(out, save_jinja_files=False)
    shutil.copy(TEMPLATE, out)  # where newer programs look for it
    write_checksums(out)
    (out / "README.md").write_text(text, encoding="utf-8")


def as_on_disk(model: DeepseekV3ForCausalLM) -> None:
    """Parameters in bfloat16, whatever they were trained in; buffers stay float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()


def write_checksums(directory: Path) -> None:
    """SHA256SUMS, which `switchyard verify` reads: of what is loaded. Card, scores and curve are written later."""
    kinds = (".jinja", ".json", ".safetensors")
    files = sorted(file for file in directory.iterdir() if file.suffix in kinds and file.name != SCORES)
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (directory / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


@torch.no_grad()
def expert_loads(model: DeepseekV3ForCausalLM, tokenizer: Tokenizer, samples: int = 1000) -> torch.Tensor:
    """Tokens per layer and expert on the validation split, in the mix of training."""
    encoded = [encode(tokenizer, sample) for sample in islice(generate("validation", 2), samples)]
    counter = ExpertCounter(model)
    for group in cut(sorted(encoded, key=lambda one: len(one.ids)), 2048):
        losses(model, collate(group, random.Random(0)), counter)
    return counter.counts


def check_names(path: Path) -> None:
    """On disk each expert has tensors of its own, as DeepSeek publishes them; transformers keeps a layer's in one."""
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        layer = "model.layers.1.mlp"
        wanted = {f"{layer}.experts.15.{part}_proj.weight" for part in ("gate", "up", "down")}
        wanted |= {f"{layer}.gate.weight", f"{layer}.gate.e_score_correction_bias"}
        assert wanted <= names, f"{path}: {sorted(wanted - names)} are missing"
        assert file.get_tensor(f"{layer}.gate.e_score_correction_bias").dtype == torch.float32
        assert file.get_tensor(f"{layer}.gate.weight").dtype == torch.bfloat16


def card(model: DeepseekV3ForCausalLM, state: dict, run: Path, out: Path) -> str:
    config = model.config
    parameters = sum(p.numel() for p in model.parameters())
    expert = 3 * config.hidden_size * config.moe_intermediate_size
    layers = config.num_hidden_layers - config.first_k_dense_replace
    idle = layers * (config.n_routed_experts - config.num_experts_per_tok) * expert
    validated = [row for row in _rows(run / "log.csv") if row["validation_loss"]][-1]
    return Template(CARD.read_text(encoding="utf-8")).substitute(
        size=state["size"],
        parameters=f"{parameters / 1e6:.1f}",
        active=f"{(parameters - idle) / 1e6:.1f}",
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        width=config.moe_intermediate_size,
        vocabulary=config.vocab_size,
        context=CONTEXT,
        tokens=f"{state['tokens'] / 1e6:.1f}",
        hours=f"{state['seconds'] / 3600:.1f}",
        notes=_notes(run / NOTES),
        loss=f"{float(validated['validation_loss']):.4f}",
        exact=f"{float(validated['validation_exact']):.1%}",
        load=_load_table(expert_loads(model, Tokenizer.from_file(str(run / "tokenizer.json")))),
        scores=_scores(out / SCORES),
    )


def _notes(path: Path) -> str:
    return "\n" + path.read_text(encoding="utf-8") if path.exists() else ""


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _load_table(counts: torch.Tensor) -> str:
    lines = ["| layer | mean ÷ max | tokens per expert, % |", "|---|---|---|"]
    for layer, (tokens, balance) in enumerate(zip(counts.tolist(), mean_over_max(counts)), start=1):
        shares = " ".join(f"{100 * one / sum(tokens):.1f}" for one in tokens)
        lines.append(f"| {layer} | {balance:.2f} | {shares} |")
    return "\n".join(lines)


def _scores(path: Path) -> str:
    if not path.exists():
        return f"Not evaluated yet (`make eval` writes {SCORES}; export again then)."
    return json.loads(path.read_text(encoding="utf-8"))["table"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.export", description="Writes a Hugging Face directory.")
    parser.add_argument("--run", type=Path, required=True, help="directory that training.train wrote")
    parser.add_argument("--out", type=Path, default=Path("models/switchyard-r1-small"))
    arguments = parser.parse_args()
    write(arguments.run, arguments.out)
    size = (arguments.out / "model.safetensors").stat().st_size
    print(f"{arguments.out}: {size / 1e6:.1f} MB of weights")


if __name__ == "__main__":
    main()
