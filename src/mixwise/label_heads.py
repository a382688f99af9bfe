"""Heads of a classifier: which of its outputs answer for which domain's labels.

Notation:
    K: outputs of the classifier.  C_d: labels of domain d.  K = Σ C_d where labels are per domain.

Method:
    Where all domains share their labels there is one head, all K outputs. Where labels are per
    domain each domain has a head of its own, a run of neighbouring outputs that are called
    ``domain/label``: probabilities, losses and answers of a row are taken over the outputs of its
    own head alone, as if the others were not there.

Source:
    A head a task over one shared body: Caruana 1997, Multitask Learning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

SEPARATOR = "/"  # of domain and label; no domain's name holds one


@dataclass(frozen=True, slots=True)
class LabelHead:
    """Outputs that answer together.

    Args:
        labels: Names of their labels, in the order of the outputs.
        first: Index of the first output among all of the classifier's.
        domain: Whose head it is; None for the only one, which all domains share.
    """

    labels: tuple[str, ...]
    first: int = 0
    domain: str | None = None

    @property
    def outputs(self) -> range:
        """Their indices among the classifier's."""
        return range(self.first, self.first + len(self.labels))

    @property
    def names(self) -> tuple[str, ...]:
        """What the classifier's configuration calls the outputs."""
        if self.domain is None:
            return self.labels
        return tuple(f"{self.domain}{SEPARATOR}{label}" for label in self.labels)


@dataclass(frozen=True, slots=True)
class LabelHeads:
    """All heads of a classifier, in the order of its outputs.

    Args:
        heads: One that is shared, or one a domain; none overlaps another.
    """

    heads: tuple[LabelHead, ...]

    @classmethod
    def shared(cls, labels: Sequence[str]) -> LabelHeads:
        """The one head of all domains."""
        return cls((LabelHead(tuple(labels)),))

    @classmethod
    def per_domain(cls, labels: Mapping[str, Sequence[str]]) -> LabelHeads:
        """A head for each domain, one behind the other.

        Args:
            labels: Of each domain, in the order of the outputs.

        Example:
            >>> heads = LabelHeads.per_domain({"films": ["bad", "good"], "news": ["art", "war"]})
            >>> heads.names, heads.of("news").outputs
            (('films/bad', 'films/good', 'news/art', 'news/war'), range(2, 4))
        """
        ends = accumulate((len(names) for names in labels.values()), initial=0)
        firsts = [first for first, _ in pairwise(ends)]
        return cls(
            tuple(
                LabelHead(tuple(names), first, domain)
                for first, (domain, names) in zip(firsts, labels.items(), strict=True)
            )
        )

    @property
    def is_shared(self) -> bool:
        """Whether all domains have the same."""
        return self.heads[0].domain is None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all outputs, in their order."""
        return tuple(name for head in self.heads for name in head.names)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Outputs of each head where there are several; empty where one is shared."""
        return () if self.is_shared else tuple(len(head.labels) for head in self.heads)

    def of(self, domain: str) -> LabelHead:
        """The head that a domain's rows are read with."""
        if self.is_shared:
            return self.heads[0]
        return next(head for head in self.heads if head.domain == domain)

    def holding(self, labels: Sequence[str]) -> tuple[LabelHead, ...]:
        """The heads that have all of some labels."""
        return tuple(head for head in self.heads if set(labels) <= set(head.labels))
