"""What a user can cause: errors in three parts (what happened, what was expected, what to do)."""


class ConfigurationError(ValueError):
    """A setting that cannot work: what happened, what was expected, what to do."""


def require(condition: bool, happened: str, expected: str, remedy: str) -> None:
    """Raise ConfigurationError in the project's three parts unless `condition` holds."""
    if not condition:
        raise ConfigurationError(f"{happened}\n  expected: {expected}\n  what to do: {remedy}")
