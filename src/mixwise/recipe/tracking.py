"""Which tracking tools are told of the study and its runs; it changes no result."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mixwise.section import Section

ToolName = Literal["tensorboard", "mlflow", "wandb", "trackio"]
_Text = Annotated[str, Field(min_length=1, max_length=128)]


class Tracking(Section):
    """Tools, by name; none by default.

    ``project``: W&B's and Trackio's project, and MLflow's experiment. ``name``: the study's, there;
    by default that of its folder. ``mlflow_uri``: MLflow's store, such as ``http://host:5000`` or
    ``sqlite:///runs.db``; by default ``$MLFLOW_TRACKING_URI``, or a file in the study's folder.
    """

    to: tuple[ToolName, ...] = ()
    project: _Text = "mixwise"
    name: _Text | None = None
    mlflow_uri: _Text | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        twice = [name for name in self.to if self.to.count(name) > 1]
        if twice:
            raise ValueError(f"`to`: {twice[0]} stands twice: name it once")
        if self.mlflow_uri is not None and "mlflow" not in self.to:
            raise ValueError(
                "`mlflow_uri` has no effect without mlflow: add mlflow to `to`, or leave it out"
            )
        return self

    def store(self, folder: Path, recipe_folder: Path) -> str:
        """MLflow's store.

        Args:
            folder: Where a file of the study's own lies.
            recipe_folder: Where a relative path starts from.

        Example:
            >>> wanted = Tracking(to=("mlflow",), mlflow_uri="sqlite:///runs.db")
            >>> wanted.store(Path("s"), Path("/r"))
            'sqlite:////r/runs.db'
        """
        named = self.mlflow_uri or os.environ.get("MLFLOW_TRACKING_URI")
        if named is None:
            return f"sqlite:///{folder}/mlflow.db"
        head, is_file, path = named.partition("sqlite:///")
        if self.mlflow_uri and is_file and not head and not Path(path).is_absolute():
            return f"sqlite:///{recipe_folder / path}"
        return named
