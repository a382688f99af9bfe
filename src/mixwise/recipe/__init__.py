"""What the user asks for: a YAML file, refused early where it makes no sense."""

from mixwise.recipe.parsing import load_recipe, parse_recipe
from mixwise.recipe.recipe import Recipe, hash_section
from mixwise.recipe.sections import (
    Bounds,
    Contamination,
    Domain,
    EvaluationSource,
    HubDataset,
    Lora,
    TextSource,
    Training,
)

__all__ = [
    "Bounds",
    "Contamination",
    "Domain",
    "EvaluationSource",
    "HubDataset",
    "Lora",
    "Recipe",
    "TextSource",
    "Training",
    "hash_section",
    "load_recipe",
    "parse_recipe",
]
