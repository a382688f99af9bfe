"""mixwise from Python: a study as a context manager, its stages as methods, its results typed.

    from mixwise import Study

    with Study.create("study", "recipe.yaml") as study:
        recommendation = study.run()
    print(recommendation.answer)

The command line calls the same stages.
"""

from mixwise.api.opened import FigureKind, OpenedStudy
from mixwise.api.problem import ProblemStudy
from mixwise.api.study import Study, cache_folder, check_recipe, open_workspace

__all__ = [
    "FigureKind",
    "OpenedStudy",
    "ProblemStudy",
    "Study",
    "cache_folder",
    "check_recipe",
    "open_workspace",
]
