import pytest

from mixwise.console.verification import print_findings
from mixwise.stages.verify import Finding


def test_a_line_for_each_thing_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings(
        [
            Finding("base", "right"),
            Finding("expert of a", "wrong", "restore it"),
            Finding("ledger", "right"),
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["right", "base"]
    assert lines[1].strip() == "wrong  expert of a: restore it"
    assert lines[-1] == "2 right, 1 wrong"
