import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.errors import RecipeError
from mixwise.kinds import LOSS
from mixwise.mixture import Mixture
from mixwise.objective import Metric, Term
from mixwise.recipe import Recipe, hash_section, load_recipe, parse_recipe

MINIMAL: dict[str, Any] = {
    "base": "models/base",
    "domains": {"math": {"files": "math.jsonl"}, "code": {"files": ["a.txt", "b.txt"]}},
    "horizon_tokens": 1_000_000,
}


def dump(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False)


def recipe(**changes: Any) -> Recipe:
    return parse_recipe(dump(MINIMAL | changes), "r.yaml")


def refuse(rule: str, **changes: Any) -> str:
    with pytest.raises(RecipeError, match=rule) as caught:
        recipe(**changes)
    return str(caught.value)


def domains(**code: Any) -> dict[str, Any]:
    return {"math": {"files": "math.jsonl"}, "code": code}


def test_the_smallest_recipe_has_these_defaults() -> None:
    small = recipe()
    assert small.domain_names == ("math", "code")
    assert small.domains["math"].files == ("math.jsonl",)
    assert small.domains["math"].field == "text"
    assert small.sequence_length == 1024
    assert (small.heldout.fraction, small.heldout.overlap) == (0.1, "refuse")
    assert (small.training.method, small.training.learning_rate) == ("full", 1e-4)
    assert (small.search.method, small.search.budget, small.search.max_repetition) == (
        "auto",
        None,
        4.0,
    )
    assert (small.validation.mixtures, small.validation.seeds) == (12, 2)
    assert small.final.baselines == ("uniform", "available", "single")
    assert (small.engine.workers, small.engine.threads) == ("auto", "auto")


def test_a_run_is_cut_to_whole_batches() -> None:
    cut = recipe(horizon_tokens=1000, sequence_length=16, training={"batch_sequences": 4})
    assert (cut.batch_tokens, cut.n_steps, cut.run_tokens) == (64, 15, 960)


def test_a_horizon_of_one_batch_is_enough() -> None:
    assert recipe(horizon_tokens=16 * 1024).n_steps == 1


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001"])
def test_a_number_in_scientific_notation_is_a_number(text: str) -> None:
    source = dump(MINIMAL) + f"training: {{learning_rate: {text}}}\n"
    assert parse_recipe(source, "r.yaml").training.learning_rate == 0.001


def test_digits_may_be_grouped() -> None:
    text = dump(MINIMAL).replace("1000000", "10_000_000")
    assert parse_recipe(text, "r.yaml").horizon_tokens == 10_000_000


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        recipe().base = "other"  # type: ignore[misc]


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
    ],
)
def test_an_unknown_key_at_any_depth_names_the_nearest_valid_one(
    changes: dict[str, Any], key: str, suggestion: str
) -> None:
    refuse(f"^r.yaml: `{re.escape(key)}`: unknown key: did you mean `{suggestion}`", **changes)


@pytest.mark.parametrize("name", ["int", "str", "hub", "files"])
def test_a_domain_may_be_named_like_a_type_or_a_key(name: str) -> None:
    chosen = {name: {"filess": "x"}, "b": {"files": "b"}}
    refuse(f"^r.yaml: `domains.{name}.filess`: unknown key: did you mean `files`", domains=chosen)


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


@pytest.mark.parametrize(
    ("changes", "key", "rule", "value"),
    [
        ({"horizon_tokens": "many"}, "horizon_tokens", "valid integer", "'many'"),
        ({"horizon_tokens": 0}, "horizon_tokens", "greater than 0", "0"),
        ({"sequence_length": 1}, "sequence_length", "greater than 1", "1"),
        ({"base": 3}, "base", "valid string", "3"),
        ({"domains": ["a", "b"]}, "domains", "valid dictionary", r"\['a', 'b'\]"),
        ({"domains": domains(files=3)}, "domains.code.files", "valid tuple", "3"),
        ({"search": {"prefer": "equal"}}, "search.prefer", "'uniform', 'available'", "'equal'"),
        ({"search": {"budget": 1.5}}, "search.budget", "valid integer", "1.5"),
        ({"search": {"budget": 0}}, "search.budget", "greater than 0", "0"),
        ({"search": {"max_repetition": 0}}, "search.max_repetition", "greater than 0", "0"),
        ({"training": {"learning_rate": float("nan")}}, "training.learning_rate", "finite", "nan"),
        ({"training": {"learning_rate": -1}}, "training.learning_rate", "greater than 0", "-1"),
        ({"training": {"adam_beta1": 1}}, "training.adam_beta1", "less than 1", "1"),
        ({"training": {"device": "gpu"}}, "training.device", "'cuda'", "'gpu'"),
        ({"heldout": {"fraction": 0}}, "heldout.fraction", "greater than 0", "0"),
        ({"heldout": {"fraction": 1}}, "heldout.fraction", "less than 1", "1"),
        ({"final": {"baselines": ["unifrm"]}}, "final.baselines.0", "'uniform'", "'unifrm'"),
        ({"engine": {"workers": 0}}, "engine.workers", "greater than 0", "0"),
        ({"engine": {"workers": "all"}}, "engine.workers", "'auto'", "'all'"),
        ({"validation": {"seeds": 0}}, "validation.seeds", "greater than 0", "0"),
        (
            {"search": {"bounds": {"code": {"max_share": 1.2}}}},
            "search.bounds.code.max_share",
            "less than or equal to 1",
            "1.2",
        ),
        (
            {"training": {"lora": {"target_modules": "q_proj"}}},
            "training.lora.target_modules",
            "'all-linear'",
            "'q_proj'",
        ),
    ],
)
def test_a_wrong_value_names_origin_key_rule_value_and_fix(
    changes: dict[str, Any], key: str, rule: str, value: str
) -> None:
    line = rf"r\.yaml: `{re.escape(key)}`: .*{rule}.*, but got {value}: \w+"
    assert re.search(line, refuse("r.yaml", **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"validation": {"mixtures": True}},
        {"training": {"seed": True}},
        {"horizon_tokens": True},
        {"search": {"max_repetition": True}},
    ],
)
def test_yes_is_not_a_number(changes: dict[str, Any]) -> None:
    refuse("valid (integer|number)", **changes)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {"domains": {"math": {"files": "m"}}},
            "`domains`: a mixture needs at least 2 domains, but got 1: add another",
        ),
        (
            {"domains": {"a b": {"files": "m"}, "c": {"files": "c"}}},
            "`domains.a b`: a name must consist of .*: rename it",
        ),
        (
            {"domains": {"a=": {"files": "m"}, "c": {"files": "c"}}},
            "`domains.a=`: a name must consist of",
        ),
        (
            {"domains": {".hidden": {"files": "m"}, "c": {"files": "c"}}},
            "`domains..hidden`: a name must .* begin with a letter or digit",
        ),
        (
            {"domains": {"A": {"files": "m"}, "a": {"files": "c"}}},
            "`a`: domains and evaluation sets need different names, but `A` exists .*: rename one",
        ),
        (
            {"evaluation": {"sets": {"Math": {"files": "m"}}}},
            "`Math`: domains and evaluation sets need different names, but `math` exists",
        ),
        (
            {"evaluation": {"sets": {"a/b": {"files": "m"}}}},
            "`evaluation.sets.a/b`: a name must consist of",
        ),
        (
            {"search": {"bounds": {"maths": {"max_share": 0.5}}}},
            "`search.bounds.maths`: not a domain: did you mean `math`",
        ),
        (
            {"horizon_tokens": 100},
            "`horizon_tokens` must hold at least one batch of 16384 tokens .* but got 100: raise",
        ),
        (
            {"training": {"batch_sequences": 16, "gradient_accumulation_steps": 3}},
            "`training`: `batch_sequences` must be a multiple .* 16 is not a multiple of 3: use 18",
        ),
        (
            {"training": {"batch_sequences": 2, "processes_per_run": 4}},
            "2 is not a multiple of 4: use 4",
        ),
        (
            {"domains": domains(files="x", hub={"dataset": "d"})},
            "`domains.code`: needs either `files` .* or `hub`, and not both",
        ),
        ({"domains": domains(field="x")}, "`domains.code`: needs either `files`"),
        ({"domains": domains(files=[])}, "`domains.code`: needs either `files`"),
        (
            {"objective": {"metrics": [{"set": "mat", "measure": "loss"}]}},
            "`objective.metrics.0`: `mat` is neither a domain nor .*: did you mean `math`",
        ),
        (
            {"search": {"method": "latice"}},
            "`search.method`: `latice` is not a search method: did you mean `lattice`",
        ),
        (
            {"merge": {"rule": "tis"}},
            "`merge.rule`: `tis` is not a merge rule: did you mean",
        ),
        (
            {"objective": {"metrics": [{"set": "math", "measure": "los"}]}},
            "`objective.metrics.0.measure`: `los` is not a measure: did you mean `loss`",
        ),
        (
            {"objective": {"metrics": [{"set": "math", "measure": "accuracy"}]}},
            "`objective.metrics.0`: `accuracy` cannot be measured on the text set `math`: "
            "use one of loss, bits_per_byte",
        ),
        (
            {"objective": {"metrics": [{"set": "math", "measure": "loss"}] * 2}},
            "`objective.metrics.1`: `math/loss` stands twice: keep one",
        ),
        (
            {"objective": {"metrics": [{"set": "math", "measure": "loss", "weight": 0}]}},
            "`objective.metrics.0.weight`: .*greater than 0",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_with_a_fix(
    changes: dict[str, Any], rule: str
) -> None:
    refuse(f"^r.yaml: {rule}|^r.yaml: .*{rule}", **changes)


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


@pytest.mark.parametrize("length", [64, 65, 244])
def test_a_name_has_at_most_64_characters(length: int) -> None:
    named = {"a" * length: {"files": "x"}, "b": {"files": "y"}}
    if length == 64:
        assert len(recipe(domains=named).domain_names[0]) == 64
    else:
        refuse(r"a name must consist of at most 64 letters, digits.*: rename it", domains=named)


@pytest.mark.parametrize("path", ["a" * 256, "ab/" * 1400, "é" * 128])
@pytest.mark.parametrize("key", ["base", "files", "heldout_files", "expert"])
def test_a_path_that_no_file_system_holds_is_told(key: str, path: str) -> None:
    rule = "a path may have 255 bytes between slashes and 4,095 in all"
    if key == "base":
        refuse(f"`base`: {rule}", base=path)
    else:
        refuse(
            rf"`domains\.code.{key}.*`: {rule}", domains=domains(**({"files": "x"} | {key: path}))
        )


@pytest.mark.parametrize(
    "key",
    [
        "sequence_length",
        "horizon_tokens",
        "training.batch_sequences",
        "training.gradient_accumulation_steps",
        "training.warmup_steps",
        "training.processes_per_run",
        "training.trajectory_checkpoints",
        "training.snapshots",
        "training.seed",
        "training.lora.rank",
        "training.lora.alpha",
        "evaluation.max_sequences",
        "evaluation.batch_sequences",
        "evaluation.memory_gb",
        "search.budget",
        "search.max_repetition",
        "calibration.mixtures",
        "calibration.seeds",
        "validation.mixtures",
        "validation.seeds",
        "final.seeds",
        "engine.workers",
        "engine.threads",
    ],
)
def test_absurd_numbers_are_refused(key: str) -> None:
    value: Any = 10**17
    for part in reversed(key.split(".")):
        value = {part: value}
    refuse(rf"`{re.escape(key)}`: input should be less than or equal to", **value)


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_a_mutated_recipe_is_a_recipe_or_an_error_of_ours(data: st.DataObject) -> None:
    whole = Path(__file__).parents[1] / "src/mixwise/demo/recipe.yaml"
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


def test_a_choice_set_takes_no_keys_without_effect() -> None:
    def sets(**keys: Any) -> dict[str, Any]:
        return {"sets": {"quiz": {"files": "q.jsonl", **keys}}}

    rule = "`field` has no effect on choice records: use `fields`"
    refuse(rule, evaluation=sets(kind="choice", field="question"))
    rule = "`fields` has no effect on text records: use `field`"
    refuse(rule, evaluation=sets(fields={"prompt": "question"}))
    refuse("choice records are rows", evaluation=sets(kind="choice", format="text"))
    rule = r"`evaluation\.sets\.quiz\.fields\.promt`: unknown key: did you mean `prompt`"
    refuse(rule, evaluation=sets(kind="choice", fields={"promt": "question"}))


def test_every_set_has_every_measure_of_its_kind() -> None:
    chosen = recipe(evaluation={"sets": {"quiz": {"files": "q", "kind": "choice"}}})
    assert chosen.set_kinds == {"math": "text", "code": "text", "quiz": "choice"}
    assert [metric.name for metric in chosen.metrics] == [
        "math/loss",
        "math/bits_per_byte",
        "code/loss",
        "code/bits_per_byte",
        "quiz/accuracy",
        "quiz/accuracy_norm",
        "quiz/answer_bits_per_byte",
    ]


def test_the_objective_is_by_default_the_mean_loss_of_all_domains() -> None:
    objective = recipe().objective_terms
    assert objective.aggregation == "mean"
    assert objective.terms == (
        Term(Metric.of("math", LOSS), 1.0),
        Term(Metric.of("code", LOSS), 1.0),
    )


def test_a_direction_of_the_objective_turns_that_metric_alone() -> None:
    turned = recipe(
        objective={
            "metrics": [{"set": "math", "measure": "loss", "direction": "max", "weight": 2}],
            "aggregation": "worst",
        }
    )
    assert turned.objective_terms.terms == (Term(Metric.of("math", LOSS, "max"), 2.0),)
    assert turned.objective_terms.aggregation == "worst"
    assert [m.direction for m in turned.metrics] == ["max", "min", "min", "min"]


def test_the_space_is_cut_by_bounds_and_repetition() -> None:
    chosen = recipe(
        horizon_tokens=1600 * 1024,
        search={
            "max_repetition": 2,
            "bounds": {"math": {"min_share": 0.1, "max_share": 0.9}},
        },
    )
    assert chosen.run_tokens == 1600 * 1024
    space = chosen.space({"math": 640 * 1024, "code": 10**9})
    assert space.domains == ("math", "code")
    assert space.lower == (0.1, 0.0)
    assert space.upper == (pytest.approx(0.8), 1.0)


def test_a_bound_below_the_cap_stands() -> None:
    chosen = recipe(search={"bounds": {"math": {"max_share": 0.3}}})
    assert chosen.space({"math": 10**9, "code": 10**9}).upper == (0.3, 1.0)


def test_a_domain_without_bounds_may_take_all() -> None:
    space = recipe().space({"math": 10**9, "code": 10**9})
    assert space.contains(Mixture.single(space.domains, "code"))


def test_too_little_data_for_any_mixture_is_told() -> None:
    with pytest.raises(RecipeError, match="`max_share` of the domains must add up to at least 1"):
        recipe().space({"math": 1000, "code": 1000})


def test_a_minimum_that_the_data_cannot_fill_is_told() -> None:
    chosen = recipe(search={"bounds": {"math": {"min_share": 0.5}}})
    with pytest.raises(RecipeError, match=r"bounds of `math` .* repetition limit lowers max_share"):
        chosen.space({"math": 1000, "code": 10**9})


def test_a_minimum_above_the_maximum_is_told() -> None:
    with pytest.raises(RecipeError, match=r"`min_share` \(0.5\) must not exceed `max_share` \(0.2"):
        recipe(search={"bounds": {"math": {"min_share": 0.5, "max_share": 0.2}}})


def test_equal_sections_hash_alike_and_any_change_shows() -> None:
    first, same, other = (recipe(training={"seed": seed}).training for seed in (1, 1, 2))
    assert hash_section(first) == hash_section(same)
    assert hash_section(first) != hash_section(other)


def test_the_hash_knows_where_one_part_ends() -> None:
    assert hash_section("ab", "c") != hash_section("a", "bc")
    assert hash_section("a") != hash_section("a", "")
