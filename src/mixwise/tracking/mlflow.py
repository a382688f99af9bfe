"""MLflow: a run of an experiment, nested below the study's.

Method:
    All goes through a client with the run's id: MLflow's own calls without one write to whatever
    run the process happens to have open. A run is found again by its tag ``mixwise.run``.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mixwise.tracking.run import TrackedRun

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_UNSAFE = re.compile(r"[^0-9A-Za-z_\-. :/]")
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_MOST_CHARACTERS = 5000  # of a tag


class MlflowRun:
    """A run by its id: a `Told`.

    Args:
        client: Of the store.
        run_id: MLflow's.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id

    def log(self, series: str, values: Mapping[str, float], step: int) -> None:
        """See `Told`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [
            Metric(_UNSAFE.sub("_", f"{series}/{name}"), value, now, step)
            for name, value in values.items()
        ]
        self._client.log_batch(self._run_id, metrics=points)

    def note(self, texts: Mapping[str, str]) -> None:
        """See `Told`."""
        from mlflow.entities import RunTag

        tags = [RunTag(_UNSAFE.sub("_", n), t[:_MOST_CHARACTERS]) for n, t in texts.items()]
        self._client.log_batch(self._run_id, tags=tags)

    def close(self, *, is_finished: bool) -> None:
        """See `Told`."""
        self._client.set_terminated(self._run_id, "FINISHED" if is_finished else "KILLED")


def open_mlflow(run: TrackedRun) -> MlflowRun:
    """Begin a run, or go on with it; with a server that is away for no longer than a minute."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells each table that it makes
    from mlflow.entities import Param
    from mlflow.tracking import MlflowClient

    run.folder.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=run.mlflow_uri)
    experiment = _experiment(client, run.project)
    known = _find(client, experiment, run.id)
    if known is not None:
        client.update_run(known, status="RUNNING")
        return MlflowRun(client, known)
    parent = None if run.is_study else _find(client, experiment, run.study_id)
    tags = {**run.tags, "mlflow.source.name": "mixwise"}
    if parent is not None:
        tags["mlflow.parentRunId"] = parent
    run_id = client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
    params = [Param(_UNSAFE.sub("_", n), str(value)) for n, value in run.settings.items()]
    client.log_batch(run_id, params=params)
    return MlflowRun(client, run_id)


def _experiment(client: MlflowClient, name: str) -> str:
    """The experiment's id; it is made where it is missing, perhaps by another process just now."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _find(client: MlflowClient, experiment: str, identity: str) -> str | None:
    """MLflow's id of a run that was begun already."""
    found = client.search_runs([experiment], f"tags.`mixwise.run` = '{identity}'", max_results=1)
    return str(found[0].info.run_id) if found else None
