from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mixwise.label_heads import LabelHead, LabelHeads

OF_DOMAINS = {"films": ("bad", "good"), "news": ("art", "war", "bad"), "tweets": ("bad", "good")}


def test_a_shared_head_has_all_outputs_and_plain_names() -> None:
    heads = LabelHeads.shared(("bad", "good"))
    assert heads.is_shared
    assert heads.names == ("bad", "good")
    assert heads.sizes == ()
    assert heads.of("any").outputs == range(2)


def test_heads_of_domains_stand_one_behind_the_other() -> None:
    heads = LabelHeads.per_domain(OF_DOMAINS)
    assert not heads.is_shared
    assert heads.sizes == (2, 3, 2)
    assert heads.names[2:5] == ("news/art", "news/war", "news/bad")
    assert heads.of("tweets") == LabelHead(("bad", "good"), 5, "tweets")


def test_heads_that_hold_labels_are_those_that_have_all_of_them() -> None:
    heads = LabelHeads.per_domain(OF_DOMAINS)
    assert [head.domain for head in heads.holding(["good"])] == ["films", "tweets"]
    assert [head.domain for head in heads.holding(["bad", "war"])] == ["news"]
    assert heads.holding(["good", "war"]) == ()


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_every_output_belongs_to_one_head(sizes: list[int]) -> None:
    labels = {f"d{k}": [f"l{i}" for i in range(n)] for k, n in enumerate(sizes)}
    heads = LabelHeads.per_domain(labels)
    outputs = [output for head in heads.heads for output in head.outputs]
    assert outputs == list(range(sum(sizes)))
    assert len(heads.names) == len(set(heads.names)) == len(outputs)
