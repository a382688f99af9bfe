"""The recipe's keys of sets of labelled examples."""

from __future__ import annotations

from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from mixwise.section import Section


class LabelKeys(Section):
    """How labelled examples are read.

    ``head``: the domain whose head answers, where domains have labels of their own; by default the
    only one that has all labels of the set.
    """

    head: str | None = None

    @model_serializer(mode="wrap")
    def _without_default(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Nothing where no head is named: hashes of recipes are what they were without the key."""
        return {key: value for key, value in handler(self).items() if value is not None}
