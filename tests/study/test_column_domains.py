from __future__ import annotations

import itertools
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import WORDS, sentences, write_rows
from tests.data.rows import write_lines, write_parquet
from tests.recipe.minimal import recipe

from mixwise import Study
from mixwise.errors import DataError, MixwiseWarning, RecipeError, ResourceError
from mixwise.files import HashMemo
from mixwise.recipe import Recipe, add_domains, load_recipe, parse_recipe
from mixwise.study.column_domains import find_values

ROWS = [
    {"text": "a", "source": "wiki"},
    {"text": "b", "source": "The Stack/v2"},
    {"text": "c", "source": "wiki"},
]


def split(**source: Any) -> Recipe:
    given = {"files": "d.jsonl", "column": "source"} | source
    return parse_recipe(f"base: b\nhorizon_tokens: 1000000\ndomains_from: {json.dumps(given)}", "r")


def refuse(folder: Path, rule: str, *rows: dict[str, Any], **source: Any) -> None:
    write_lines(folder / "d.jsonl", *rows)
    with pytest.raises(DataError, match=rule):
        find_values(split(**source), folder, None)


def test_each_value_is_a_domain_that_reads_its_own_rows(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", *ROWS)
    given = split(field="body", learn="all")
    values = find_values(given, tmp_path, None)
    assert values == {"The-Stack-v2": "The Stack/v2", "wiki": "wiki"}
    by_hand = {
        name: {"files": "d.jsonl", "field": "body", "learn": "all", "where": {"source": value}}
        for name, value in values.items()
    }
    found = add_domains(given, values, "r.yaml")
    assert found == recipe(base="b", domains=by_hand)
    assert found.key == recipe(base="b", domains=by_hand).key


def test_tables_and_objects_are_split_alike(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", *({"meta": {"source": row["source"]}} for row in ROWS))
    write_parquet(tmp_path / "d.parquet", text=["a", "b", "c"], source=[r["source"] for r in ROWS])
    nested = find_values(split(column="meta.source"), tmp_path, None)
    assert nested == find_values(split(files="d.parquet"), tmp_path, None)


def test_rows_that_where_leaves_out_name_no_domain(tmp_path: Path) -> None:
    rows = [row | {"language": "en" if i else "de"} for i, row in enumerate(ROWS)]
    write_lines(tmp_path / "d.jsonl", rows[0] | {"source": "news"}, *rows)
    given = split(where={"language": "en"})
    values = find_values(given, tmp_path, None)
    assert list(values) == ["The-Stack-v2", "wiki"]
    wiki = add_domains(given, values, "r.yaml").domains["wiki"]
    assert wiki.where == {"language": "en", "source": "wiki"}


def test_values_of_few_rows_are_left_out_and_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", *ROWS)
    rule = re.escape("1 value(s) of `source` that fewer than 2 rows have are left out: 'The Stack")
    with pytest.warns(MixwiseWarning, match=rule):
        assert list(find_values(split(least_rows=2), tmp_path, None)) == ["wiki"]


@pytest.mark.parametrize("value", [None, "", " ", 3, True, ["wiki"]])
def test_a_value_that_is_no_text_is_refused_with_its_row(tmp_path: Path, value: object) -> None:
    rule = r"d\.jsonl:2: `source` must hold a text that names .* but got " + re.escape(repr(value))
    refuse(tmp_path, rule, ROWS[0], {"text": "b", "source": value})


def test_a_row_without_the_column_is_refused(tmp_path: Path) -> None:
    rule = r"d\.jsonl:2: the field `source` is missing \(`domains_from\.column`\)"
    refuse(tmp_path, rule, ROWS[0], {"text": "b"})


def test_values_of_one_name_are_refused_with_both_places(tmp_path: Path) -> None:
    rule = (
        r"d\.jsonl:3: .* 'wiki ' and 'Wiki' \(first at .*d\.jsonl:1\) both make the domain `wiki`"
    )
    refuse(tmp_path, rule, *({"text": "a", "source": value} for value in ("Wiki", "b", "wiki ")))


def test_a_value_that_makes_no_name_is_refused(tmp_path: Path) -> None:
    rule = r"d\.jsonl:2: .* letters from a to z and digits, but `source` is '百科'"
    refuse(tmp_path, rule, ROWS[0], {"text": "b", "source": "百科"})


def test_more_values_than_domains_can_be_are_counted_and_the_most_frequent_named(
    tmp_path: Path,
) -> None:
    rows = [{"text": "a", "source": f"s{k}"} for k in [*range(65), 7, 7, 9]]
    rule = r"`source` has 65 values, but at most 64 .*: 's7' \(3 rows\), 's9' \(2 rows\)"
    refuse(tmp_path, rule, *rows)


def test_a_column_without_end_is_not_counted_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixwise.study.column_domains._MOST_VALUES", 9)
    rows = [{"text": "a", "source": f"s{k}"} for k in range(20)]
    refuse(tmp_path, "`source` has more than 9 values, but at most 64 can be domains", *rows)


def test_plain_text_and_no_row_cannot_be_split(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("a")
    refuse(tmp_path, r"d\.txt: plain text has no fields, which `domains_from", files="d.txt")
    write_lines(tmp_path / "d.jsonl", *ROWS)
    refuse(tmp_path, "`domains_from`: no row is left", *ROWS, where={"source": "none"})


def test_values_are_remembered_until_the_files_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lines(tmp_path / "d.jsonl", *ROWS)
    values = find_values(split(), tmp_path, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr("mixwise.study.column_domains.read_column", None)
        assert find_values(split(), tmp_path, tmp_path / "cache") == values
    write_lines(tmp_path / "d.jsonl", *ROWS, {"text": "d", "source": "news"})
    assert "news" in find_values(split(), tmp_path, tmp_path / "cache")


def test_a_damaged_memory_is_made_anew(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", *ROWS)
    values = find_values(split(), tmp_path, tmp_path / "cache")
    [file] = (tmp_path / "cache").glob("column-*.json")
    file.write_text(file.read_text().replace("wiki", "news"))
    with pytest.warns(MixwiseWarning, match="the column's values are counted anew"):
        assert find_values(split(), tmp_path, tmp_path / "cache") == values


def test_a_value_that_utf8_cannot_hold_is_refused_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"text": "a", "source": "a\\ud800"}\n')
    with pytest.raises(DataError, match=r"d\.jsonl:1: `source` is no valid Unicode"):
        find_values(split(), tmp_path, tmp_path / "cache")


def test_a_file_may_have_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9.jsonl")
    write_lines(file, *ROWS)
    values = find_values(split(files="*.jsonl"), tmp_path, tmp_path / "cache")
    assert find_values(split(files="*.jsonl"), tmp_path, tmp_path / "cache") == values
    memo, clock = tmp_path / "memo.json", itertools.count(time.time() + 60).__next__
    assert HashMemo(memo, clock=clock)(file) == HashMemo(memo, hash_file=str, clock=clock)(file)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "d.jsonl", *ROWS)
    (tmp_path / "cache").symlink_to("a disk that is not there")
    with pytest.raises(ResourceError, match="or set MIXWISE_CACHE to another folder"):
        find_values(split(), tmp_path, tmp_path / "cache")


def test_the_domains_must_fit_the_rest_of_the_recipe() -> None:
    values = {"wiki": "wiki", "code": "code"}
    assert add_domains(split(), values, "r.yaml").domain_names == ("wiki", "code")
    with pytest.raises(RecipeError, match=r"r\.yaml: `domains`: .* at least 2 domains, but got 1"):
        add_domains(split(), {"wiki": "wiki"}, "r.yaml")
    besides = recipe(domains_from={"files": "d.jsonl", "column": "source"})
    assert add_domains(besides, {"wiki": "w"}, "r.yaml").domain_names == ("math", "code", "wiki")
    with pytest.raises(RecipeError, match="a value makes the domain `code`, which `domains` names"):
        add_domains(besides, values, "r.yaml")
    bounds = {"bounds": {"wiky": {"max_share": 0.5}}}
    source = {"files": "d.jsonl", "column": "source"}
    unfit = recipe(domains={}, domains_from=source, search=bounds)
    with pytest.raises(RecipeError, match=r"`search\.bounds\.wiky`: not a domain: did you mean"):
        add_domains(unfit, values, "r.yaml")


def split_pico(pico: Path) -> None:
    """The three domains of the pico folder, in one file with a column that names them."""
    rows = [{"text": t, "source": name} for name in WORDS for t in sentences(name, 0, 60)]
    write_rows(pico / "all.jsonl", rows)
    text = (pico / "recipe.yaml").read_text()
    start, end = text.index("domains:"), text.index("horizon_tokens")
    source = "domains_from: {files: all.jsonl, column: source}\n"
    bounds = "search: {bounds: {alpha: {max_share: 0.9}}}\n"
    (pico / "split.yaml").write_text(text[:start] + source + text[end:] + bounds)


def test_check_opens_the_domains_of_a_column(
    pico: Path, mixwise: Callable[..., tuple[int, str, str]]
) -> None:
    split_pico(pico)
    code, out, err = mixwise("check", pico / "split.yaml", "--study", pico / "study", "--json")
    assert code == 0, err
    counts = json.loads(out)["review"]["counts"]
    assert [each["n_rows"] for each in counts[:3]] == [60, 60, 60]


def test_a_study_keeps_the_values_that_it_was_made_with(pico: Path) -> None:
    split_pico(pico)
    with Study.create(pico / "study", pico / "split.yaml") as study:
        study.check()
        made = study.recipe
    assert made.domain_names == ("alpha", "beta", "gamma")
    assert load_recipe(pico / "study" / "recipe.yaml").domains_from is not None
    (pico / "all.jsonl").unlink()
    opened = Study.open(pico / "study")
    assert opened.recipe == made


def test_a_recipe_that_is_edited_in_the_study_is_split_anew(pico: Path) -> None:
    split_pico(pico)
    with Study.create(pico / "study", pico / "split.yaml") as study:
        study.check()
    write_rows(pico / "all.jsonl", [{"text": "a b", "source": name} for name in "xyz"])
    edited = pico / "study" / "recipe.yaml"
    edited.write_text(edited.read_text().replace("alpha", "x").replace("beta", "y"))
    with pytest.warns(MixwiseWarning, match="is not the recipe that the study was made with"):
        assert Study.open(pico / "study").recipe.domain_names == ("x", "y", "z")
