"""The experts of a study, ready to be merged by any mixture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mixwise.errors import CheckpointError, first_line
from mixwise.merging.adapters import LoraExpert, write_adapters
from mixwise.merging.checkpoint import Checkpoint
from mixwise.merging.live_model import LiveModel
from mixwise.merging.rules import MergeRule
from mixwise.mixture import Mixture


class ExpertPool:
    """One expert per domain, all from one base; writes merges of them into a live model.

    Args:
        live: The live model of that base.
        experts: Opened checkpoints by domain: all full models, or all LoRA adapters.

    Raises:
        CheckpointError: If an expert doesn't fit the base or the others; the text names the first
            tensor that does not.
    """

    def __init__(self, live: LiveModel, experts: Mapping[str, Checkpoint]) -> None:
        self.live = live
        self.experts = dict(experts)
        self._stored: dict[str, Mapping[str, str]] = {}
        self._adapters: dict[str, LoraExpert] = {}
        first = next(iter(self.experts.values()))
        for domain, checkpoint in self.experts.items():
            if checkpoint.is_adapter != first.is_adapter:
                raise CheckpointError(
                    f"{checkpoint.folder}: experts must be all full models or "
                    f"all adapters, but {first.folder} differs: train them alike"
                )
            if checkpoint.is_adapter:
                self._adapters[domain] = LoraExpert(live, checkpoint)
                continue
            require_same_vocabulary(live.base.folder, checkpoint.folder)
            self._stored[domain] = live.match(checkpoint, live.base)
            self._require_same_dtypes(first, checkpoint)

    def _require_same_dtypes(self, first: Checkpoint, checkpoint: Checkpoint) -> None:
        for name in sorted(first.tensors.keys() & checkpoint.tensors.keys()):
            have, need = checkpoint.tensors[name].dtype, first.tensors[name].dtype
            if have != need:
                raise CheckpointError(
                    f"{checkpoint.folder}: tensor `{name}` must be {need}, as in "
                    f"{first.folder}, but got {have}: save the expert again"
                )

    def merge(self, mixture: Mixture, rule: MergeRule) -> None:
        """Write the merge of a mixture into the live model.

        Args:
            mixture: Shares of the pool's domains; merge weights equal shares.
            rule: How tensors are merged.
        """
        if self._adapters:
            write_adapters(
                self.live, [self._adapters[name] for name in mixture.domains], mixture.shares
            )
            return
        checkpoints = [self.experts[name] for name in mixture.domains]
        stored = [self._stored[name] for name in mixture.domains]
        for name in self.live.tensors:
            merged = rule.merge_tensor(
                lambda i, name=name: checkpoints[i].load_tensor(stored[i][name]),  # type: ignore[misc]
                mixture.shares,
            )
            self.live.write(name, merged)


def write_checkpoint(live: LiveModel, checkpoint: Checkpoint) -> None:
    """Write one checkpoint, full or adapter, into the live model of its base."""
    if checkpoint.is_adapter:
        write_adapters(live, [LoraExpert(live, checkpoint)], [1.0])
    else:
        live.write_checkpoint(checkpoint)


def require_same_vocabulary(base: Path, expert: Path) -> None:
    """Refuse an expert whose tokenizer gives other ids than the base's.

    A folder without a tokenizer passes: then the shape of the embedding is all that can be checked.

    Raises:
        CheckpointError: Names the first token, in the order of the ids, that differs.
    """
    if not (expert / "tokenizer.json").is_file() or not (base / "tokenizer.json").is_file():
        return
    from tokenizers import Tokenizer

    try:
        ours, theirs = (
            Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab(with_added_tokens=True)
            for folder in (base, expert)
        )
    except Exception as error:  # `tokenizers` raises bare exceptions
        raise CheckpointError(
            f"{expert}: tokenizer.json cannot be read ({first_line(error)}): save it again"
        ) from None
    if ours == theirs:
        return
    differing = set(ours.items()) ^ set(theirs.items())
    token, number = min(differing, key=lambda item: (item[1], item[0]))
    raise CheckpointError(
        f"{expert}: the tokenizer must give the base's ids, but token {token!r} "
        f"({number}) differs: use an expert with the base's vocabulary"
    )
