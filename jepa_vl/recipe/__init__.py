"""Recipes: YAML with imports, short names of parts, and errors that name file, line and key."""

from jepa_vl.recipe.document import Recipe
from jepa_vl.recipe.merge import load_recipe

__all__ = ["Recipe", "load_recipe"]
