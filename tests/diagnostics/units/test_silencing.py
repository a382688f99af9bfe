from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mixwise.diagnostics.units.layers import UnitLayer, changed_units
from mixwise.diagnostics.units.silencing import (
    FrivolousUnits,
    LayerUnits,
    classes,
    measure_units,
    next_tokens,
    prunability,
)
from mixwise.errors import EvaluationError
from mixwise.progress import Progress

N = 6


def linear(matrix: Tensor | Sequence[Sequence[float]], bias: Sequence[float]) -> nn.Linear:
    matrix = torch.as_tensor(matrix, dtype=torch.float32)
    layer = nn.Linear(matrix.shape[1], matrix.shape[0])
    layer.weight.data, layer.bias.data = matrix, torch.tensor(bias)
    return layer


def network(readout: nn.Linear) -> nn.Sequential:
    """As many hidden units as inputs, each equal to one input, and a readout."""
    n = readout.in_features
    return nn.Sequential(linear(torch.eye(n), [0.0] * n), nn.ReLU(), readout).eval()


def measure(
    module: nn.Sequential, inputs: Tensor, *, n_draws: int = 3, seed: int = 0, size: int = 8
) -> FrivolousUnits:
    hidden = [UnitLayer("1", module[1])]
    batches = torch.split(inputs, size)
    return measure_units(module, batches, hidden, predict=classes, n_draws=n_draws, seed=seed)


def one_hots(n: int, repeats: int) -> Tensor:
    return torch.eye(n).repeat(repeats, 1)


def test_a_network_that_needs_each_unit_for_its_own_class_by_hand() -> None:
    """Unit k alone speaks for class k, and a small bias for a class that nothing speaks for.

    Of six units m silenced, the m classes that they speak for are lost: A(p) = 1 − p.
    """
    readout = linear(torch.cat([torch.eye(N), torch.zeros(1, N)]), [0.0] * N + [0.5])
    units = measure(network(readout), one_hots(N, 4))
    for curve in units.agreement:
        assert curve == pytest.approx([1 - k / N for k in range(N + 1)])
    assert units.prunable_draws == pytest.approx([0.2] * 3)
    assert units.n_predictions == 24
    assert units.n_units == N


def test_units_that_nothing_reads_are_prunable_by_hand() -> None:
    """Of twelve units only the first is read: 1 makes it class 1, and without it all are class 0.

    Half the inputs have it, so that A falls from 1 to ½ at the level that silences it.
    """
    readout = linear([[0.0] * 12, [1.0] + [0.0] * 11], [0.5, 0.0])
    inputs = (torch.rand(40, 12, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    inputs[:, 0] = torch.arange(40) % 2
    units = measure(network(readout), inputs, n_draws=60)
    steps = [curve.index(0.5) for curve in units.agreement]
    for curve, step in zip(units.agreement, steps, strict=True):
        assert curve == (1.0,) * step + (0.5,) * (N + 1 - step)
    assert set(steps) == set(range(1, N + 1))  # by chance missing one: 6 · (5/6)⁶⁰ = 1e-4
    assert units.prunable_draws == pytest.approx([(step - 1 + 0.4) / N for step in steps])
    assert units.prunable.least == min(units.prunable_draws)
    assert units.prunable.largest == max(units.prunable_draws)
    assert units.prunable.mean == pytest.approx(np.mean(units.prunable_draws))


def test_a_network_that_reads_no_unit_is_prunable_throughout() -> None:
    units = measure(network(linear([[0.0] * N] * 2, [0.0, 1.0])), one_hots(N, 4))
    assert units.prunable_draws == (1.0, 1.0, 1.0)


def test_repeated_units_are_redundant_by_hand() -> None:
    """Two signals, independent and equally loud, each stand twice: variances 0, 0, 2, 2.

    The two components that hold nothing, and the first of the others, hold over 5 %: 3 of 4.
    """
    x = torch.tensor([0.0, 0.0, 2.0, 2.0]).repeat(2)
    y = torch.tensor([0.0, 2.0, 0.0, 2.0]).repeat(2)
    module = network(linear([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]], [0.0, 0.0]))
    assert measure(module, torch.stack([x, x, y, y], dim=1)).redundant == 0.75
    assert measure(module, torch.stack([x, y, x * y, x + y], dim=1)).redundant == 0.5


def test_units_that_never_vary_are_redundant() -> None:
    module = network(linear(torch.eye(N), [0.0] * N))
    assert measure(module, torch.full((32, N), 0.1), size=7).redundant == 1.0


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ((1.0, 0.9, 0.7, 0.2, 0.1, 0.1, 0.1), 1.5 / 6),
        ((1.0, 0.6, 0.6, 0.2, 0.1, 0.1, 0.1), 0.5 / 6),
        ((1.0, 1.0, 0.8, 0.4, 0.1, 0.1, 0.1), 2 / 6),
        ((1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0), 5.2 / 6),
        ((1.0, 0.9, 0.9, 0.9, 0.9, 0.8, 0.8), 1.0),
        ((1.0, 0.7, 0.9, 0.6, 0.1, 0.1, 0.1), 2 / 3 / 6),  # the first crossing counts
    ],
)
def test_the_crossing_of_80_percent_by_hand(curve: tuple[float, ...], expected: float) -> None:
    assert prunability(curve) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_prunability_is_a_share_where_a_line_crosses(rest: list[float]) -> None:
    curve = (1.0, *rest)
    p = prunability(curve)
    assert 0 <= p <= 1
    if min(curve) < 0.8:
        assert np.interp(p, np.linspace(0, 1, 7), curve) == pytest.approx(0.8)


def slow_redundancy(rows: np.ndarray) -> float:
    """The authors' loop, on all of the activity at once."""
    eigenvalues = np.linalg.eigh(np.cov(rows, rowvar=False))[0]
    held, k = 0.0, 0
    while held <= 0.05:
        held += eigenvalues[k] / eigenvalues.sum()
        k += 1
    return k / len(eigenvalues)


@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 50))
@settings(deadline=None, max_examples=40)
def test_redundancy_batch_by_batch_equals_a_slow_reference(seed: int, n: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(n, n, generator=generator) * torch.logspace(-3, 0, n)
    inputs = torch.rand(60, n, generator=generator) @ mixing.abs() + 5
    module = network(linear(torch.eye(n), [0.0] * n))
    measured = measure(module, inputs, n_draws=1, size=size)
    assert measured.redundant == slow_redundancy(inputs.double().numpy())


def test_independent_units_are_hardly_redundant() -> None:
    """The control: of forty independent units, what holds 5 % are the two or three quietest."""
    inputs = torch.rand(4000, 40, generator=torch.Generator().manual_seed(0))
    module = network(linear(torch.eye(40), [0.0] * 40))
    assert measure(module, inputs, n_draws=1).redundant == 3 / 40


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 9, 3), nn.Conv2d(9, 7, 3)
        self.first_act, self.second_act = nn.ReLU(), nn.Tanh()
        self.head = nn.Linear(7, 4)

    def forward(self, x: Tensor, keep: Sequence[Tensor] | None = None) -> Tensor:
        first = self.first_act(self.first(x))
        first = first if keep is None else first * keep[0][None, :, None, None]
        second = self.second_act(self.second(torch.max_pool2d(first, 2)))
        second = second if keep is None else second * keep[1][None, :, None, None]
        return self.head(second.mean(dim=(2, 3)))


def test_agreement_of_a_convolutional_network_equals_a_slow_reference() -> None:
    torch.manual_seed(1)
    module, images = Convolutional().eval(), torch.randn(50, 1, 12, 12)
    layers = [
        UnitLayer("first_act", module.first_act, axis=1),
        UnitLayer("second_act", module.second_act, axis=1),
    ]
    units = measure_units(
        module, torch.split(images, 16), layers, predict=classes, n_draws=2, seed=5
    )
    intact = module(images).argmax(-1)
    for draw, curve in enumerate(units.agreement):
        rng = np.random.default_rng([5, draw])
        orders = [rng.permutation(9), rng.permutation(7)]
        for level, agreement in enumerate(curve):
            keep = [torch.ones(9), torch.ones(7)]
            for mask, order in zip(keep, orders, strict=True):
                mask[order[: int(level / 6 * len(order) + 1e-9)]] = 0
            same = (module(images, keep).argmax(-1) == intact).double().mean()
            assert agreement == pytest.approx(float(same), abs=1e-12)
    first = module.first_act(module.first(images)).movedim(1, -1).reshape(-1, 9)
    assert units.layers[0].redundant == slow_redundancy(first.detach().double().numpy())


def test_draws_follow_the_seed_and_redundancy_does_not() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 30), nn.ReLU(), nn.Linear(30, 5)).eval()
    inputs = torch.randn(200, 5)
    first, again, other = (measure(module, inputs, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.agreement != other.agreement
    assert first.layers == other.layers
    assert len({first.agreement[0], *first.agreement[1:]}) == 3
    more = measure(module, inputs, n_draws=5)
    assert more.agreement[:3] == first.agreement


def test_the_network_is_left_as_it_was_and_every_pass_is_told() -> None:
    module = network(linear(torch.eye(N), [0.0] * N))
    reports: list[Progress] = []
    hidden = [UnitLayer("1", module[1])]
    inputs = one_hots(N, 2)
    before = module(inputs)
    measure_units(module, [inputs], hidden, predict=classes, on_progress=reports.append)
    assert torch.equal(module(inputs), before)
    assert not module[1]._forward_hooks
    assert [report.done for report in reports] == list(range(1, 18))
    assert {report.total for report in reports} == {17}

    def fail(_: int, __: Tensor) -> Tensor:
        raise ZeroDivisionError("units")

    with pytest.raises(ZeroDivisionError, match="units"), changed_units(hidden, fail):
        module(inputs)
    assert torch.equal(module(inputs), before)


def test_what_cannot_be_measured_is_refused() -> None:
    module = network(linear(torch.eye(N), [0.0] * N))
    with pytest.raises(EvaluationError, match="units need activity at more places than that"):
        measure(module, one_hots(N, 1))
    with pytest.raises(EvaluationError, match="its activity must be finite"):
        measure(module, one_hots(N, 4) * torch.inf)
    stranger = UnitLayer("elsewhere", nn.ReLU())
    with pytest.raises(EvaluationError, match="`elsewhere`: takes no part"):
        measure_units(module, [one_hots(N, 4)], [stranger], predict=classes)
    module.train()
    with pytest.raises(EvaluationError, match="is in training mode"):
        measure(module, one_hots(N, 4))


def test_a_language_model_predicts_at_every_position() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 12, "intermediate_size": 22, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=41, num_hidden_layers=2, num_key_value_heads=2, **shape)
    module = LlamaForCausalLM(config).eval()
    ids = torch.randint(41, (3, 9))
    predicted = next_tokens(module, ids)
    assert torch.equal(predicted, module(ids).logits.argmax(-1))
    assert predicted.shape == (3, 9)


def test_layers_count_alike_whatever_their_width() -> None:
    layers = (LayerUnits("a", 10, 0.5), LayerUnits("b", 1000, 0.1))
    units = FrivolousUnits(layers, ((1.0,) + (0.0,) * 6,), n_predictions=1, seed=0)
    assert units.redundant == pytest.approx(0.3)
    assert units.n_units == 1010
    assert units.prunable.mean == pytest.approx(0.2 / 6)
