from pathlib import Path

import numpy as np
import pytest

from mixwise.study.folder import StudyFolder
from mixwise.study.result_files import load_results


def test_references_are_trained_with_every_seed_and_none_was_scored_by_the_search(
    finished: Path,
) -> None:
    results = load_results(StudyFolder.open(finished))
    validation, search = results.validation, results.search
    assert validation is not None
    assert search is not None
    assert len(validation.mixtures) == 4
    searched = {str(candidate.score.mixture) for candidate in search.candidates}
    for row in validation.mixtures:
        assert tuple(run.seed for run in row.runs) == validation.seeds
        assert str(row.proxy.mixture) not in searched
    assert set(validation.fidelity) == {"objective", *search.metrics}


def test_regret_is_what_the_proxys_pick_loses(finished: Path) -> None:
    validation = load_results(StudyFolder.open(finished)).validation
    assert validation is not None
    proxy = [row.proxy.objective for row in validation.mixtures]
    truth = [float(np.mean([run.objective for run in row.runs])) for row in validation.mixtures]
    lost = max(truth) - truth[int(np.argmax(proxy))]
    assert validation.fidelity["objective"].regret.value == pytest.approx(lost, abs=1e-9)
