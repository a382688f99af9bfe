from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.command_line import Cli


@pytest.mark.parametrize("command", [["score"], ["nonsense"], ["check", "none.yaml"]])
def test_json_is_one_document_whatever_happens(command: list[str], mixwise: Cli) -> None:
    code, out, err = mixwise(*command, "--json")
    assert code in {1, 2}
    document = json.loads(out)
    assert document["error"] == ("usage" if code == 2 else "RecipeError")
    assert document["problems"]
    assert err


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ZeroDivisionError("by nought"), "ZeroDivisionError", "this is a defect of mixwise"),
        (MemoryError(), "ResourceError", "not enough memory"),
        (OSError(28, "No space left on device", "x"), "ResourceError", "x: cannot be written (the"),
    ],
)
def test_json_is_one_document_for_what_nobody_expected(
    error: Exception,
    kind: str,
    text: str,
    mixwise: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("mixwise.api.study.load_recipe", fail)
    code, out, err = mixwise("check", tmp_path, "--json")
    document = json.loads(out)
    assert (code, document["error"]) == (1, kind)
    assert text in document["problems"][0]
    assert text in err
