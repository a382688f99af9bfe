"""How far a study is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mixwise.console.text import print_text


def print_status(content: Mapping[str, Any]) -> None:
    """Print how far a study is, and who works in it."""
    process = content["process"]
    at_work = f"process {process} works in it" if process else "no process works in it"
    print_text(f"Study:       {content['study']} ({at_work})")
    print_text(f"Stage:       {content['stage']}")
    experts, references = content["experts"], content["references"]
    print_text(f"Experts:     {experts['done']} of {experts['total']} trained")
    print_text(
        f"References:  {references['done']} trained; the recipe asks for at most "
        f"{references['total']}"
    )
    print_text(f"Candidates:  {content['candidates']} scored")
    best = content["best_so_far"]
    if best is not None:
        print_text(f"Best so far: objective {best['objective']:.3f} at {_shares(best['mixture'])}")
    if content["recommendation"] is not None:
        print_text(f"Recommended: {_shares(content['recommendation'])}")
    for notice in content["notices"]:
        print_text(f"Notice ({notice['time']}, {notice['command']}): {_one_line(notice['text'])}")


def _shares(mixture: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.3g}" for name, share in mixture.items() if share)


def _one_line(text: str) -> str:
    return " ".join(text.split())
