"""Kinds of tasks: how their models are opened, and what their runs and sets count.

Search, calibration and report know nothing of models. A task is what else has to be known: the
class that opens its models, whether its data are a stream of tokens or one labelled example after
the other, and what is measured on the held-out part of a domain.

Nothing heavy is loaded: recipes are checked by this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mixwise.registry import Table

Unit = Literal["tokens", "examples"]
Reads = Literal["texts", "images"]


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the table.

    Args:
        name: Name in recipes.
        auto_class: Class of transformers that opens its models.
        unit: What runs, horizons and prices count.
        set_kind: Kind of the domains' held-out parts, and of further sets like them.
        records: Format of its rows where the recipe names none; None where it is recognised.
        reads: What its models read: tokens of texts, or pixels of images.
        adapter_type: PEFT's task type of its adapters; None where PEFT has none.
    """

    name: str
    auto_class: str
    unit: Unit
    set_kind: str
    records: str | None = None
    reads: Reads = "texts"
    adapter_type: str | None = None

    @property
    def has_labels(self) -> bool:
        """Whether its data are labelled examples."""
        return self.unit == "examples"

    @property
    def has_images(self) -> bool:
        """Whether its models read pixels."""
        return self.reads == "images"


CAUSAL_LM = Task("causal-lm", "AutoModelForCausalLM", "tokens", "text", adapter_type="CAUSAL_LM")

TASKS: Table[Task] = Table(
    "task",
    (
        CAUSAL_LM,
        Task(
            "text-classification",
            "AutoModelForSequenceClassification",
            "examples",
            "labels",
            records="labelled",
            adapter_type="SEQ_CLS",
        ),
        Task(
            "image-classification",
            "AutoModelForImageClassification",
            "examples",
            "labels",
            records="image",
            reads="images",
        ),
    ),
)
