from __future__ import annotations

from pathlib import Path

import pytest

from mixwise.stages.init_tasks import holds_labels, is_image_folder, task_of


def write(path: Path, text: str = "never opened") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_an_image_folder_holds_folders_of_images(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        write(tmp_path / "pets" / label / "1.JPG")
    write(tmp_path / "pets" / ".cache" / "index")
    assert is_image_folder(tmp_path / "pets")
    write(tmp_path / "pets" / "cat" / "words.txt")
    assert not is_image_folder(tmp_path / "pets")
    assert not is_image_folder(write(tmp_path / "file.png"))


def test_a_folder_that_may_not_be_read_is_no_image_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost+found").mkdir()

    def refuse(folder: Path) -> None:
        raise PermissionError(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert not is_image_folder(tmp_path / "lost+found")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ('{"text": "dull", "label": "bad"}', True),
        ('{"text": "dull", "label": 0}', True),
        ('{"text": "dull", "label": null}', False),
        ('{"text": "dull", "label": true}', False),
        ('{"text": "dull"}', False),
        ("{broken", False),
    ],
)
def test_labels_are_told_by_the_first_row(tmp_path: Path, row: str, expected: bool) -> None:
    assert holds_labels(write(tmp_path / "rows.jsonl", row)) == expected


@pytest.mark.parametrize(
    ("architectures", "n_images", "labelled", "task"),
    [
        ('["ViTForImageClassification"]', 2, [True, True], "image-classification"),
        ('["BertForSequenceClassification"]', 2, [True, True], "text-classification"),
        ('["BertForSequenceClassification"]', 0, [True, False], "causal-lm"),
        ('["LlamaForCausalLM"]', 2, [True, True], "causal-lm"),
        ("null", 0, [True, True], "text-classification"),
    ],
)
def test_the_base_decides_where_it_is_known(
    tmp_path: Path, architectures: str, n_images: int, labelled: list[bool], task: str
) -> None:
    write(tmp_path / "config.json", f'{{"architectures": {architectures}}}')
    assert task_of(tmp_path, n_images, labelled) == task
