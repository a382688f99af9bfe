"""Kinds of evaluation sets: what each measures, what it reads, and who opens it.

A kind costs one file, which opens its sets (`mixwise.evaluation.sets`), and one row here. Nothing
heavy is loaded: recipes are checked by this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixwise.kinds import generation, labels, lm_eval, own
from mixwise.objective import Measure
from mixwise.records.record import ChoiceRecord, Document, QuestionRecord
from mixwise.registry import Table
from mixwise.section import Section

if TYPE_CHECKING:
    from mixwise.evaluation.sets import EvaluationSet, Opening

LOSS = Measure("loss", "min", "nats/token", "mean negative log-likelihood per token", True)
BITS_PER_BYTE = Measure("bits_per_byte", "min", "bits/byte", "the same per byte of text", True)
LABEL_LOSS = Measure(
    "loss", "min", "nats/example", "mean negative log-likelihood of the right label", True
)
LABEL_ACCURACY = Measure("accuracy", "max", "share", "the right label is the most likely one")
BALANCED_ACCURACY = Measure(
    "balanced_accuracy", "max", "share", "accuracy of each label, averaged over the labels"
)
MACRO_F1 = Measure(
    "macro_f1", "max", "share", "F1 of each label, averaged over the labels", is_mean=False
)
ACCURACY = Measure("accuracy", "max", "share", "right choice has the largest likelihood")
ACCURACY_NORM = Measure(
    "accuracy_norm", "max", "share", "right choice has the largest log-likelihood per UTF-8 byte"
)
ANSWER_BITS_PER_BYTE = lm_eval.ANSWER_BITS_PER_BYTE
GREEDY_MATCH = Measure(
    "greedy_match", "max", "share", "greedy decoding would write all that counts in the row"
)
TOKEN_ACCURACY = Measure("token_accuracy", "max", "share", "the right token is the most likely one")


@dataclass(frozen=True, slots=True)
class EvaluationKind:
    """A kind of evaluation set, a row of the table.

    Args:
        name: Name in recipes.
        measures: What sets of this kind measure, or a function of a set's own keys that says it.
        opener: Opens a set: a function, or its place, ``module:function``, that is imported at use.
        reads: Type of the records that it reads; None for a kind that brings its own examples.
        needs_whole_model: Whether it calls the model itself; False where mixwise reads rows for
            it, which it can do layer by layer and for several merges at once.
        keys: The recipe's keys that its sets have besides those of all sets.
    """

    name: str
    measures: tuple[Measure, ...] | Callable[[Any], tuple[Measure, ...]]
    opener: str | Callable[[Opening], EvaluationSet]
    reads: type | None = None
    needs_whole_model: bool = True
    keys: type[Section] = Section

    @property
    def is_tokenised(self) -> bool:
        """Whether its records are documents, whose tokens are cached."""
        return self.reads is Document

    def measures_of(self, keys: Section) -> tuple[Measure, ...]:
        """What a set with these keys of its own measures."""
        return self.measures(keys) if callable(self.measures) else self.measures


KINDS: Table[EvaluationKind] = Table(
    "kind of evaluation set",
    (
        EvaluationKind(
            "text",
            (LOSS, BITS_PER_BYTE),
            "mixwise.evaluation.likelihood.text:open_text",
            reads=Document,
            needs_whole_model=False,
        ),
        EvaluationKind(
            "choice",
            (ACCURACY, ACCURACY_NORM, ANSWER_BITS_PER_BYTE),
            "mixwise.evaluation.likelihood.choice:open_choices",
            reads=ChoiceRecord,
            needs_whole_model=False,
        ),
        EvaluationKind(
            "labels",
            (LABEL_LOSS, LABEL_ACCURACY, BALANCED_ACCURACY, MACRO_F1),
            "mixwise.evaluation.likelihood.labels:open_labels",
            reads=Document,
            needs_whole_model=False,
            keys=labels.LabelKeys,
        ),
        EvaluationKind(
            "greedy",
            (GREEDY_MATCH, TOKEN_ACCURACY),
            "mixwise.evaluation.greedy:open_greedy",
            reads=Document,
        ),
        EvaluationKind(
            "generation",
            generation.measures_of,
            "mixwise.evaluation.generation:open_generation",
            reads=QuestionRecord,
            keys=generation.GenerationKeys,
        ),
        EvaluationKind(
            "lm-eval",
            lm_eval.measures_of,
            "mixwise.evaluation.harness.sets:open_task",
            keys=lm_eval.LmEvalKeys,
        ),
        EvaluationKind(
            "command",
            own.measures_of,
            "mixwise.evaluation.own:open_command",
            keys=own.CommandKeys,
        ),
        EvaluationKind(
            "function",
            own.measures_of,
            "mixwise.evaluation.own:open_function",
            keys=own.FunctionKeys,
        ),
    ),
)


def register_kind(kind: EvaluationKind) -> None:
    """Add a kind of evaluation set of your own, and let recipes name it and its measures.

    Args:
        kind: The new row.

    Raises:
        RecipeError: If the name is taken.
    """
    KINDS.add(kind)
