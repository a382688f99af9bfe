"""Make a hand-over of an opened study: shares from the recommendation, counts from its corpora."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mixwise.data.corpus import Corpus
from mixwise.data.formats import format_of
from mixwise.data.matching import expand_user, resolve_files
from mixwise.errors import RecipeError
from mixwise.export.handover import HandedDomain, HandedSource, Handover, RowCounts
from mixwise.mixture import Mixture
from mixwise.recipe import Portion
from mixwise.study.results import FinalRun
from mixwise.study.session import Workspace


def make_handover(mixture: Mixture, run: FinalRun, workspace: Workspace) -> Handover:
    """What trainers have to be told.

    Args:
        mixture: Shares by tokens.
        run: That it is for.
        workspace: The opened study.

    Raises:
        RecipeError: If the study's domains hold labelled examples.
        DataError: If a file of a domain is gone.
    """
    recipe = workspace.recipe
    if recipe.task_facts.has_labels:
        raise RecipeError(
            "`export`: trainers of language models are handed over to, but the study's domains "
            "hold labelled examples: export the shares instead"
        )
    horizon = run.n_sequences * run.sequence_length
    shares = mixture.as_dict()
    base, revision = _base(workspace)
    return Handover(
        tuple(
            _domain(name, share, horizon, workspace) for name, share in shares.items() if share > 0
        ),
        horizon_tokens=horizon,
        sequence_length=run.sequence_length,
        batch_sequences=recipe.training.batch_sequences,
        seed=workspace.runs.reference_seeds(1)[0],
        base=base,
        revision=revision or None,
    )


def _base(workspace: Workspace) -> tuple[str, str]:
    """Where the base is, by an absolute path or a name on the hub, and its revision there."""
    given = workspace.recipe.base
    local = workspace.inputs.settings.recipe_folder / expand_user(given)
    if local.is_dir():
        return str(local.absolute()), ""
    name, _, revision = given.partition("@")
    return name, revision


def _domain(name: str, share: float, horizon: int, workspace: Workspace) -> HandedDomain:
    portions = workspace.inputs.portions(name)
    counts = _count_rows(workspace.inputs.corpus(name), workspace, name)
    sources = tuple(_source(portion, workspace) for portion in portions)
    weighted = any(portion.weight is not None for portion in portions)
    return HandedDomain(name, share, share * horizon, counts, sources, weighted)


def _count_rows(corpus: Corpus, workspace: Workspace, name: str) -> RowCounts:
    """Rows of the domain's files: also the held-out ones, unless these have files of their own."""
    lengths = corpus.document_lengths(heldout=False)
    n_heldout = 0
    if not workspace.recipe.domains[name].heldout_files:
        heldout = corpus.document_lengths(heldout=True)
        n_heldout, lengths = len(heldout), np.concatenate([lengths, heldout])
    cut = np.minimum(lengths, workspace.recipe.sequence_length)
    n_rows = len(lengths) + corpus.facts.n_empty
    return RowCounts(n_rows, n_heldout, int(lengths.sum()), int(cut.sum()))


def source_files(workspace: Workspace) -> Iterator[Path]:
    """All files that the study's domains are read from."""
    for name in workspace.recipe.domains:
        for portion in workspace.inputs.portions(name):
            yield from _files(portion, workspace)


def _files(portion: Portion, workspace: Workspace) -> tuple[Path, ...]:
    """Absolute paths; none of a dataset of the hub."""
    source, folder = portion.source, workspace.inputs.settings.recipe_folder
    if source.hub is not None:
        return ()
    found = resolve_files(source.files, folder, f"{portion.key}.files", source.format)
    return tuple(path.absolute() for path in found)


def _source(portion: Portion, workspace: Workspace) -> HandedSource:
    source, files = portion.source, _files(portion, workspace)
    return HandedSource(
        files=files,
        hub=source.hub,
        format=format_of(files[0], source.format) if files else None,
        records=source.record_format.name,
        fields=source.parts.model_dump(),
        learn=source.learned,
        where=source.where,
    )
