from pathlib import Path

import pytest
from tests.data.corpora import TEXTS, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, *TEXTS)
    return tmp_path
