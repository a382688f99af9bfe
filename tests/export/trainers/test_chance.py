import numpy as np

from mixwise.export.trainers.chance import draw_note, largest_deviation


def test_a_draw_strays_as_far_as_it_does() -> None:
    rng = np.random.default_rng(0)
    probabilities, tokens = {"a": 0.9, "b": 0.1}, {"a": 10.0, "b": 200.0}
    n_b = rng.binomial(1000, 0.1, size=4000)
    drawn = n_b * 200 / (n_b * 200 + (1000 - n_b) * 10)
    expected = largest_deviation(probabilities, tokens, 1000)
    assert abs(drawn.std() / expected - 1) < 0.1
    assert largest_deviation({"a": 1.0}, {"a": 3.0}, 10) == 0
    assert "1.25 points" in draw_note(0.0125)
