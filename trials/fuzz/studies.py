"""Kinds of input that mixwise itself writes: files of a study, of its cache, and checkpoints.

Half of the sealed files are changed before they are sealed: hashes tell damage, and a file that
somebody else has made has the right one.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from random import Random

from trials.fuzz.kinds import Kind
from trials.fuzz.mutation import hostile_value, mutate_bytes, mutate_value

RESULTS = ("search", "calibration", "validation", "final", "recommendation", "diagnose")
_SHOWN = (
    "study/recommendation.json",
    "study/search.json",
    "study/final.json",
    "study/notices.json",
)


def study_kinds(place: Path) -> list[Kind]:
    """All of them.

    Args:
        place: A finished study with its cache, as `trials.tiny_study` makes them.
    """
    study = place / "study"
    run = (study / "experts/alpha/run.json").read_bytes()
    facts = next((place / "cache/tokens").glob("*/facts.json")).read_bytes()
    vector = (study / "task_vectors/alpha.safetensors").read_bytes()
    predictions = next((study / "predictions").glob("*.safetensors")).read_bytes()
    whole = _small_files(study)
    kinds = [
        Kind(
            f"{name}.json", f"{name}.json", [(study / f"{name}.json").read_bytes()],
            _change_sealed, partial(_read_result, name), 8, {},
        )
        for name in RESULTS
    ]  # fmt: skip
    shown = [
        Kind(
            f"report of {Path(file).stem}",
            file,
            [whole[file]],
            _change_sealed,
            _read_report,
            2,
            whole,
        )
        for file in _SHOWN
    ]
    return [
        *kinds,
        *shown,
        Kind("study.json", "study/study.json", [whole["study/study.json"]], _change_sealed,
             _read_study, 15, {"study/recipe.yaml": whole["study/recipe.yaml"]}),
        Kind("run.json", "run.json", [run], _change_sealed, _read_run, 20, {}),
        Kind("notices.json", "notices.json", [whole["study/notices.json"]], mutate_json_or_bytes,
             _read_notices, 30, {}),
        Kind("facts.json", "c/facts.json", [facts], _change_sealed, _read_facts, 30, {}),
        Kind("ledger", "ledger.sqlite", _ledgers(study), _change_ledger, _read_ledger, 30, {}),
        Kind("task vector", "alpha.safetensors", [vector], mutate_bytes, _read_vector, 15, {}),
        Kind("predictions", "p.safetensors", [predictions], mutate_bytes, _read_predictions, 10,
             {}),
        *_checkpoints(study),
    ]  # fmt: skip


def _small_files(study: Path) -> dict[str, bytes]:
    """What a page shows, without models."""
    names = [*(f"{name}.json" for name in RESULTS), "study.json", "notices.json", "recipe.yaml"]
    return {
        f"study/{name}": (study / name).read_bytes() for name in names if (study / name).exists()
    }


def _checkpoints(study: Path) -> list[Kind]:
    from safetensors.torch import load_file, save

    folder = study / "experts/alpha"
    model, config = (
        (folder / "model.safetensors").read_bytes(),
        (folder / "config.json").read_bytes(),
    )
    names = list(load_file(folder / "model.safetensors"))
    index = json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, "a.safetensors")})
    import torch

    lora = {
        f"base_model.model.model.layers.0.self_attn.q_proj.lora_{side}.weight": torch.ones(shape)
        for side, shape in (("A", (2, 16)), ("B", (16, 2)))
    }
    adapter = json.dumps(
        {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none"}
    )
    both = {"model.safetensors": model, "config.json": config}
    return [
        Kind("safetensors", "model.safetensors", [model], _change_head, _read_checkpoint, 20,
             {"config.json": config}),
        Kind("config.json", "config.json", [config], mutate_json_or_bytes, _read_checkpoint, 15,
             both),
        Kind("weight index", "model.safetensors.index.json", [index.encode()], mutate_json_or_bytes,
             _read_checkpoint, 10, {"config.json": config, "a.safetensors": model}),
        Kind("adapter_config.json", "adapter_config.json", [adapter.encode()], mutate_json_or_bytes,
             _read_checkpoint, 10, {"adapter_model.safetensors": save(lora)}),
    ]  # fmt: skip


def mutate_json_or_bytes(content: bytes, rng: Random) -> bytes:
    """One JSON document, changed as bytes or as a value."""
    if rng.random() < 0.4:
        return mutate_bytes(content, rng)
    return json.dumps(mutate_value(json.loads(content), rng)).encode()


def _change_sealed(content: bytes, rng: Random) -> bytes:
    from mixwise.files import seal

    if rng.random() < 0.3:
        return mutate_bytes(content, rng)
    value = mutate_value(json.loads(content), rng)
    is_object = isinstance(value, dict) and rng.random() < 0.9
    try:
        return (seal(value) if is_object else json.dumps(value)).encode()
    except (ValueError, TypeError):  # half signs, which UTF-8 does not hold
        return json.dumps(value).encode()


def _change_head(content: bytes, rng: Random) -> bytes:
    """Mostly the header of a safetensors file, which is what is trusted of it."""
    length = int.from_bytes(content[:8], "little")
    if rng.random() < 0.3:
        return mutate_bytes(content, rng)
    head = mutate_json_or_bytes(content[8 : 8 + length], rng)
    size = len(head) if rng.random() < 0.8 else rng.choice((0, 2**20, 2**62, 2**64 - 1))
    return size.to_bytes(8, "little") + head + content[8 + length :]


def _ledgers(study: Path) -> list[bytes]:
    """A ledger as one file, nothing of it in a log beside."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "ledger.sqlite"
        for suffix in ("", "-wal"):
            if Path(f"{study / copy.name}{suffix}").is_file():
                shutil.copyfile(f"{study / copy.name}{suffix}", f"{copy}{suffix}")
        connection = sqlite3.connect(copy)
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("DELETE FROM measurement WHERE observation > 12")
        connection.execute("DELETE FROM derivative WHERE observation > 12")
        connection.execute("DELETE FROM observation WHERE id > 12")
        connection.commit()
        connection.execute("VACUUM")
        connection.close()
        return [copy.read_bytes()]


_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "observation": ("fingerprint", "answer", "rule", "mixture", "seeds", "seconds",
                    "tokens_trained", "tokens_evaluated", "provenance", "checksum"),
    "measurement": ("metric", "value", "examples", "example_weights"),
    "derivative": ("metric", "kind", "shape", "numbers"),
}  # fmt: skip


def _change_ledger(content: bytes, rng: Random) -> bytes:
    """Bytes, or a value of a row whose checksum is then made right."""
    if rng.random() < 0.5:
        return mutate_bytes(content, rng)
    from mixwise.ledger.rows import checksum_of, decode_text

    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(content)
    connection.text_factory = decode_text
    table = rng.choice(list(_COLUMNS))
    column, key = rng.choice(_COLUMNS[table]), "id" if table == "observation" else "observation"
    value = hostile_value(rng)
    if rng.random() < 0.3:
        value = bytes(rng.randrange(256) for _ in range(rng.choice((0, 3, 8, 64))))
    elif rng.random() < 0.4:
        value = json.dumps(value)
    try:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = 3", (value,))
        connection.execute(
            "UPDATE observation SET checksum = ? WHERE id = 3", (checksum_of(connection, 3),)
        )
    except (sqlite3.Error, OverflowError, UnicodeError):  # not every value has a place in a table
        return mutate_bytes(content, rng)
    return bytes(connection.serialize())


def _read_result(name: str, folder: Path, rng: Random) -> object:
    from mixwise.files import load_sealed
    from mixwise.study.result_files import FILES, parse_result, result_to_json

    path = folder / f"{name}.json"
    kind = next(kind for kind, file in FILES.items() if file == path.name)
    return result_to_json(parse_result(kind, load_sealed(path, "delete it"), str(path)))


def _read_report(folder: Path, rng: Random) -> object:
    from mixwise.report.page import save_report
    from mixwise.stages.status import read_status
    from mixwise.study.folder import StudyFolder

    opened = StudyFolder.open(folder / "study")
    text = save_report(opened.folder).read_text()
    assert "<script>alert" not in text.lower(), "a name is markup in the report"
    return read_status(opened)


def _read_study(folder: Path, rng: Random) -> object:
    from mixwise.study.folder import StudyFolder

    opened = StudyFolder.open(folder / "study")
    opened.require_recipe_folder()
    return opened.recipe, opened.recipe_hash, opened.held


def _read_run(folder: Path, rng: Random) -> object:
    from mixwise.training.job import load_record

    return load_record(folder)


def _read_notices(folder: Path, rng: Random) -> object:
    from mixwise.report.notices import load_notices

    return load_notices(folder / "notices.json")


def _read_facts(folder: Path, rng: Random) -> object:
    from mixwise.data.token_cache import load_cached

    return load_cached(folder / "c", "alpha")


def _read_ledger(folder: Path, rng: Random) -> object:
    from mixwise.ledger import Ledger
    from mixwise.ledger.ledger import check_ledger

    path = folder / "ledger.sqlite"
    if rng.random() < 0.3:
        return check_ledger(path)
    ledger = Ledger(path, read_only=rng.random() < 0.3)
    try:
        return ledger.observations(), ledger.forget()
    finally:
        ledger.close()


def _read_vector(folder: Path, rng: Random) -> object:
    from mixwise.merging.task_vectors.store import find_damaged

    return list(find_damaged(folder))


def _read_predictions(folder: Path, rng: Random) -> object:
    from mixwise.scoring.token_likelihoods import load_likelihoods

    return load_likelihoods(folder / "p.safetensors")


def _read_checkpoint(folder: Path, rng: Random) -> object:
    from mixwise.models.checkpoint import open_checkpoint

    opened = open_checkpoint(folder)
    return opened, opened.n_bytes
