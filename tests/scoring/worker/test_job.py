from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from mixwise.merging.rules.inputs import ExtraRun
from mixwise.mixture import Mixture
from mixwise.scoring.worker.job import MergeSettings, ModelSettings


def checkpoint(fingerprint: str) -> Any:
    return SimpleNamespace(fingerprint=fingerprint)


MODEL = ModelSettings(checkpoint("b"), device="cuda:1", precision="bfloat16")
MERGES = MergeSettings({"a": checkpoint("x"), "b": checkpoint("y")}, "centre", None, "float32")


def test_a_score_does_not_depend_on_which_gpu_made_it() -> None:
    assert MODEL.provenance == replace(MODEL, device="cuda:0").provenance
    assert MODEL.provenance != replace(MODEL, device="cpu").provenance
    assert MODEL.provenance == replace(MODEL, memory_bytes=5).provenance
    assert MODEL.provenance != replace(MODEL, precision="float32").provenance


def test_a_merge_depends_on_all_that_went_into_it() -> None:
    extra = ExtraRun(Mixture.uniform(["a", "b"]), checkpoint("z"))
    changed = (
        replace(MERGES, experts={"a": checkpoint("x"), "b": checkpoint("other")}),
        replace(MERGES, rule="linear"),
        replace(MERGES, precision="int8"),
        replace(MERGES, extras=(extra,)),
        replace(MERGES, second_moments=("m", "n")),
    )
    found = [tuple(settings.provenance.items()) for settings in (MERGES, *changed)]
    assert len(set(found)) == len(found)
