from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools.docs.blocks import ROOT
from tools.docs.texts import code_texts, is_said

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"(?m)^> (.+)$", PAGE)


@pytest.mark.parametrize("quoted", QUOTED)
def test_the_code_says_what_is_quoted(quoted: str) -> None:
    assert is_said(quoted, code_texts())


def test_every_text_is_followed_by_its_cause_and_remedy() -> None:
    assert len(QUOTED) > 30
    assert len(set(QUOTED)) == len(QUOTED)
    assert not re.search(r"(?m)^> .+\n+(?:>|#|\Z)", PAGE)


def test_a_text_that_is_gone_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text('raise E(f"{a}: no {b}" " here: mend it")')
    assert is_said("no … here: mend it", code_texts(tmp_path))
    assert not is_said("no … there: mend it", code_texts(tmp_path))
