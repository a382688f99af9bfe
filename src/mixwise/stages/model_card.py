"""What a merged model says of itself: a model card, and the same merge for mergekit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from mixwise import __version__


@dataclass(frozen=True, slots=True)
class MergedPart:
    """One expert of a merge.

    Args:
        name: Its domain.
        source: Its folder, or its name on the hub.
        share: The domain's share of the mixture, or the expert's merge weight.
        fingerprint: Hash of its content.
    """

    name: str
    source: str
    share: float
    fingerprint: str


@dataclass(frozen=True, slots=True)
class MergeFacts:
    """How a merged model came to be.

    Args:
        base: Folder of the base, or its name on the hub.
        base_fingerprint: Hash of its content.
        parts: The experts, those with share 0 too.
        shares_by: What the shares count; empty where they are merge weights.
        rule: Name of the merge rule.
        rule_source: Where it comes from.
        precision: Of the tensors.
        is_adapter: Whether it is an adapter of the base.
        is_linear: Whether the merge is θ₀ + Σ shareᵢ (θᵢ − θ₀).
        why: Why this mixture, as a sentence; may be empty.
        metrics: What the proxy says of the mixture, by metric.
    """

    base: str
    base_fingerprint: str
    parts: tuple[MergedPart, ...]
    shares_by: str
    rule: str
    rule_source: str
    precision: str
    is_adapter: bool
    is_linear: bool
    why: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


def render_card(facts: MergeFacts) -> str:
    """The model card, Markdown with the hub's header."""
    header: dict[str, object] = {
        "base_model": [facts.base],
        "base_model_relation": "adapter" if facts.is_adapter else "merge",
        "library_name": "peft" if facts.is_adapter else "transformers",
        "tags": ["merge", "mixwise"],
    }
    counted = f"share ({facts.shares_by})" if facts.shares_by else "merge weight"
    rows = [
        f"| {_cell(part.name)} | {part.share:.6g} | `{_cell(part.source)}` | `{part.fingerprint}` |"
        for part in facts.parts
    ]
    kind = "adapter" if facts.is_adapter else "model"
    lines = [
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---",
        f"# A merged {kind}",
        f"This {kind} was never trained on a mixture: it is a merge of experts, each trained from "
        f"`{facts.base}` on one domain. {facts.why}".rstrip(),
        f"| domain | {counted} | expert | hash |\n|---|---|---|---|\n" + "\n".join(rows),
        f"Merged by mixwise {__version__}: rule `{facts.rule}` ({facts.rule_source}), in float32, "
        f"saved in {facts.precision}. Hash of the base: `{facts.base_fingerprint}`.",
    ]
    if facts.metrics:
        measured = "\n".join(f"| {_cell(m)} | {v:.4f} |" for m, v in facts.metrics.items())
        lines.append(
            "What the study's proxy expects of a model that is trained on this mixture, which this "
            f"merge stands for:\n\n| metric | value |\n|---|---|\n{measured}"
        )
    return "\n\n".join(lines) + "\n"


def render_mergekit(facts: MergeFacts) -> str:
    """The same merge as a configuration of mergekit; for full experts and a linear rule."""
    models = [
        {"model": part.source, "parameters": {"weight": part.share}}
        for part in facts.parts
        if part.share
    ]
    config = {
        "merge_method": "task_arithmetic",
        "base_model": facts.base,
        "models": models,
        "parameters": {"normalize": False, "lambda": 1.0},
        "dtype": "float32",
        "out_dtype": facts.precision,
    }
    return yaml.safe_dump(config, sort_keys=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
