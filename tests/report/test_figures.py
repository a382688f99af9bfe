from mixwise.decision.score import Score
from mixwise.mixture import Mixture
from mixwise.report.figures import (
    agreement_figure,
    comparison_figure,
    mixture_figure,
    profile_figure,
)
from mixwise.study.results import (
    BothAnswers,
    Profiles,
    SeedScore,
)


def _score(objective: float, loss: float = 1.0, a: float = 0.75) -> Score:
    return Score(Mixture(("a", "b"), (a, 1 - a)), objective, {"a/loss": loss})


def _runs(reached: tuple[float, ...]) -> tuple[SeedScore, ...]:
    return tuple(SeedScore(k, r, {"a/loss": 2 * r}) for k, r in enumerate(reached))


def _row(name: str, predicted: float, *reached: float) -> BothAnswers:
    return BothAnswers(name, _score(predicted, 1.0), _runs(reached))


def test_bars_are_the_shares_and_marks_those_of_the_other_mixture() -> None:
    figure = mixture_figure({"a": 0.75, "b": 0.25}, {"uniform": {"a": 0.5, "b": 0.5}})
    bars, marks = figure.data
    assert bars.x == (0.75, 0.25)
    assert marks.x == (0.5, 0.5)
    assert marks.name == "uniform"
    assert figure.layout.yaxis.ticktext == ("a  75 %", "b  25 %")


def test_rows_run_from_top_to_bottom_with_mean_and_single_seeds() -> None:
    figure = comparison_figure([_row("best", 1.0, 0.5, 1.5), _row("uniform", 0.25)], "J")
    by_name = {trace.name: trace for trace in figure.data}
    assert by_name["reached, mean of seeds"].x == (1.0,)
    assert by_name["one seed"].x == (0.5, 1.5)
    assert by_name["one seed"].y == (0, 0)
    assert by_name["proxy"].x == (1.0, 0.25)
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]


def test_without_trained_models_only_predictions_are_drawn() -> None:
    figure = comparison_figure([_row("best", 1.0), _row("uniform", 0.25)], "J")
    assert [trace.name for trace in figure.data] == ["proxy"]


def test_agreement_shows_every_mixture_against_its_mean_over_seeds() -> None:
    mixtures = [_row("", 0.0, 0.0, 0.5), _row("", 1.0, 1.0, 1.5)]
    diagonal, means, singles = agreement_figure(mixtures, "objective", "").data
    assert means.x == (0.0, 1.0)
    assert means.y == (0.25, 1.25)
    assert singles.x == (0.0, 0.0, 1.0, 1.0)
    assert diagonal.x == diagonal.y
    assert diagonal.x[0] <= 0.0
    assert diagonal.x[1] >= 1.5


def test_agreement_reads_a_metric_by_its_name() -> None:
    _, means, _ = agreement_figure([_row("", 0.0, 0.5, 1.0)], "a/loss", "nats").data
    assert means.x == (1.0,)
    assert means.y == (1.5,)


def test_axes_are_alike_unless_that_would_squeeze_one_answer() -> None:
    alike = agreement_figure([_row("", 0.0, 0.1), _row("", 1.0, 0.9)], "objective", "").layout
    assert alike.xaxis.range == alike.yaxis.range
    apart = agreement_figure([_row("", 0.0, 9.0), _row("", 0.1, 30.0)], "objective", "").layout
    assert apart.xaxis.range[1] < 1
    assert apart.yaxis.range[0] > 1


def test_equal_values_still_leave_an_axis_with_a_width() -> None:
    layout = agreement_figure([_row("", 0.0, 0.0)], "objective", "").layout
    assert layout.xaxis.range[0] < layout.xaxis.range[1]


def test_the_recommended_share_is_marked_on_each_line() -> None:
    profiles = Profiles((0.0, 0.5, 1.0), {"a": {"m": (1.0, 2.0, 4.0)}, "b": {"m": (0.0, 0.0, 0.0)}})
    figure = profile_figure(profiles, "m", "nats", {"a": 0.75, "b": 0.25})
    line_a, _, mark_a, mark_b = figure.data
    assert line_a.y == (1.0, 2.0, 4.0)
    assert (mark_a.x, mark_a.y) == ((0.75,), (3.0,))
    assert (mark_b.x, mark_b.y) == ((0.25,), (0.0,))
    assert mark_a.marker.color == line_a.line.color


def test_a_long_name_keeps_both_ends() -> None:
    figure = mixture_figure({"common-crawl-2024-english-v2": 1.0}, {})
    assert figure.layout.yaxis.ticktext == ("common-cra…nglish-v2  100 %",)


def test_thirty_two_domains_all_look_different() -> None:
    names = [f"domain{k}" for k in range(32)]
    profiles = Profiles((0.0, 1.0), {name: {"m": (0.0, 1.0)} for name in names})
    lines = profile_figure(profiles, "m", "", {}).data
    assert len({(line.line.color, line.line.dash) for line in lines}) == 32
    bars = mixture_figure(dict.fromkeys(names, 1 / 32), {}).data[0].marker
    assert len(set(zip(bars.color, bars.pattern.shape, strict=True))) == 32


def test_names_are_escaped_in_every_label() -> None:
    name = "<b>bold</b>"
    profiles = Profiles((0.0, 1.0), {name: {"<i>m</i>": (0.0, 1.0)}})
    mixture = {name: 1.0}
    score, runs = Score(Mixture((name,), (1.0,)), 1.0, {}), (SeedScore(1, 1.0, {}),)
    for figure in (
        mixture_figure(mixture, {name: mixture}),
        comparison_figure([BothAnswers(name, score, runs)], "J"),
        agreement_figure([BothAnswers(name, score, runs)], "objective", ""),
        profile_figure(profiles, "<i>m</i>", "", mixture),
    ):
        drawn = [figure.layout.yaxis.ticktext, figure.layout.yaxis.title.text]
        drawn += [(trace.name, trace.hovertext) for trace in figure.data]
        assert "<b>" not in str(drawn)
        assert "<i>" not in str(drawn)
