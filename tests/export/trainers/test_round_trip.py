"""What `mixwise init` takes over from an exported configuration is what it was made from."""

from pathlib import Path

import pytest
from tests.export.studies import hand, handed, write_words

from mixwise.errors import RecipeError
from mixwise.export.trainers.axolotl import AXOLOTL
from mixwise.export.trainers.huggingface import HUGGINGFACE
from mixwise.export.trainers.llamafactory import LLAMAFACTORY
from mixwise.export.trainers.llamafactory_v1 import LLAMAFACTORY_V1
from mixwise.export.trainers.megatron import MEGATRON
from mixwise.export.trainers.ms_swift import MS_SWIFT
from mixwise.export.trainers.nemo import NEMO
from mixwise.export.trainers.olmo_core import OLMO_CORE
from mixwise.export.trainers.torchtitan import TORCHTITAN
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


@pytest.mark.parametrize(
    ("trainer", "why"),
    [
        (MEGATRON, "for Megatron, whose files hold token ids and no texts"),
        (MS_SWIFT, "give ms-swift's arguments as YAML"),
        (NEMO, "is that of NeMo Automodel"),
        (OLMO_CORE, "is that of OLMo-core"),
        (TORCHTITAN, "is Python"),
        (HUGGINGFACE, "is Python"),
        (LLAMAFACTORY_V1, "is that of LLaMA-Factory's v1"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_init_cannot_read_back_is_refused_with_what_to_do(
    trainer: Trainer, why: str, tmp_path: Path
) -> None:
    records = "sharegpt" if trainer is LLAMAFACTORY_V1 else "text"
    shares = (handed(name, 0.5, n_rows=400, mean=5, records=records) for name in ("a", "b"))
    file = tmp_path / trainer.file
    file.write_text("\n".join(trainer.render(hand(*shares), file).lines))
    with pytest.raises(RecipeError, match=why):
        read_config(file, tmp_path)
