"""What a study's recommendation is in a tracking tool: its figures, and where its files lie."""

from __future__ import annotations

from mixwise.study.folder import RECOMMENDATION_FILE, REPORT_FILE
from mixwise.study.results import Recommendation
from mixwise.study.workbench import Workbench


def tell_tracker(workspace: Workbench, found: Recommendation) -> None:
    """Tell what is recommended.

    Args:
        workspace: The study.
        found: The recommendation.
    """
    folder = workspace.study.folder.resolve()
    figures = {f"share/{name}": share for name, share in found.mixture.as_dict().items()}
    figures |= {"objective by the proxy": found.proxy.objective, "price": found.cost.price}
    texts = {
        "recommendation": found.answer,
        "mixture": str(found.mixture),
        "trust": found.trust.word,
        "folder": str(folder),
        "file": str(folder / RECOMMENDATION_FILE),
        "report": str(folder / REPORT_FILE),
    }
    if found.outcome is not None:
        texts["outcome"] = found.outcome.word
    workspace.tracker.conclude(figures, texts)
