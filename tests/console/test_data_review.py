import pytest
from PIL import Image

from mixwise.console.data_review import print_review
from mixwise.data.statistics import CorpusCounts, SharedRows
from mixwise.records.record import Document
from mixwise.study.data_review import DataReview, ShownRow

COUNTS = CorpusCounts("talks", 1200, 3, 90_000, 30_000, 70, 2048, 5, 7)


def shown(capsys: pytest.CaptureFixture[str], *documents: Document) -> str:
    rows = tuple(ShownRow("talks", document) for document in documents)
    print_review(DataReview(1024, (COUNTS,), (SharedRows("talks", "code", 12),), rows))
    return capsys.readouterr().out


def test_counts_and_shared_rows_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys)
    for word in ("1,200", "90,000", "33%", "70", "2,048", "over 1,024", "duplicates"):
        assert word in out
    assert "`talks` and `code` share 12 row(s)" in out


def test_what_is_learned_stands_between_marks(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(
        capsys,
        Document("ask: yes. ask: no.", "d", 3, supervised=((5, 9), (15, 18))),
        Document("all of it\x1b[2J", "d", 4),
    )
    assert "`talks`, d:3; ⟦learned⟧:\nask: ⟦yes.⟧ ask: ⟦no.⟧\n" in out
    assert "`talks`, d:4; ⟦learned⟧:\n⟦all of it\\x1b[2J⟧\n" in out


def test_long_rows_are_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    whole = shown(capsys, Document("a" * 5000, "d", 1))
    assert f"\n⟦{'a' * 4000}… (1,000 more characters)\n" in whole
    late = Document("a" * 5000, "d", 1, supervised=((2, 4), (4500, 4600)))
    assert f"\naa⟦aa⟧{'a' * 3996}… (1,000 more characters)\n" in shown(capsys, late)


def test_images_have_no_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    image = Image.new("RGB", (30, 20))
    rows = (ShownRow.of("talks", Document("hash", "cats/1.png", 0, label="cat", image=image)),)
    print_review(DataReview(1, (COUNTS,), (), rows, has_tokens=False))
    shown = capsys.readouterr().out
    assert "`talks`, cats/1.png: cat, 30 × 20 pixels" in shown
    assert "tokens" not in shown
