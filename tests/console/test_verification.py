import pytest

from mixwise.console.verification import print_findings


def test_a_line_for_each_thing_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings(
        [
            {"what": "base", "state": "right", "advice": ""},
            {"what": "expert of a", "state": "wrong", "advice": "restore it"},
            {"what": "ledger", "state": "right", "advice": ""},
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["right", "base"]
    assert lines[1].strip() == "wrong  expert of a: restore it"
    assert lines[-1] == "2 right, 1 wrong"
