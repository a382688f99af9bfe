import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recipe.minimal import MINIMAL, domains, dump, recipe, refuse

from mixwise.errors import RecipeError
from mixwise.recipe import load_recipe, parse_recipe


@pytest.mark.parametrize(
    ("changes", "key", "suggestion"),
    [
        ({"serch": {}}, "serch", "search"),
        ({"search": {"methd": "lattice"}}, "search.methd", "method"),
        (
            {"search": {"bounds": {"code": {"min_shar": 0}}}},
            "search.bounds.code.min_shar",
            "min_share",
        ),
        ({"training": {"lora": {"rnk": 8}}}, "training.lora.rnk", "rank"),
        ({"domains": domains(files="x", fild="t")}, "domains.code.fild", "field"),
        (
            {"domains": domains(sources=[{"files": "x"}, {"files": "y", "wieght": 1}])},
            "domains.code.sources.1.wieght",
            "weight",
        ),
        (
            {"domains": domains(hub={"dataset": "d", "splt": "train"})},
            "domains.code.hub.splt",
            "split",
        ),
        (
            {"evaluation": {"sets": {"quiz": {"files": "q", "knd": "choice"}}}},
            "evaluation.sets.quiz.knd",
            "kind",
        ),
        (
            {"objective": {"metrics": [{"set": "math", "measure": "loss", "wieght": 2}]}},
            "objective.metrics.0.wieght",
            "weight",
        ),
        ({"heldout": {"fractoin": 0.1}}, "heldout.fractoin", "fraction"),
        ({"final": {"seed": 3}}, "final.seed", "seeds"),
        ({"engine": {"worker": 1}}, "engine.worker", "workers"),
        ({"validation": {"mixture": 1}}, "validation.mixture", "mixtures"),
        (
            {
                "domains": {},
                "domains_from": {"column": "c", "hub": {"dataset": "a/b", "splt": "x"}},
            },
            "domains_from.hub.splt",
            "split",
        ),
        (
            {"domains": {"fields": {"files": "f", "recrds": "x"}}},
            "domains.fields.recrds",
            "records",
        ),
        (
            {"domains": {"web": {"sources": [{"hub": {"dataset": "a/b", "splt": "x"}}]}}},
            "domains.web.sources.0.hub.splt",
            "split",
        ),
    ],
)
def test_an_unknown_key_at_any_depth_names_the_nearest_valid_one(
    changes: dict[str, Any], key: str, suggestion: str
) -> None:
    refuse(f"^r.yaml: `{re.escape(key)}`: unknown key: did you mean `{suggestion}`", **changes)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("base: other\n", "the key `base` stands twice"),
        ("search: {seed: 1, seed: 2}\n", "the key `seed` stands twice"),
    ],
)
def test_a_doubled_key_is_refused(text: str, line: str) -> None:
    with pytest.raises(RecipeError, match=rf"^r.yaml: not valid YAML: {line} \(line \d+\): rename"):
        parse_recipe(dump(MINIMAL) + text, "r.yaml")


def test_a_doubled_domain_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"`a` stands twice \(line 3\)"):
        parse_recipe("domains:\n  a: {files: x}\n  a: {files: y}\n", "r.yaml")


@pytest.mark.parametrize("key", ["base", "domains", "horizon_tokens"])
def test_a_missing_key_is_named(key: str) -> None:
    rest = {k: v for k, v in MINIMAL.items() if k != key}
    with pytest.raises(RecipeError, match=f"^r.yaml: `{key}`: this key is required: add it"):
        parse_recipe(dump(rest), "r.yaml")


def test_a_missing_key_of_a_metric_is_named() -> None:
    refuse(
        "`objective.metrics.0.measure`: this key is required",
        objective={"metrics": [{"set": "math"}]},
    )


def test_all_problems_are_told_at_once_a_line_each() -> None:
    text = refuse("r.yaml", horizon_tokens=10, search={"bounds": {"x": {}}})
    assert [line.split("`")[1] for line in text.splitlines()] == [
        "search.bounds.x",
        "horizon_tokens",
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "a recipe must be a mapping of keys, but got NoneType: start from `mixwise init`"),
        ("- a\n- b\n", "a recipe must be a mapping of keys, but got list"),
        ("base: [\n", "not valid YAML: .*line 2"),
        ("base: \x00", "not valid YAML"),
        ("base: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_text_that_is_no_recipe_is_refused(text: str, rule: str) -> None:
    with pytest.raises(RecipeError, match=f"^r.yaml: {rule}"):
        parse_recipe(text, "r.yaml")


@pytest.mark.parametrize("text", ["? [a]\n: 1\n", "base: 2024-13-45\n", "horizon_tokens: 0x_\n"])
def test_yaml_that_python_cannot_build_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^r\.yaml: "):
        parse_recipe(text, "r.yaml")


def test_a_section_may_be_shared_by_a_yaml_anchor() -> None:
    text = (
        "base: b\nhorizon_tokens: 100000\ndomains:\n"
        "  a: &shared {files: a.jsonl, field: body}\n  b: {<<: *shared, files: b.jsonl}\n"
    )
    merged = parse_recipe(text, "r.yaml").domains["b"]
    assert (merged.files, merged.field) == (("b.jsonl",), "body")


def test_a_recipe_is_loaded_from_a_file_and_errors_name_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(dump(MINIMAL))
    assert load_recipe(path) == recipe()
    path.write_text("base: b\n")
    with pytest.raises(RecipeError, match=rf"{re.escape(str(path))}: `domains`"):
        load_recipe(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00b"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"mine.yaml: the recipe cannot be read .*`mixwise init`"):
        load_recipe(path)


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the recipe cannot be read"):
        load_recipe(tmp_path)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("!!int ''", "line 2: '' is no int"),
        ("!!float ''", "line 2: '' is no float"),
        ("!!bool foo", "line 2: 'foo' is no bool"),
        ("!!timestamp foo", "line 2: 'foo' is no timestamp"),
        ("0x" + "f" * 10_000, ""),
        ("&a [*a]", "aliases unfold to more than 50,000 values"),
        ("[" * 5000, ""),
    ],
)
def test_a_value_that_yaml_cannot_build_is_told_in_one_line(value: str, rule: str) -> None:
    with pytest.raises(RecipeError, match=rf"r\.yaml: .*{rule}") as caught:
        parse_recipe(f"horizon_tokens: 1000\nbase: {value}\n", "r.yaml")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("levels", [6, 10, 40])
@pytest.mark.parametrize("kind", ["list", "merge"])
def test_aliases_of_aliases_are_bounded(levels: int, kind: str) -> None:
    if kind == "list":
        lines = [f"- &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
        text = "base:\n- &a0 [x]\n" + "\n".join(lines)
    else:
        lines = [
            f"k{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, levels)
        ]
        text = "k0: &a0 {x: 1}\n" + "\n".join(lines)
    with pytest.raises(RecipeError, match="aliases unfold to more than 50,000 values"):
        parse_recipe(text, "r.yaml")


def test_a_recipe_of_a_megabyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("#" * 2**20 + "\n")
    with pytest.raises(RecipeError, match="larger than 1,048,576 bytes"):
        load_recipe(path)


@pytest.mark.parametrize("value", [1.5, None, ["wiki"]])
def test_a_value_that_rows_cannot_be_chosen_by_is_told_in_one_line(value: object) -> None:
    web = {"files": "web.jsonl", "where": {"source": value}}
    rule = r"`domains\.web\.where\.source`: must be a text, a whole number, or true or false, but"
    assert "\n" not in refuse(rule, domains={"web": web, "code": {"files": "code.jsonl"}})


def test_a_long_value_is_shortened_in_the_error() -> None:
    told = refuse("`sequence_length`: .*, but got 'xxx", sequence_length="x" * 100_000)
    assert len(told) < 300
    assert len(refuse("`xxx.*: unknown key", **{"x" * 100_000: 1})) < 1000


def test_very_many_problems_are_counted() -> None:
    told = refuse("and 980 more problems", **{f"key{i}": 1 for i in range(1000)})
    assert len(told.splitlines()) == 21


@pytest.mark.parametrize(
    "changes",
    [
        {"base": "a\x1b[2Jb"},
        {"base": "a\nmixwise: error: forged"},
        {"a\x1b[2Jb\nc": 1},
        {"domains": {"a\x1b[2J": {"files": "x"}, "b": {"files": "y"}}},
        {"domains": {"a": {"files": "x\u202ey"}, "b": {"files": "y"}}},
        {"search": {"bounds": {"\x1b\n": {}}}},
        {"objective": {"metrics": [{"set": "math", "measure": "\x1b"}]}},
    ],
)
def test_control_characters_never_reach_a_message(changes: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"^r\.yaml: ") as caught:
        recipe(**changes)
    assert all(line.isprintable() for line in str(caught.value).splitlines())
    assert "mixwise: error: forged" not in str(caught.value).splitlines()


def test_joined_letters_and_wide_spaces_are_no_control_characters() -> None:
    files = ("می\u200cخواهم.txt", "a\u3000b.txt", "a\u00a0b.txt")
    assert recipe(domains=domains(files=list(files))).domains["code"].files == files


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_a_mutated_recipe_is_a_recipe_or_an_error_of_ours(data: st.DataObject) -> None:
    whole = Path(__file__).parents[2] / "src/mixwise/demo/recipe.yaml"
    lines = whole.read_text().splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        i = data.draw(st.integers(0, len(lines) - 1))
        place = data.draw(st.integers(0, len(lines[i])))
        junk = data.draw(
            st.one_of(
                st.text(max_size=6),
                st.sampled_from(["!!int ''", "&a", "*a", "<<: ", "- ", "null", "9" * 40, "[", "{"]),
            )
        )
        lines[i] = lines[i][:place] + junk + lines[i][place + data.draw(st.integers(0, 5)) :]
    told = "r.yaml: "
    try:
        parse_recipe("\n".join(lines), "r.yaml")
    except RecipeError as error:
        told = str(error)
    assert all(line.startswith("r.yaml: ") for line in told.splitlines())
    assert all(line.isprintable() and len(line) < 1000 for line in told.splitlines())
