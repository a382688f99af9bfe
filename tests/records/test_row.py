from pathlib import Path

from tests.data.rows import texts, write_lines, write_parquet


def test_nested_fields_and_names_with_dots_are_found(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", {"meta": {"body": "a"}}, {"meta.body": "b", "meta": {}})
    assert texts(tmp_path, "d.jsonl", field="meta.body") == ["a", "b"]
    write_parquet(tmp_path / "n.parquet", meta=[{"body": "a", "n": 1}], other=[2])
    assert texts(tmp_path, "n.parquet", field="meta.body") == ["a"]
    write_parquet(tmp_path / "d.parquet", **{"meta.body": ["b"]})
    assert texts(tmp_path, "d.parquet", field="meta.body") == ["b"]
