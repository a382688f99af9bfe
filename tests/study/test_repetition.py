"""Short runs repeat a scarce text as often as the final run will."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import write_rows

from mixwise.recipe import load_recipe
from mixwise.stages.check import run_check
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.repetition import matched_rows
from mixwise.study.session import Workspace

SIZES = {"final_sequences": 120, "short_sequences": 12}
EVEN = {"scarce": 0.5, "ample": 0.5}


def rows(available: int, share: float = 1.0, **sizes: int) -> dict[str, int]:
    shares = {"scarce": share, "ample": 1 - share}
    return matched_rows({"scarce": available, "ample": 900}, EVEN, shares, **(SIZES | sizes))


def test_the_short_run_repeats_as_often_as_the_final_one() -> None:
    final = 0.5 * 120 / 10  # six times
    assert rows(10) == {"scarce": 2}
    assert final == 12 / 2


def test_a_mixed_run_reads_less_and_is_given_less() -> None:
    assert rows(10, share=0.5) == {"scarce": 1}


def test_what_is_hardly_repeated_is_read_whole() -> None:
    assert rows(30) == {}  # twice
    assert rows(29, final_sequences=240) == {"scarce": 3}


def test_a_run_that_repeats_more_often_already_reads_all() -> None:
    assert rows(10, short_sequences=90) == {}


def test_one_sequence_is_left() -> None:
    assert rows(1, final_sequences=1200, short_sequences=2) == {}
    assert rows(2, final_sequences=1200, short_sequences=2) == {"scarce": 1}


@pytest.fixture
def scarce(pico: Path) -> Path:
    """A study of which one domain has few sequences for its final run."""
    text = (pico / "recipe.yaml").read_text()
    assert "horizon_tokens: 256" in text
    write_rows(pico / "alpha.jsonl", [{"text": f"only {k} of it " * 3} for k in range(6)])
    changed = text.replace("horizon_tokens: 256", "horizon_tokens: 2048")
    (pico / "recipe.yaml").write_text(changed + "experts: {horizon_tokens: 256}\n")
    return pico


def test_experts_read_a_part_and_check_says_so(scarce: Path) -> None:
    inputs = Inputs(load_recipe(scarce / "recipe.yaml"), Settings(scarce, scarce / "tokens"))
    checked = run_check(inputs, scarce / "study")
    [note] = [note for note in checked.notes if "match_repetition" in note]
    assert note.startswith("`domains.alpha`: its expert reads ")
    study = StudyFolder.create(scarce / "study", scarce / "recipe.yaml")
    study.save_recipe((scarce / "recipe.yaml").read_text())
    workspace = Workspace(study, Settings(scarce, scarce / "tokens"))
    expert, whole = workspace.runs.expert_job("alpha"), workspace.runs.expert_job("beta")
    workspace.close()
    assert whole.most_rows == {}
    n = expert.streams["alpha"].n_rows(expert.sequence_length)
    assert 0 < expert.most_rows["alpha"] < n
    assert len(set(expert.blend().row.tolist())) == expert.most_rows["alpha"]
    [alpha] = [plan for plan in checked.plan.domains if plan.name == "alpha"]
    assert alpha.expert_repetition == expert.blend().repetitions[0]


def test_it_can_be_switched_off(scarce: Path) -> None:
    text = (scarce / "recipe.yaml").read_text()
    off = text.replace("horizon_tokens: 256}", "horizon_tokens: 256, match_repetition: false}")
    (scarce / "recipe.yaml").write_text(off)
    inputs = Inputs(load_recipe(scarce / "recipe.yaml"), Settings(scarce, scarce / "tokens"))
    assert not any("match_repetition" in note for note in run_check(inputs, scarce / "s").notes)
