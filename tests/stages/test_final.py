from pathlib import Path

import numpy as np
import pytest

from mixwise.study.folder import StudyFolder
from mixwise.study.result_files import load_results


def test_the_recommendation_is_trained_beside_its_baselines(finished: Path) -> None:
    results = load_results(StudyFolder.open(finished))
    final, recommendation = results.final, results.recommendation
    assert final is not None
    assert recommendation is not None
    assert final.rows[0].proxy.mixture == recommendation.mixture
    names = [row.name for row in final.rows]
    assert names[0] == "recommended"
    assert any(name.startswith("only ") for name in names)
    assert all(tuple(run.seed for run in row.runs) == final.seeds for row in final.rows)


def test_margins_are_differences_of_means_over_seeds(finished: Path) -> None:
    final = load_results(StudyFolder.open(finished)).final
    assert final is not None
    means = {row.name: np.mean([run.objective for run in row.runs]) for row in final.rows}
    for margin in final.outcome.margins:
        lead = means["recommended"] - means[margin.baseline]
        assert margin.margin == pytest.approx(lead, abs=1e-9)
