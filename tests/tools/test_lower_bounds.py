from __future__ import annotations

import pytest
from tools.lower_bounds import lower_bounds

PROJECT = """
[project]
dependencies = ["numpy>=2.1", "scikit-learn >= 1.4"]
optional-dependencies.test = ["{}"]
optional-dependencies.dev = ["ruff"]
"""


def test_direct_dependencies_and_those_of_the_tests_at_their_bounds() -> None:
    found = lower_bounds(PROJECT.format("pytest>=8"))
    assert found == ["numpy==2.1", "scikit-learn==1.4", "pytest==8"]


@pytest.mark.parametrize("requirement", ["pytest", "pytest>=8,<9", "pytest==8"])
def test_a_dependency_without_a_lower_bound_alone_is_refused(requirement: str) -> None:
    with pytest.raises(ValueError, match=f"`{requirement}` has no lower bound"):
        lower_bounds(PROJECT.format(requirement))
