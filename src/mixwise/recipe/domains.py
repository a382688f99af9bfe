"""Domains and evaluation sets as a recipe names them: of one source, or of several with weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, SerializeAsAny, model_validator

from mixwise.errors import MixwiseError, printable
from mixwise.kinds import KINDS
from mixwise.objective import Measure
from mixwise.recipe.sources import PathText, Patterns, TextSource, Weight
from mixwise.records.record import Document
from mixwise.section import Section


class WeightedSource(TextSource):
    """One of the ``sources`` of a domain or set, and its ``weight`` among them."""

    weight: Weight | None = None


class SplitSource(TextSource):
    """Records of one format, or of several ``sources`` that each have their own.

    ``weights``: of each entry of ``files``, and ``weight`` of each of the ``sources``: what is read
    of them is in these proportions, counted in the unit of the recipe's shares, up to where the
    first of them is used up. Without any, all of each is read, one after the other.
    """

    weights: dict[str, Weight] = Field(default_factory=dict)
    sources: tuple[WeightedSource, ...] = ()

    @property
    def _keys_stand_elsewhere(self) -> str:
        """As of one source; beside ``sources`` it is they that have these keys."""
        if self.sources:
            return "beside `sources`: name it in each of them"
        return super()._keys_stand_elsewhere

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        reads = self._reads(self._chosen)
        if (self.weights or self.sources) and reads is not Document:
            what = "weights" if self.weights else "sources"
            raise ValueError(f"`{what}` are for records that are documents: leave them out")
        if self.sources:
            self._refuse(("weights",), self._keys_stand_elsewhere)
            given = [each.weight is not None for each in self.sources]
            if any(given) and not all(given):
                raise ValueError(
                    "`weight` must stand in each of the `sources` or in none, but "
                    f"`sources.{given.index(False)}` has none: give it one"
                )
            self._require_different_datasets()
        if self.weights and (sorted(self.weights) != sorted(self.files) or len(self.files) < 2):
            raise ValueError(
                "`weights` must name each entry of `files`, two or more that all differ, but "
                f"names {printable(', '.join(self.weights), 200)}: correct one of the two"
            )
        return self

    def _require_different_datasets(self) -> None:
        """Refuse a dataset that is read twice in the same way, be it by more rows of a stream."""
        seen: dict[str, int] = {}
        for i, each in enumerate(self.sources):
            how = each.model_dump_json(exclude={"weight": True, "hub": {"stream_rows"}})
            first = i if each.hub is None else seen.setdefault(how, i)
            if first != i:
                raise ValueError(
                    f"`sources.{first}` and `sources.{i}` read the same dataset in the same way: "
                    "change one"
                )


@dataclass(frozen=True, slots=True)
class Portion:
    """One of the sources that the records of a domain or set come from.

    Args:
        source: Its files or dataset, and what their rows are.
        key: Its key path in the recipe, for error texts.
        weight: Of it among the others; None where all of it is read.
        name: What tells it from the others; empty where there are none.
    """

    source: TextSource
    key: str
    weight: float | None = None
    name: str = ""


def portions(source: TextSource, key: str) -> tuple[Portion, ...]:
    """The sources that a domain or set is made of, most often one: itself.

    Args:
        source: Of the domain or set.
        key: Its key path in the recipe.
    """
    if isinstance(source, SplitSource) and source.sources:
        return tuple(
            Portion(each, f"{key}.sources.{i}", each.weight, f"sources.{i}")
            for i, each in enumerate(source.sources)
        )
    if isinstance(source, SplitSource) and source.weights:
        alone = (
            source.model_copy(update={"files": (pattern,), "weights": {}})
            for pattern in source.files
        )
        return tuple(
            Portion(each, key, source.weights[each.files[0]], each.files[0]) for each in alone
        )
    return (Portion(source, key),)


class Domain(SplitSource):
    """One dataset of the mixture.

    ``expert``: folder or hub name (``owner/model@revision``) of one that is brought.
    """

    heldout_files: Patterns = ()
    expert: PathText | None = None

    @model_validator(mode="after")
    def _heldout_files_have_a_format(self) -> Self:
        if self.sources and self.heldout_files:
            raise ValueError(
                "`heldout_files` cannot be beside `sources`, whose formats differ: name them as a "
                "set of `evaluation.sets`"
            )
        return self


class ColumnDomains(SplitSource):
    """A source that is split into domains: each value of a column is one, named by that value.

    ``least_rows``: values that fewer rows have are left out.
    """

    column: Annotated[str, Field(min_length=1)]
    least_rows: Annotated[int, Field(gt=0, le=10**9)] = 1

    @model_validator(mode="after")
    def _one_table(self) -> Self:
        if self.sources:
            raise ValueError("`sources` cannot be here: split one source, or name the domains")
        if self.hub is not None and self.hub.stream_rows is not None:
            raise ValueError(
                "`hub.stream_rows` cannot be here, as values that come later would be missed: "
                "leave it out, or name the domains, each with `where`"
            )
        return self

    def domain(self, value: str) -> Domain:
        """The domain of one value: the rows that have it."""
        chosen = {name: getattr(self, name) for name in self.model_fields_set}
        where = {**self.where, self.column: value}
        of_source = {name: chosen[name] for name in chosen if name in Domain.model_fields}
        return Domain(**of_source | {"where": where})


class EvaluationSource(SplitSource):
    """A set that models are measured on but never trained on.

    ``kind``: what is measured (`mixwise.kinds` has the table). ``own``: the keys that its kind
    has besides, which stand beside the others in the recipe.
    """

    kind: Annotated[str, AfterValidator(KINDS.known)] = "text"
    own: SerializeAsAny[Section] = Section()

    @classmethod
    def _reads(cls, values: Mapping[str, Any]) -> type | None:
        """Type of the records that the set's kind reads."""
        return KINDS.find(values.get("kind", "text")).reads

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is measured."""
        return KINDS.find(self.kind).measures_of(self.own)

    @model_validator(mode="before")
    @classmethod
    def _parse_own(cls, values: Any) -> Any:
        """Check the keys of the kind by what the kind says of them."""
        if not isinstance(values, Mapping):
            return values
        try:
            keys = KINDS.find(values.get("kind", "text")).keys
        except (MixwiseError, TypeError):  # the key that names it is refused by itself
            return values
        if isinstance(values.get("own"), Section):
            return values
        if "own" in values:
            raise ValueError("`own` is no key of a recipe: leave it out")
        own = {key: value for key, value in values.items() if key in keys.model_fields}
        others = {key: value for key, value in values.items() if key not in own}
        return {**others, "own": keys.model_validate(own)}
