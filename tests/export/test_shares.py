import json
from dataclasses import replace

from tests.report.conftest import Parts

from mixwise.export.shares import make_shares


def test_tokens_add_up_to_the_horizon_and_say_how_often_data_is_read() -> None:
    recommendation = Parts(("math", "code"), "slopes").recommendation()
    made = make_shares(recommendation, None)
    [line] = made.lines
    content = json.loads(line)
    assert content == made.facts
    run = recommendation.run
    assert sum(content["tokens"].values()) == content["horizon_tokens"]
    assert content["horizon_tokens"] == run.n_sequences * run.sequence_length
    for name, tokens in content["tokens"].items():
        sequences = run.available_tokens[name] // run.sequence_length
        assert content["repetitions"][name] == tokens / run.sequence_length / sequences
    assert content["shares_by"] == "tokens"


def test_examples_are_called_so_where_runs_count_them() -> None:
    made = Parts(("math", "code"), "slopes").recommendation()
    labelled = replace(
        made,
        horizons=replace(made.horizons, unit="examples"),
        run=replace(made.run, sequence_length=1),
    )
    facts = make_shares(labelled, None).facts
    assert facts["shares_by"] == "examples"
    assert sum(facts["examples"].values()) == facts["horizon_examples"] == made.run.n_sequences
    assert not {"tokens", "horizon_tokens", "sequence_length"} & set(facts)
