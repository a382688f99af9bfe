"""YAML of bounded size, in which a key that stands twice is an error.

A key that stands twice would replace the first in silence; aliases of aliases would unfold without
end; and a value that does not fit its own tag would raise whatever Python raises.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from mixwise.errors import printable, shown

_MOST_NODES = 50_000  # with aliases written out


def parse_yaml(text: str) -> Any:
    """Read YAML.

    Args:
        text: One document.

    Raises:
        ValueError: If it is none, a key stands twice, or it holds more than 50,000 values; the text
            is one printable line.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(printable(" ".join(str(error).split()), 500)) from None


class _StrictLoader(yaml.SafeLoader):
    """What PyYAML reads, and no more of it than is sensible."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._n_nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._n_nodes += 1
        if self._n_nodes > _MOST_NODES:  # told before the rest is read, which would take long
            raise yaml.YAMLError(f"it holds more than {_MOST_NODES:,} values: shorten it")
        return super().compose_node(parent, index)

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _count_nodes(node, {}) > _MOST_NODES:
            raise yaml.YAMLError(
                f"its aliases unfold to more than {_MOST_NODES:,} values: write fewer of them"
            )
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # PyYAML's constructors raise whatever Python does
            kind = node.tag.rpartition(":")[2]
            raise yaml.YAMLError(
                f"line {node.start_mark.line + 1}: {shown(node.value)} is no {kind} "
                f"({printable(str(error), 100)}): change it"
            ) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.YAMLError(
                    f"the key `{printable(str(key), 80)}` stands twice "
                    f"(line {key_node.start_mark.line + 1}): rename or remove one"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _count_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """Values below a node, those behind an alias counted each time that they stand there."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1  # a value that holds itself has no end
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = (
            each for child in children for each in (child if isinstance(child, tuple) else [child])
        )
        known[id(node)] = 1 + sum(_count_nodes(child, known) for child in flat)
    return known[id(node)]
