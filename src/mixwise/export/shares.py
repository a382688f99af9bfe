"""Export: the recommended mixture in a form that a trainer takes.

Shares are by tokens. ``shares`` gives, for one run of the study's horizon, the tokens of each
domain and how often its data is read, all from the recommendation itself; ``stream`` writes the
run itself, one packed sequence a line, which any trainer that takes token ids can read without
knowing of shares at all.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mixwise.data.blend import allocate
from mixwise.errors import ResourceError, StudyError
from mixwise.shortages import explain_failed_write
from mixwise.study.folder import StudyFolder
from mixwise.study.result_files import load_result
from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace
from mixwise.training.job import TrainingJob

_DEFAULT = {"shares": "mixture.json", "stream": "stream.jsonl"}


def export_shares(study: StudyFolder, output: Path | None = None) -> dict[str, Any]:
    """Write the recommended shares as token counts, from ``recommendation.json`` alone.

    Neither the base nor the data is needed, and nothing is written but the file.

    Args:
        study: The study; its search must have ended.
        output: The file; by default ``mixture.json`` beside the study's other files.

    Returns:
        The file and the counts that were written.

    Raises:
        StudyError: If the study has no recommendation, or one of another recipe.
        ResourceError: If the file cannot be written.
    """
    recommendation = _recommendation_of(study)
    if recommendation.provenance.recipe_alone != study.recipe.key:
        raise _stale(study, "from another recipe")
    run, mixture = recommendation.run, recommendation.mixture
    length = run.sequence_length
    counts = allocate(mixture.array, run.n_sequences).tolist()
    available = [run.available_tokens[name] // length for name in mixture.domains]
    facts = {
        "shares_by": "tokens",
        "shares": mixture.as_dict(),
        "horizon_tokens": run.n_sequences * length,
        "sequence_length": length,
        "tokens": {n: count * length for n, count in zip(mixture.domains, counts, strict=True)},
        "repetitions": {
            name: count / sequences if count else 0.0
            for name, count, sequences in zip(mixture.domains, counts, available, strict=True)
        },
    }
    return _write(study, "shares", [json.dumps(facts, indent=1)], output, facts)


def export_stream(workspace: Workspace, output: Path | None = None) -> dict[str, Any]:
    """Write the run that the recommended mixture asks for, one packed sequence a line.

    Args:
        workspace: The study; its search must have ended.
        output: The file; by default ``stream.jsonl`` beside the study's other files.

    Returns:
        The file and the counts of the run.

    Raises:
        StudyError: If the study has no recommendation, or one made from something else.
        ResourceError: If the file cannot be written.
    """
    study = workspace.study
    recommendation = _recommendation_of(study)
    if recommendation.provenance.recipe != workspace.result_key:
        raise _stale(study, "from another recipe, other data or other experts")
    job = workspace.job(recommendation.mixture, workspace.reference_seeds(1)[0])
    blend = job.blend()
    facts = {
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
    return _write(study, "stream", _stream(job), output, facts)


def _recommendation_of(study: StudyFolder) -> Recommendation:
    recommendation = load_result(study, Recommendation)
    if recommendation is None:
        raise StudyError(
            f"{study.folder}: no recommendation yet: run `mixwise search {study.folder}` first"
        )
    return recommendation


def _stale(study: StudyFolder, how: str) -> StudyError:
    return StudyError(
        f"{study.folder}: the recommendation was made {how}: run `mixwise search {study.folder}` "
        "again"
    )


def _write(
    study: StudyFolder, kind: str, lines: Iterable[str], output: Path | None, facts: dict[str, Any]
) -> dict[str, Any]:
    """Write lines to a file, at once or not at all."""
    path = output or study.folder / _DEFAULT[kind]
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ResourceError(
            f"{explain_failed_write(error, path)}, or name another file with `--output`"
        ) from None
    return {"file": str(path), **facts}


def _stream(job: TrainingJob) -> Iterator[str]:
    """Rows of ids; with labels, −100 where a token is not learned, if that is so of any domain."""
    blend = job.blend()
    streams = job.streams.values()
    rows = [stream.rows(job.sequence_length, job.start_of_text) for stream in streams]
    has_labels = any(stream.mask is not None for stream in streams)
    for domain, row in zip(blend.domain, blend.row, strict=True):
        ids, labels = rows[domain].read(row)
        line = {"domain": blend.domains[domain], "input_ids": ids.tolist()}
        yield json.dumps(line | ({"labels": labels.tolist()} if has_labels else {}))
