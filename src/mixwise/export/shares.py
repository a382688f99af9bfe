"""The recommended shares as counts of tokens or examples, from the recommendation alone."""

from __future__ import annotations

import json

from mixwise.data.blend import allocate
from mixwise.export.exporter import Export, share_facts
from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace


def make_shares(recommendation: Recommendation, workspace: Workspace | None) -> Export:
    """What one run of the study's horizon reads of each domain, and how often its data is read."""
    run, mixture = recommendation.run, recommendation.by_tokens
    unit, length = recommendation.horizons.unit, run.sequence_length
    counts = allocate(mixture.array, run.n_sequences).tolist()
    available = [run.available_tokens[name] // length for name in mixture.domains]
    facts = {
        **share_facts(recommendation),
        f"horizon_{unit}": run.n_sequences * length,
        **({"sequence_length": length} if unit == "tokens" else {}),
        unit: {n: count * length for n, count in zip(mixture.domains, counts, strict=True)},
        "repetitions": {
            name: count / sequences if count else 0.0
            for name, count, sequences in zip(mixture.domains, counts, available, strict=True)
        },
    }
    return Export([json.dumps(facts, indent=1)], facts)
