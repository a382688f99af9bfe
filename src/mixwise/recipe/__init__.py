"""What the user asks for: a YAML file, refused early where it makes no sense."""

from mixwise.recipe.domains import (
    ColumnDomains,
    Domain,
    EvaluationSource,
    Portion,
    SplitSource,
    WeightedSource,
    portions,
)
from mixwise.recipe.limits import Bounds, FitLimits, SpaceLimits
from mixwise.recipe.parsing import add_domains, load_limits, load_recipe, parse_recipe
from mixwise.recipe.recipe import Recipe, hash_section
from mixwise.recipe.sections import Contamination, Lora, Training
from mixwise.recipe.sources import HubDataset, TextSource

__all__ = [
    "Bounds",
    "ColumnDomains",
    "Contamination",
    "Domain",
    "EvaluationSource",
    "FitLimits",
    "HubDataset",
    "Lora",
    "Portion",
    "Recipe",
    "SpaceLimits",
    "SplitSource",
    "TextSource",
    "Training",
    "WeightedSource",
    "add_domains",
    "hash_section",
    "load_limits",
    "load_recipe",
    "parse_recipe",
    "portions",
]
