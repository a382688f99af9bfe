"""What `mixwise init` takes over from an exported configuration is what it was made from."""

from pathlib import Path

import pytest
from tests.export.studies import hand, handed, write_words

from mixwise.export.trainers.axolotl import AXOLOTL
from mixwise.export.trainers.llamafactory import LLAMAFACTORY
from mixwise.export.trainers.trainer import Trainer
from mixwise.export.trainers.trl import TRL
from mixwise.stages.trainers.read import read_config


@pytest.mark.parametrize("trainer", [TRL, AXOLOTL, LLAMAFACTORY], ids=lambda trainer: trainer.name)
def test_init_reads_the_files_back(trainer: Trainer, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_words(tmp_path / f"{name}.jsonl", 5, 8)
    mixture = hand(
        *(
            handed(name, 0.5, n_rows=400, mean=5, files=(tmp_path / f"{name}.jsonl",))
            for name in ("a", "b")
        )
    )
    file = tmp_path / trainer.file
    made = trainer.render(mixture, file)
    file.write_text("\n".join(made.lines))
    for path, text in made.beside.items():
        path.parent.mkdir()
        path.write_text(text)
    taken = read_config(file, tmp_path)
    assert [(tmp_path / domain.keys["files"]).name for domain in taken.domains] == [
        "a.jsonl",
        "b.jsonl",
    ]
    assert taken.keys["base"] == "base"
    assert not any("learn" in domain.keys for domain in taken.domains)
