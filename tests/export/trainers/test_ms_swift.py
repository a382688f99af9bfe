import subprocess
from pathlib import Path

import pytest
from tests.export.studies import hand, handed

from mixwise.errors import RecipeError
from mixwise.export.trainers.ms_swift import MS_SWIFT
from mixwise.recipe import HubDataset


def test_counts_stand_behind_paths_and_the_shell_reads_them(tmp_path: Path) -> None:
    hub = HubDataset(dataset="org/talks", config="en")
    mixture = hand(
        handed("a", 0.5, n_rows=40, mean=5, files=(Path("/data/my texts.jsonl"),)),
        handed("b", 0.5, n_rows=100, mean=10, hub=hub, files=(), format=None),
    )
    file = tmp_path / "mixture.sh"
    file.write_text("\n".join(MS_SWIFT.render(mixture, file).lines))
    script = f'source {file}; printf "%s\\n" "${{MIXTURE[@]}}"'
    words = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert words.stdout.splitlines()[:3] == [
        "--dataset",
        "/data/my texts.jsonl#100",
        "hf::org/talks:en#50",
    ]


def test_a_path_with_the_sign_of_a_count_is_refused() -> None:
    mixture = hand(handed("a", 1.0, n_rows=40, mean=5, files=(Path("/data/c#.jsonl"),)))
    with pytest.raises(RecipeError, match=r"follows `#` for a count.*c#\.jsonl: rename it"):
        MS_SWIFT.render(mixture, Path("x.sh"))
