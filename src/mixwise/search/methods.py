"""The table of search methods."""

from __future__ import annotations

from collections.abc import Mapping

from mixwise.search.lattice import N_CHECKS, design_lattice, search_lattice
from mixwise.search.problem import SearchMethod
from mixwise.search.regression import design_mergemix, search_mergemix
from mixwise.search.subsets import design_subsets, search_subsets

METHODS: Mapping[str, SearchMethod] = {
    method.name: method
    for method in (
        SearchMethod("lattice", "Scheffé 1958", design_lattice, search_lattice, N_CHECKS),
        SearchMethod("mergemix", "arXiv 2601.17858", design_mergemix, search_mergemix, 1),
        SearchMethod("subsets", "arXiv 2505.16066", design_subsets, search_subsets, 0),
    )
}
