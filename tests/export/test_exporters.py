from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.command_line import Cli, edit_text

from mixwise.files import seal


def test_export_hands_over_shares_and_stream(finished: Path, mixwise: Cli) -> None:
    code, out, _ = mixwise("export", finished, "--json")
    facts = json.loads(out)
    assert code == 0
    assert sum(facts["tokens"].values()) == 256
    code, out, _ = mixwise("export", finished, "--format", "stream", "--json")
    lines = Path(json.loads(out)["file"]).read_text().splitlines()
    assert len(lines) == 16
    assert all(len(json.loads(line)["input_ids"]) == 16 for line in lines)


def test_export_hands_over_to_a_trainer_and_writes_rows(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    output = tmp_path / "mine.yaml"
    command = ("export", finished, "--to", "llamafactory", "--output", output)
    code, out, err = mixwise(*command, "--materialise", "jsonl", "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["beside"] == [
        str(tmp_path / "mine-rows.jsonl"),
        str(tmp_path / "mine-data" / "dataset_info.json"),
    ]
    assert all(Path(path).is_file() for path in facts["beside"])
    rows = (tmp_path / "mine-rows.jsonl").read_text().splitlines()
    assert sum(facts["rows"].values()) == len(rows)
    assert output.read_text().startswith("# The mixture that mixwise ")
    code, out, _ = mixwise("export", finished, "--materialise", "jsonl", "--output", output)
    assert code == 0
    assert "mine-rows.jsonl" in out
    for to in ("shares", "stream"):
        code, _, err = mixwise("export", finished, "--to", to, "--materialise", "jsonl")
        assert code == 1
        assert f"exporter `{to}` writes no rows" in err


def test_shares_are_exported_without_base_and_data(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = Path(shutil.copytree(finished, tmp_path / "study"))
    note = json.loads((study / "study.json").read_text())
    note["recipe_folder"] = str(tmp_path / "gone")
    (study / "study.json").write_text(seal(note))
    code, out, err = mixwise("export", study, "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert sum(facts["tokens"].values()) == facts["horizon_tokens"] == 256
    for command in (["search", study], ["export", study, "--format", "stream"]):
        code, _, err = mixwise(*command)
        assert code == 1
        assert "study.json: `recipe_folder` must be the folder of the recipe" in err
    edit_text(study / "recipe.yaml", "learning_rate: 3.0e-3", "learning_rate: 4.0e-3")
    code, _, err = mixwise("export", study)
    assert code == 1
    assert "made from another recipe" in err


def test_data_of_the_study_are_not_written_over(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    folder = Path(json.loads((finished / "study.json").read_text())["recipe_folder"])
    data = next(path for path in sorted(folder.glob("*.jsonl")))
    before = data.read_bytes()
    (tmp_path / "linked").symlink_to(data)
    for output in (data, tmp_path / "linked"):
        code, _, err = mixwise("export", finished, "--to", "csv", "--output", output)
        assert code == 1
        assert "holds rows of the study: name another file" in err
    assert data.read_bytes() == before


def test_rows_are_not_written_where_a_trainer_would_look_for_others(
    finished: Path, tmp_path: Path, mixwise: Cli
) -> None:
    output = tmp_path / "run[1].yaml"
    command = ("export", finished, "--to", "trl", "--output", output, "--materialise", "jsonl")
    code, _, err = mixwise(*command)
    assert code == 1
    assert "TRL 1.16 takes paths without `[`, but the rows go to" in err
    assert not list(tmp_path.iterdir())
