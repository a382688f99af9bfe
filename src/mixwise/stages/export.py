"""Export: the recommended mixture in a form that a trainer takes.

Shares are by tokens. ``shares`` gives, for one run of the study's horizon, the tokens of each
domain and how often its data is read; ``stream`` writes the run itself, one packed sequence a
line, which any trainer that takes token ids can read without knowing of shares at all.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mixwise.data.corpus import begin_rows, map_sequences
from mixwise.errors import ResourceError, StudyError
from mixwise.mixture import Mixture
from mixwise.stages.workspace import Workspace
from mixwise.study import RECOMMENDATION_FILE
from mixwise.training.job import TrainingJob


def export_mixture(workspace: Workspace, kind: str, output: Path | None) -> dict[str, Any]:
    """Write the recommended mixture to a file.

    Args:
        workspace: The study; its search must have ended.
        kind: ``shares`` (JSON) or ``stream`` (JSONL).
        output: The file; by default beside the study's other files.

    Returns:
        The file and the counts that were written.

    Raises:
        StudyError: If the study has no recommendation yet.
        ResourceError: If the file cannot be written.
    """
    recommendation = workspace.study.load_json(RECOMMENDATION_FILE)
    if recommendation is None:
        raise StudyError(
            f"{workspace.study.folder}: no recommendation yet: run `mixwise search "
            f"{workspace.study.folder}` first"
        )
    if recommendation["provenance"]["recipe"] != workspace.result_key:
        raise StudyError(
            f"{workspace.study.folder}: the recommendation was made from another recipe, other "
            f"data or other experts: run `mixwise search {workspace.study.folder}` again"
        )
    shares = recommendation["mixture"]
    job = workspace.job(
        Mixture(tuple(shares), tuple(shares.values())), workspace.reference_seeds(1)[0]
    )
    default = {"shares": "mixture.json", "stream": "stream.jsonl"}[kind]
    path = output or workspace.study.folder / default
    facts = _facts(job)
    lines = [json.dumps(facts, indent=1)] if kind == "shares" else _stream(job)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        partial.replace(path)
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({error}): choose another file") from None
    return {"file": str(path), **facts}


def _facts(job: TrainingJob) -> dict[str, Any]:
    blend = job.blend()
    return {
        "shares_by": "tokens",
        "shares": job.mixture.as_dict(),
        "horizon_tokens": job.n_tokens,
        "sequence_length": job.sequence_length,
        "tokens": {
            name: count * job.sequence_length
            for name, count in zip(blend.domains, blend.counts, strict=True)
        },
        "repetitions": dict(zip(blend.domains, blend.repetitions, strict=True)),
    }


def _stream(job: TrainingJob) -> Any:
    blend = job.blend()
    streams = [map_sequences(path, job.sequence_length) for path in job.token_files.values()]
    for domain, row in zip(blend.domain, blend.row, strict=True):
        ids = begin_rows(streams[domain][row], job.start_of_text)
        yield json.dumps({"domain": blend.domains[domain], "input_ids": ids.tolist()})
