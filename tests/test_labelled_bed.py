"""Labelled beds: what is drawn or written stands on one side of the split in every domain."""

from __future__ import annotations

import pytest
from benchmarks.truth.labelled import LABELLED_BEDS, load_counts

WRITTEN = [name for name in LABELLED_BEDS if load_counts(name)]
DRAWN = [name for name in WRITTEN if LABELLED_BEDS[name].kind == "images"]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_domain_has_every_label_in_training_and_in_test(name: str) -> None:
    counts, bed = load_counts(name), LABELLED_BEDS[name]
    labels = {label for _, _, label in counts}
    for part in ("train", "test"):
        for domain in bed.domains:
            assert all(counts[part, domain, label] > 0 for label in labels)


@pytest.mark.parametrize("name", DRAWN)
def test_all_vendors_draw_the_same_things(name: str) -> None:
    counts, first = load_counts(name), LABELLED_BEDS[name].domains[0]
    for (part, domain, label), n in counts.items():
        assert domain in LABELLED_BEDS[name].domains
        assert n == counts[part, first, label]
