"""The table of tracking tools."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from mixwise.errors import MissingDependencyError
from mixwise.tracking.mlflow import open_mlflow
from mixwise.tracking.tensorboard import open_tensorboard
from mixwise.tracking.tool import Tool
from mixwise.tracking.trackio import open_trackio
from mixwise.tracking.wandb import open_wandb

TOOLS = {
    tool.name: tool
    for tool in (
        Tool("tensorboard", "tensorboard", open_tensorboard),
        Tool("mlflow", "mlflow", open_mlflow),
        Tool("wandb", "wandb", open_wandb),
        Tool("trackio", "trackio", open_trackio),
    )
}


def require_tools(names: Sequence[str]) -> None:
    """Refuse tools whose package is not installed.

    Args:
        names: Of tools.

    Raises:
        MissingDependencyError: Names each, and the extra that installs it.
    """
    missing = [name for name in names if find_spec(TOOLS[name].package) is None]
    if missing:
        raise MissingDependencyError(
            *(
                f"`tracking.to`: {name} needs the package `{TOOLS[name].package}`, which is not "
                f"installed: run `pip install 'mixwise[{name}]'`, or leave {name} out"
                for name in missing
            )
        )
