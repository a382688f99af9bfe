"""Contracts that plugins must keep, as functions for the tests of whoever writes one.

    from mixwise.testing import check_search_method

    def test_my_method():
        check_search_method(my_method)

Each raises an AssertionError that says what is broken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixwise.errors import DataError
from mixwise.limit import Limit
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Observation
from mixwise.records.conversation import Conversation
from mixwise.records.formats import RecordFormat
from mixwise.records.record import Document
from mixwise.records.row import FileRow
from mixwise.scorer import VALUES, Part, Request, Scorer
from mixwise.scoring.parts import join
from mixwise.scoring.table import TableRow, TableScorer
from mixwise.search.problem import SearchMethod, SearchProblem

if TYPE_CHECKING:
    from mixwise.engine.protocol import Engine, OnStep
    from mixwise.evaluation.sets import EvaluationSet
    from mixwise.export.exporter import Exporter
    from mixwise.merging.pool import ExpertPool
    from mixwise.merging.rule_table import NamedRule
    from mixwise.study.results import Recommendation

_DOMAINS = ("a", "b", "c")
_BEST = (0.5, 0.3, 0.2)
_TOLERANCE = 0.1  # of an objective whose range is about 4


def check_scorer(scorer: Scorer, mixtures: Sequence[Mixture]) -> None:
    """Check that a scorer answers in order, for each mixture alone as for all, and always alike.

    Args:
        scorer: The scorer.
        mixtures: At least two different mixtures that it can score.
    """
    scored = scorer.score(mixtures)
    assert len(scored) == len(mixtures), "there must be one observation per mixture"
    for mixture, observation in zip(mixtures, scored, strict=True):
        assert observation.mixture == mixture, "observations must be in the order of the mixtures"
    names = [[m.metric for m in observation.measurements] for observation in scored]
    assert all(row == names[0] for row in names), "every observation must have the same metrics"
    [alone] = scorer.score(mixtures[-1:])
    _require_equal(alone, scored[-1], "a mixture must score alone what it scores among others")
    turned = scorer.score(mixtures[::-1])
    _require_equal(turned[0], scored[-1], "scores must not depend on the order of the mixtures")


def _require_equal(one: Observation, other: Observation, rule: str) -> None:
    for name, value in one.values.items():
        assert np.isclose(value, other.values[name], rtol=1e-6), f"{rule} (`{name}`)"


def check_search_method(method: SearchMethod) -> None:
    """Check a search method on a concave quadratic: in the whole simplex, in bounds, in limits.

    It must propose mixtures over the domains, recommend what it has scored, inside the space, keep
    to a budget, do the same for the same seed, and come near the maximum.

    Args:
        method: A row of the table of methods.
    """
    bounded = MixtureSpace(_DOMAINS, (0.0, 0.2, 0.0), (0.6, 1.0, 1.0))
    joint = Limit("a + b", (1.0, 1.0, 0.0), 0.5, 0.85)
    limited = MixtureSpace(_DOMAINS, (0.0,) * 3, (1.0,) * 3, (joint,))
    for space in (MixtureSpace.whole(_DOMAINS), limited, bounded):
        first, again = (_Bowl(), _Bowl())
        found = method.search(_problem(first, space, None))
        assert space.contains(_mixture(found.best)), "the recommended mixture must be in the space"
        assert found.best in found.scored, "what is recommended must have been scored"
        scored = {str(observation.mixture) for observation in found.scored}
        assert scored == first.asked, "the result must hold all that was scored, and nothing else"
        same = method.search(_problem(again, space, None))
        assert str(same.best.mixture) == str(found.best.mixture), "a seed must decide everything"
        if not method.is_of_subsets:
            behind = _value(np.array(_BEST)) - _value(_mixture(found.best).array)
            assert behind <= _TOLERANCE, (
                f"the maximum of a quadratic must be nearly found, but is missed by {behind:.3f}"
            )
    n = len(found.scored)
    counted = _Bowl()
    method.search(_problem(counted, bounded, n))
    assert len(counted.asked) <= n, f"a budget of {n} must be kept"


class _Bowl:
    """Scores by a concave quadratic, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        self.asked |= {str(mixture) for mixture in mixtures}
        unique = {str(m): TableRow(m, {"s/loss": -_value(m.array)}) for m in mixtures}
        return TableScorer(unique.values(), answer="proxy").score(mixtures)


def _value(shares: np.ndarray) -> float:
    return -4 * float(((shares - np.array(_BEST)) ** 2).sum())


def _problem(scorer: Scorer, space: MixtureSpace, budget: int | None) -> SearchProblem:
    objective = Objective((Term(Metric("s", "loss", "min"), 1.0),))
    scale = Scale({"s/loss": 0.0}, {"s/loss": 1.0})
    return SearchProblem(scorer, space, objective, scale, budget, seed=0)


def _mixture(observation: Observation) -> Mixture:
    assert observation.mixture is not None, "every observation must have a mixture"
    return observation.mixture


def check_evaluation_set(chosen: EvaluationSet, model: Any) -> None:
    """Check a set: its metrics in order, a value for each example, and parts that make the whole.

    Args:
        chosen: The set, of two or more examples.
        model: A causal language model in evaluation mode that it can measure.
    """
    import torch

    assert chosen.n_examples >= 2, "a set of one example tells nothing of its parts"
    assert chosen.n_tokens > 0, "an evaluation reads tokens"
    parts = (Part(0, 1, 2), Part(1, 2, 2))
    with torch.inference_mode():
        whole, again = chosen.evaluate(model), chosen.evaluate(model)
        halves = [chosen.evaluate(model, part) for part in parts]
    names = [metric.name for metric in chosen.metrics]
    assert len(set(names)) == len(names), "metrics have different names"
    for measured in (whole, *halves):
        found = [measurement.metric for measurement in measured]
        assert found == names, f"it promises {names}, but measures {found}"
    pieces = dict(zip(parts, halves, strict=True))
    joined = join(Part(), pieces, {chosen.name: chosen.n_examples})
    for k, name in enumerate(names):
        assert name.startswith(f"{chosen.name}/"), f"`{name}` must begin with the set's name"
        examples = whole[k].examples
        assert examples.shape == (chosen.n_examples,), f"`{name}` needs one value per example"
        assert np.array_equal(examples, again[k].examples), f"`{name}` must be the same twice"
        assert np.allclose(joined[k].examples, examples, rtol=1e-4, atol=1e-5), (
            f"`{name}` of an example must not depend on the examples beside it"
        )


def check_engine(engine: Engine) -> None:
    """Check an engine: every job once, its error passed on, and usable again after an error.

    Steps need not all be told, but by the index of their job.

    Args:
        engine: The engine, open; it is closed at the end.
    """
    steps: list[tuple[int, int]] = []
    jobs = list(range(2 * engine.n_workers + 1))
    try:
        assert engine.n_workers >= 1, "an engine runs at least one job at once"
        found = {done.index: done.result for done in engine.run(_square, jobs, _noting(steps))}
        assert found == {k: job * job for k, job in enumerate(jobs)}, "every job must run once"
        assert {index for index, _ in steps} <= set(found), "steps are told by the index of the job"
        error = _raised(lambda: list(engine.run(_square, [1, -1], _noting(steps))))
        assert isinstance(error, ValueError), "the error of a job must be passed on"
        assert "negative" in str(error), "the error of a job must arrive as it was raised"
        [again] = engine.run(_square, [3], _noting(steps))
        assert again.result == 9, "an engine must work on after an error"
    finally:
        engine.close()


def _raised(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except Exception as error:
        return error
    return None


def _square(job: int, on_step: OnStep) -> int:
    if job < 0:
        raise ValueError("negative")
    on_step(1)
    return job * job


def _noting(steps: list[tuple[int, int]]) -> Callable[[int, int], None]:
    return lambda index, step: steps.append((index, step))


def check_record_format(row: RecordFormat, values: Mapping[str, Any]) -> None:
    """Check a record format on the values of one row.

    Args:
        row: A row of the table.
        values: Of a row as a file would hold it, with the format's own field names.
    """
    reader = row.reader(row.fields(), "domains.mine")
    record = reader.read(FileRow(values, "mine.jsonl", 7))
    given = Conversation if row.is_chat else row.gives
    assert isinstance(record, given), f"it must give a {given.__name__}"
    if isinstance(record, Document | Conversation):
        assert (record.file, record.line) == ("mine.jsonl", 7), "a document knows its place"
    if isinstance(record, Document):
        assert not record.is_empty, "the row's text must be there"
        spans = record.supervised
        assert spans is None or row.is_partly_supervised, "set `is_partly_supervised`: it has spans"
        for start, end in spans or ():
            assert 0 <= start <= end <= len(record.text), "spans are of the text's characters"
    for wanted in reader.wanted:
        assert wanted.key.startswith("domains.mine."), "a field names the recipe's key behind it"
        less = {name: value for name, value in values.items() if name != wanted.field}
        if len(less) == len(values):
            continue
        error = _raised(lambda less=less: reader.read(FileRow(less, "mine.jsonl", 7)))  # type: ignore[misc]
        assert isinstance(error, DataError), f"a row without `{wanted.field}` must be refused"
        assert "mine.jsonl:7" in str(error), "an error must name the row"


def check_exporter(exporter: Exporter, recommendation: Recommendation) -> None:
    """Check an exporter that needs no study: it writes lines, and the same ones twice.

    Args:
        exporter: A row of the table.
        recommendation: That of some study; ``Study.open(…).recommendation``.
    """
    lines = list(exporter.make(recommendation, None).lines)
    assert lines, "there must be something to write"
    again = list(exporter.make(recommendation, None).lines)
    assert lines == again, "the same recommendation must give the same file"


def check_merge_rule(rule: NamedRule, *, keeps_corners: bool = True) -> None:
    """Check a merge rule that needs no further runs, on a tiny model with three experts.

    Merges must be finite, the same twice, and at a corner the expert itself.

    Args:
        rule: A row of the table of rules.
        keeps_corners: Whether the merge of one domain alone must be its expert, as is right but for
            rules that prune.
    """
    with tempfile.TemporaryDirectory() as folder:
        pool, experts = _tiny_pool(Path(folder))
        bound = rule.bind(pool)
        uniform = _merged(pool, Mixture.uniform(_DOMAINS), bound)
        assert all(np.isfinite(tensor).all() for tensor in uniform), "merges must be finite"
        corner = _merged(pool, Mixture.single(_DOMAINS, "b"), bound)
        again = _merged(pool, Mixture.uniform(_DOMAINS), bound)
        for one, other in zip(uniform, again, strict=True):
            assert np.array_equal(one, other), "the same mixture must merge to the same numbers"
        if keeps_corners:
            for merged, expert in zip(corner, experts["b"], strict=True):
                assert np.allclose(merged, expert, atol=1e-6), "share 1 must give the expert"


def _merged(pool: ExpertPool, mixture: Mixture, rule: object) -> list[np.ndarray]:
    pool.merge(mixture, rule)  # type: ignore[arg-type]
    return [tensor.float().numpy().copy() for tensor in pool.live.tensors.values()]


def _tiny_pool(folder: Path) -> tuple[ExpertPool, dict[str, list[np.ndarray]]]:
    """A base of 2,000 parameters, and three experts that differ from it in every tensor."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from mixwise.merging.pool import ExpertPool
    from mixwise.models.checkpoint import open_checkpoint
    from mixwise.models.live_model import LiveModel

    torch.manual_seed(0)
    sizes = {"vocab_size": 16, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 16}
    model = LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=False))
    model.save_pretrained(folder / "base")
    experts, values = {}, {}
    base = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    live = LiveModel.load(open_checkpoint(folder / "base"))
    for name in _DOMAINS:
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                parameter.copy_(base[key] + 0.01 * torch.randn_like(parameter))
        model.save_pretrained(folder / name)
        experts[name] = open_checkpoint(folder / name)
        state = model.state_dict()
        values[name] = [state[key].float().numpy().copy() for key in live.tensors]
    return ExpertPool(live, experts), values
