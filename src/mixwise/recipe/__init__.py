"""What the user asks for: a YAML file, refused early where it makes no sense."""

from mixwise.recipe.parsing import add_domains, load_recipe, parse_recipe
from mixwise.recipe.recipe import Recipe, hash_section
from mixwise.recipe.sections import (
    Bounds,
    ColumnDomains,
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
    "ColumnDomains",
    "Contamination",
    "Domain",
    "EvaluationSource",
    "HubDataset",
    "Lora",
    "Recipe",
    "TextSource",
    "Training",
    "add_domains",
    "hash_section",
    "load_recipe",
    "parse_recipe",
]
