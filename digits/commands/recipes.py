"""The recipes that a command line names, with its changes."""

from dataclasses import fields, replace

from digits.commands.settings import Changes
from digits.config import RECIPES, Architecture, Recipe
from digits.errors import require

BOTH = ("baseline", "improved")
"""The article's two recipes."""
WORDS = {"dense_units": "dense", "dense_dropout": "dense-dropout", "pool_after": "pool"}
"""What fields of an architecture are called in names, where that differs."""


def choose_recipes(
    architecture: str, network: Changes, training: Changes, *, distort: bool | None = None
) -> dict[str, Recipe]:
    """The recipe called `architecture`, or both of the article's; keys are the names of the resulting networks.

    `network`, `training` and, unless it is None, `distort` say what to change in each.
    """
    recipes: dict[str, Recipe] = {}
    for name in BOTH if architecture == "both" else (architecture,):
        recipe = RECIPES[name]
        config = training.applied_to(recipe.training)
        config = config if distort is None else replace(config, distort=distort)
        require(
            config.distort or not config.clean_tail or "clean_tail" not in training.given(),
            f"clean tail = {config.clean_tail} where no epoch is distorted",
            "a training that distorts its digits, whose last epochs are then left as they are",
            "add --distort, or leave out --clean-tail",
        )
        require(
            config.distort or "distortion" not in training.given(),
            f"distortion = {config.distortion:g} where no epoch is distorted",
            "a training that distorts its digits, by that strength",
            "add --distort, or leave out --distortion",
        )
        require(
            config.distort or not config.outliers or "outliers" not in training.given(),
            f"outliers = {config.outliers:g} where no epoch is distorted",
            "a training that distorts its digits, some of which give way to what is none",
            "add --distort, or leave out --outliers",
        )
        changed = network.applied_to(recipe.architecture)
        recipes[name_of(changed, name)] = Recipe(architecture=changed, training=config)
    return recipes


def name_of(architecture: Architecture, base: str) -> str:
    """The name of a network that differs from the recipe `base`, such as baseline-dropouts-0.1-0.1-0.2.

    Folders are named so. The name says all that differs, so that no two networks that are compared share one.
    """
    parts = [base]
    for field in fields(architecture):
        value = getattr(architecture, field.name)
        if value != getattr(RECIPES[base].architecture, field.name):
            values = value if isinstance(value, tuple) else (value or 0,)
            parts += [WORDS.get(field.name, field.name), *([f"{each:g}" for each in values] or ["none"])]
    return "-".join(parts)
