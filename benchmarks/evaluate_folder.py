"""What the disk route runs per candidate: load a checkpoint, evaluate it, print the result.

A plain script of the kind that users write, without mixwise: ``FOLDER SEQUENCES.npy``.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM

_BATCH = 8


def main() -> None:
    """Print the summed negative log-likelihood of all sequences, in nats."""
    folder, file = sys.argv[1:]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    nats = 0.0
    with torch.inference_mode():
        for ids in torch.from_numpy(np.load(file)).split(_BATCH):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
            nats += float(loss) * (ids.numel() - len(ids))
    print(nats)


if __name__ == "__main__":
    main()
