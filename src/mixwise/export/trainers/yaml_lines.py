"""Keys of a configuration as lines of YAML, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


def as_yaml(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Lines of YAML.

    Example:
        >>> as_yaml({"b": [{"path": "x"}], "a": True})
        ('b:', '- path: x', 'a: true')
    """
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=10**6)
    return tuple(str(text).splitlines())
