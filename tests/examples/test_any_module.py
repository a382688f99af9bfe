"""The example of a network of one's own, in small."""

from pathlib import Path

import pytest

from examples import any_module


@pytest.mark.filterwarnings("ignore:problem `digits`. training changes")
def test_a_mixture_of_digits_is_recommended_and_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = any_module.main(str(tmp_path / "digits"), horizon=640)
    assert "Train on" in capsys.readouterr().out
    assert study.final is not None
    assert study.recommendation is not None
    assert (tmp_path / "digits" / "report.html").is_file()
