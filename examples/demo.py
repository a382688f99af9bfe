"""From a recipe to a recommendation and a figure, in twelve lines.

    python examples/demo.py [FOLDER]

Trains the experts of the demo that ships with mixwise, on a CPU, in about a minute; a second time
everything is there already.
"""

import sys
from importlib import resources

from mixwise import Study


def main(folder: str) -> None:
    """Run search and calibration of the demo's recipe, and draw the answer."""
    with (
        resources.as_file(resources.files("mixwise") / "demo" / "recipe.yaml") as recipe,
        Study.create(folder, recipe) as study,
    ):
        study.train_experts()
        recommendation = study.search()
        print(recommendation.answer)
        print(study.candidates().head())
        study.figure("mixture").write_html(f"{folder}/mixture.html")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "demo-study")
