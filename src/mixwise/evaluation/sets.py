"""What an evaluation set is: a name, metrics, and a model in, measurements out.

A kind of set is a row of `mixwise.kinds` and a file that opens sets of it. Sets that are measured
by the likelihood of rows (`mixwise.evaluation.likelihood.sets`) refine the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mixwise.kinds import KINDS
from mixwise.label_heads import LabelHead
from mixwise.objective import Metric
from mixwise.observation import Measurement
from mixwise.scorer import Part
from mixwise.section import Section

if TYPE_CHECKING:
    from mixwise.data.chat_template import ChatTemplate
    from mixwise.data.corpus import LabelledRows
    from mixwise.data.heldout import HeldoutRows
    from mixwise.data.tokenizer import BaseTokenizer

WHOLE = Part()


class EvaluationSet(Protocol):
    """A named set of examples that a model is measured on."""

    @property
    def name(self) -> str:
        """Name of the domain or evaluation set."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is measured, in the order of the measurements."""
        ...

    @property
    def n_examples(self) -> int:
        """Number of examples, at least 1."""
        ...

    @property
    def n_tokens(self) -> int:
        """Tokens that an evaluation of all examples reads and writes at most, for the plan."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of all that the measurements depend on besides the model."""
        ...

    def evaluate(self, model: Any, part: Part = WHOLE) -> tuple[Measurement, ...]:
        """Measure every metric.

        Args:
            model: Causal language model in evaluation mode, on its device.
            part: Which examples.

        Returns:
            A measurement for each of the metrics, with the values of the part's examples in its
            order, ``part.examples(n_examples)``; the same examples, the same values.

        Raises:
            EvaluationError: If a value is not finite; names the metric.
        """
        ...


@runtime_checkable
class WritingSet(EvaluationSet, Protocol):
    """A set whose answers are written: what an evaluation takes is known when it has ended."""

    def spent_tokens(self, measured: Sequence[Measurement], part: Part = WHOLE) -> int:
        """Tokens that an evaluation has read and written, padding left out.

        Args:
            measured: What it has measured, on this set or on others too.
            part: Which examples.
        """
        ...


@dataclass(frozen=True, slots=True)
class Opening:
    """What an evaluation set is opened from.

    Args:
        name: Name of the domain or evaluation set.
        key: Its key path in the recipe, for error texts.
        open_tokenizer: Opens the base's tokenizer; models of images have none.
        sequence_length: Tokens per row of a domain.
        context_tokens: Longest input of the model.
        max_examples: At most so many examples are wanted.
        batch_sequences: Rows per forward pass.
        apart: Lengths that no batch spans: the model reads longer rows in another way.
        records: Reads the set's records, those that its format gives.
        heldout: Its held-out tokens, of a kind that reads documents.
        own: The keys that its kind has in the recipe.
        folder: Folder of the recipe, where relative paths start.
        trust_remote_code: Whether code that the recipe names may run.
        chat_template: Opens what conversations are rendered by.
        held_examples: Its held-out examples, of a kind that reads labelled ones.
        head: The outputs that answer for its examples, of a kind that reads labelled ones.
    """

    name: str
    key: str
    open_tokenizer: Callable[[], BaseTokenizer]
    sequence_length: int
    context_tokens: int
    max_examples: int
    batch_sequences: int
    apart: tuple[int, ...]
    records: Callable[[], Iterator[Any]]
    heldout: Callable[[], HeldoutRows]
    own: Section = field(default_factory=Section)
    folder: Path = Path()
    trust_remote_code: bool = False
    chat_template: Callable[[], ChatTemplate] | None = None
    held_examples: Callable[[], LabelledRows] | None = None
    head: LabelHead | None = None

    @property
    def tokenizer(self) -> BaseTokenizer:
        """The base's tokenizer."""
        return self.open_tokenizer()

    def examples(self) -> LabelledRows:
        """The held-out examples."""
        assert self.held_examples is not None  # tasks with labels have them
        return self.held_examples()


def open_set(kind: str, opening: Opening) -> EvaluationSet:
    """Open a set of a kind, with the function that the kind's row names."""
    opener = KINDS.find(kind).opener
    if isinstance(opener, str):
        module, _, name = opener.partition(":")
        opener = getattr(import_module(module), name)
    opened: EvaluationSet = opener(opening)
    return opened
