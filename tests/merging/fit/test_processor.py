from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.images import save_processor

from mixwise.data.image_processor import FILE
from mixwise.errors import CheckpointError
from mixwise.merging.fit.processor import require_same_processor


def edit(folder: Path, **settings: object) -> None:
    path = folder / FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_only_what_makes_other_pixels_is_refused(tmp_path: Path) -> None:
    base, expert = tmp_path / "base", tmp_path / "expert"
    expert.mkdir()
    save_processor(base)
    require_same_processor(base, expert)  # it has none
    save_processor(expert)
    edit(expert, image_processor_type="ViTImageProcessorFast", _commit_hash="abc")
    require_same_processor(base, expert)
    edit(expert, image_std=[0.1] * 3)
    with pytest.raises(CheckpointError, match=r"`image_std` of preprocessor_config\.json must be"):
        require_same_processor(base, expert)
