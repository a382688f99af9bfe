"""The recipe's keys of a set whose answers a model writes, and what is measured on them."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mixwise.kinds.own import FunctionName
from mixwise.objective import Measure
from mixwise.section import Section

Graded = Literal[
    "exact_match", "normalised_match", "contains", "number", "f1", "pattern_found", "function"
]
_MEANINGS: dict[Graded, str] = {
    "exact_match": "the text is a right answer, white space around it left out",
    "normalised_match": "the same without case, punctuation, articles and white space",
    "contains": "a right answer stands in the text",
    "number": "the last number of the text is that of a right answer",
    "f1": "harmonic mean of precision and recall in the words of the best right answer",
    "pattern_found": "the pattern is found in the text",
    "function": "what a function of your own gives",
}

TOKENS_WRITTEN = Measure(
    "tokens_written", "min", "tokens", "mean length of the answers, the token that ends one counted"
)

_MEMORY = 0.5  # of the GPU, for an engine beside the model that is merged


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression ({error}): mend it") from None
    return pattern


def _not_empty(texts: tuple[str, ...]) -> tuple[str, ...]:
    if not all(texts):
        raise ValueError("an empty text stops every answer at once: leave it out")
    return texts


class GenerationKeys(Section):
    """How answers are written and graded.

    ``measures``: of the text that is written. ``function``: ``module:function`` of the measure of
    that name, called with the text and the list of right answers; it returns a number, of which
    more is better unless the objective says otherwise. ``pattern``: a regular expression; where it
    is found first, its first group, or the whole of it, is the answer that is graded, and nothing
    where it is not. ``stop``: texts before which an answer ends. ``temperature``: 0 for greedy
    decoding, else answers are sampled with ``seed`` from the likeliest tokens that have ``top_p``
    together.
    ``apply_chat_template``: whether the question is asked as a user's turn, rendered by the chat
    template with the beginning of an answer, whose end-of-turn token then ends it.
    ``generator``: who writes: ``transformers``, or a running engine of ``vllm``, which may take the
    share ``generator_memory`` of the GPU beside the model that is merged.
    """

    measures: Annotated[tuple[Graded, ...], Field(min_length=1)] = ("exact_match",)
    function: FunctionName | None = None
    pattern: Annotated[str, Field(max_length=1000), AfterValidator(_compiles)] | None = None
    max_new_tokens: Annotated[int, Field(gt=0, le=2**16)] = 64
    stop: Annotated[tuple[str, ...], Field(max_length=16), AfterValidator(_not_empty)] = ()
    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    apply_chat_template: bool = False
    generator: Literal["transformers", "vllm"] = "transformers"
    generator_memory: Annotated[float, Field(gt=0, lt=1)] = _MEMORY

    @model_validator(mode="after")
    def _keys_have_an_effect(self) -> Self:
        if "pattern_found" in self.measures and self.pattern is None:
            raise ValueError("`pattern_found` needs a `pattern`: name one")
        if "function" in self.measures and self.function is None:
            raise ValueError("the measure `function` needs a `function`: name one")
        if self.function is not None and "function" not in self.measures:
            raise ValueError(
                "`function` has no effect, because `measures` does not name it: add `function` "
                "there, or leave it out"
            )
        if len(set(self.measures)) < len(self.measures):
            raise ValueError("a measure stands twice in `measures`: keep one")
        if not self.temperature and (self.top_p < 1 or self.seed):
            raise ValueError(
                "`top_p` and `seed` have no effect on greedy decoding: leave them out, or set "
                "`temperature`"
            )
        if self.generator != "vllm" and self.generator_memory != _MEMORY:
            raise ValueError("`generator_memory` has no effect without `generator: vllm`")
        return self


def measures_of(keys: GenerationKeys) -> tuple[Measure, ...]:
    """What a set with these keys measures; last, whatever they are, the length of the answers."""
    graded = (
        Measure(name, "max", "" if name == "function" else "share", _MEANINGS[name])
        for name in keys.measures
    )
    return (*graded, TOKENS_WRITTEN)
