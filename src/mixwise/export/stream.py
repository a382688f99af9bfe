"""The run that the recommended mixture asks for, one packed sequence a line.

A trainer that takes token ids can read it without knowing of shares at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mixwise.data.examples import ExampleStream
from mixwise.data.pixels import ImageStream
from mixwise.data.streams import TokenRows, TokenStream
from mixwise.errors import RecipeError
from mixwise.export.exporter import Export, share_facts
from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace
from mixwise.training.job import TrainingJob


def make_stream(recommendation: Recommendation, workspace: Workspace | None) -> Export:
    """The exact stream of sequences, and the counts of the run."""
    assert workspace is not None  # the exporter's row asks for it
    job = workspace.runs.job(recommendation.mixture, workspace.runs.reference_seeds(1)[0])
    blend = job.blend()
    facts = {
        **share_facts(recommendation),
        "horizon_tokens": job.n_tokens,
        "sequence_length": job.sequence_length,
        "tokens": {
            name: count * job.sequence_length
            for name, count in zip(blend.domains, blend.counts, strict=True)
        },
        "repetitions": dict(zip(blend.domains, blend.repetitions, strict=True)),
    }
    if workspace.recipe.document_masking:
        facts["document_masking"] = True
    return Export(_lines(job), facts)


def _lines(job: TrainingJob) -> Iterator[str]:
    """Rows of ids; with labels, −100 where a token is not learned, if that is so of any domain.

    Where documents of a row do not see each other, lines have ``position_ids``, which begin anew at
    each: what transformers' models, given them and no attention mask, tell documents by.
    """
    blend = job.blend()
    streams = job.streams.values()
    rows = [_token_rows(job, stream) for stream in streams]
    has_labels = any(len(stream.files) > 1 for stream in streams)
    for domain, row in zip(blend.domain, blend.row, strict=True):
        ids, labels = rows[domain].read(row)
        positions = rows[domain].positions(row)
        line = {"domain": blend.domains[domain], "input_ids": ids.tolist()}
        line |= {"labels": labels.tolist()} if has_labels else {}
        yield json.dumps(line | ({} if positions is None else {"position_ids": positions.tolist()}))


def _token_rows(job: TrainingJob, stream: ImageStream | ExampleStream | TokenStream) -> TokenRows:
    if not isinstance(stream, TokenStream):
        raise RecipeError(
            "`export`: a stream of tokens is for causal language models, but the study's domains "
            "hold labelled examples: export the shares instead"
        )
    return stream.rows(job.sequence_length, job.start_of_text)
