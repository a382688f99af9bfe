"""Train the demo's tokenizer and pre-train its base model, a Llama of about a million parameters.

The base has to be good enough to read all the demo's languages a little and unfinished enough that
fine-tuning on one of them shows.  It is trained on the blend that build_corpora.py writes, which
shares no document with anything the demo ships, and is left at the learning rate that fine-tuning
continues with.

    python tools/demo/pretrain_base.py --blend /tmp/blend --out src/mixwise/demo/base
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END = "<|endoftext|>"
VOCABULARY = 2048
LENGTH = 128


def read_texts(path: Path) -> list[str]:
    """The texts of one file of gzipped JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that adds nothing of its own before or after a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        clean_up_tokenization_spaces=False,
    )


def make_model(end_id: int, layers: int, width: int) -> LlamaForCausalLM:
    """The untrained model; its heads are 32 wide whatever its width."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=width * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=end_id,
        eos_token_id=end_id,
        pad_token_id=end_id,
    )
    return LlamaForCausalLM(config).to(torch.float32)


def pack(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """All texts joined by the end mark and cut to rows of equal length."""
    stream: list[int] = []
    for text in texts:
        stream += tokenizer(text)["input_ids"]
        stream.append(tokenizer.eos_token_id)
    rows = len(stream) // LENGTH
    return torch.tensor(stream[: rows * LENGTH]).view(rows, LENGTH)


def batches(rows: torch.Tensor, size: int, seed: int) -> Iterator[torch.Tensor]:
    """Batches without end, every row once before any row comes again."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(rows), generator=generator)
        for start in range(0, len(rows) - size + 1, size):
            yield rows[order[start : start + size]]


def learning_rate(step: int, steps: int, peak: float, final: float, warmup: int = 100) -> float:
    """Warm up, hold the peak, then fall along a cosine to the final rate over the last 40 %."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - 0.6 * steps) / (0.4 * steps)
    if progress <= 0:
        return peak
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def make_optimizer(model: LlamaForCausalLM) -> torch.optim.AdamW:
    """AdamW that decays matrices only."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95))


def train(model: LlamaForCausalLM, rows: torch.Tensor, options: argparse.Namespace) -> None:
    """The training loop."""
    optimizer = make_optimizer(model)
    model.train()
    steps = options.tokens // (options.batch * LENGTH)
    source = batches(rows, options.batch, options.seed)
    began = time.monotonic()
    recent: list[float] = []
    for step in range(steps):
        rate = learning_rate(step, steps, options.peak, options.final)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = next(source)
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(loss.item())
        if (step + 1) % 100 == 0 or step + 1 == steps:
            speed = (step + 1) * batch.numel() / (time.monotonic() - began)
            mean = sum(recent) / len(recent)
            print(f"step {step + 1}/{steps} loss {mean:.3f} rate {rate:.5f} {speed:.0f} tokens/s",
                  flush=True)  # fmt: skip
            recent = []


@torch.no_grad()
def mean_loss(model: LlamaForCausalLM, rows: torch.Tensor) -> float:
    """Mean loss per predicted token."""
    model.eval()
    total = 0.0
    for start in range(0, len(rows), 32):
        part = rows[start : start + 32]
        total += float(model(input_ids=part, labels=part).loss) * len(part)
    return total / len(rows)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save both so that other releases of transformers load them too.

    The tokenizer's settings are written by hand because the name that transformers 5 gives to its
    class is not known to transformers 4.
    """
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END,
        "eos_token": END,
        "pad_token": END,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
    (folder / "model.safetensors").chmod(0o644)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--blend", type=Path, required=True, help="folder of blend.jsonl.gz")
    parser.add_argument("--out", type=Path, required=True, help="where to save the base")
    parser.add_argument("--data", type=Path, help="folder of the shipped texts, to report losses")
    parser.add_argument("--tokens", type=int, default=4_000_000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128, help="hidden size, a multiple of 32")
    parser.add_argument("--peak", type=float, default=3e-3)
    parser.add_argument("--final", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    random.seed(options.seed)
    texts = read_texts(options.blend / "blend.jsonl.gz")
    tokenizer = train_tokenizer(texts)
    rows = pack(tokenizer, texts)
    model = make_model(tokenizer.eos_token_id, options.layers, options.width)
    print(f"{model.num_parameters()} parameters, {rows.numel()} tokens in the blend", flush=True)
    train(model, rows, options)
    save(model, tokenizer, options.out)
    for path in sorted(options.data.glob("*.jsonl.gz")) if options.data else []:
        if path.name != "quiz.jsonl.gz":
            held = pack(tokenizer, read_texts(path))
            print(f"{path.name}: {held.numel()} tokens, loss {mean_loss(model, held[:400]):.3f}")


if __name__ == "__main__":
    main()
