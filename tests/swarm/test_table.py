from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.swarm.test_fit import make

from mixwise.errors import DataError

TABLE = make(3, metrics=1)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"metrics": {"loss": "less"}}, "improves by `less`, which is no direction"),
        ({"metrics": {}}, "need a domain and a metric"),
        ({"metrics": {"web": "min"}}, "`web` is named twice"),
        ({"domains": ("a", "b", "a")}, "`a` is named twice"),
        ({"values": TABLE.values[:2]}, r"the values of 3 runs must have the shape \(3, 1\), but"),
        ({"shares": TABLE.shares[:, :2]}, r"the shares of 3 runs must have the shape \(3, 3\)"),
        ({"values": TABLE.values * np.nan}, r"runs\.csv:2: the values are \[nan\]"),
        ({"shares": 100 * TABLE.shares}, "add up to 1, but they are"),
        ({"shares": TABLE.shares - [1, -1, 0]}, "at least 0"),
    ],
)
def test_a_table_that_is_none_is_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(DataError, match=match):
        replace(TABLE, **changes)
