"""The recipe's keys of an lm-eval task, and which of the harness' metrics can be measured.

Method:
    A measurement is a weighted mean over documents. Metrics that the harness averages over
    documents are that; its perplexities are powers of such means, of which the exponent is measured
    (``log_perplexity``: the harness' number is its exponential).

Source:
    ``lm_eval.api.metrics`` and ``lm_eval.api.task`` of EleutherAI's lm-evaluation-harness.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mixwise.errors import nearest
from mixwise.objective import Direction, Measure
from mixwise.section import Section

LOGARITHMS: Mapping[str, str] = {
    "log_perplexity": "perplexity",
    "log_word_perplexity": "word_perplexity",
    "log_byte_perplexity": "byte_perplexity",
}  # what is measured, and the metric that is its exponential
ANSWER_BITS_PER_BYTE = Measure(
    "answer_bits_per_byte",
    "min",
    "bits/byte",
    "information of the right choice per byte, given the prompt",
    True,
)
_KNOWN: Mapping[str, Direction] = {
    "acc": "max",
    "acc_norm": "max",
    "acc_bytes": "max",
    "acc_mutual_info": "max",
    "exact_match": "max",
    "brier_score": "min",
    "bits_per_byte": "min",
    **dict.fromkeys(LOGARITHMS, "min"),
}


def _known_or_turned(
    measures: tuple[str, ...] | dict[str, Direction],
) -> tuple[str, ...] | dict[str, Direction]:
    if not measures:
        raise ValueError("must name a metric of the task, such as `acc`: add one")
    for name in measures:
        if name in LOGARITHMS.values():
            log = next(log for log, of in LOGARITHMS.items() if of == name)
            raise ValueError(
                f"`{name}` is no mean over documents: use `{log}`, whose exponential it is"
            )
        is_known = name in _KNOWN or name == ANSWER_BITS_PER_BYTE.name
        if not is_known and not isinstance(measures, dict):
            raise ValueError(
                f"whether more or less of `{name}` is better is not known: say it, as in "
                f"`measures: {{{name}: max}}` ({nearest(name, _KNOWN)})"
            )
    return measures


class LmEvalKeys(Section):
    """A task of the lm-evaluation-harness.

    ``task``: name of a task or group, or the path of a YAML file. ``include_path``: folder of YAML
    files with tasks of your own; with it, the harness' own tasks are not looked through.
    ``measures``: the task's metrics that are measured, or a direction for each; of multiple choice
    also ``answer_bits_per_byte``, which slopes can follow. ``filter``: by default the task's first.
    ``documents``: the half that is searched on, the half that is kept to report on, or all; of the
    first ``limit`` documents, where that is given.
    """

    task: Annotated[str, Field(min_length=1, max_length=1000)]
    measures: Annotated[tuple[str, ...] | dict[str, Direction], AfterValidator(_known_or_turned)]
    include_path: str | None = None
    num_fewshot: Annotated[int, Field(ge=0, le=1000)] | None = None
    limit: Annotated[int, Field(gt=0, le=10**7)] | None = None
    filter: str | None = None
    documents: Literal["search", "report", "all"] = "search"
    apply_chat_template: bool = False


def measures_of(keys: LmEvalKeys) -> tuple[Measure, ...]:
    """What a set with these keys measures."""
    turned = keys.measures if isinstance(keys.measures, dict) else {}
    return tuple(
        ANSWER_BITS_PER_BYTE
        if name == ANSWER_BITS_PER_BYTE.name
        else Measure(name, turned.get(name) or _KNOWN[name], "", f"`{name}` of lm-eval")
        for name in keys.measures
    )
