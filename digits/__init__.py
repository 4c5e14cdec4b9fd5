"""digits: teaches networks to read handwritten digits, on Ray, and serves the best one.

`digits.read(picture)` reads a picture; what it needs is imported with its first use.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
_HOMES = {"read": "digits.reading.networks", "Reading": "digits.reading.answer", "NotADigit": "digits.errors"}
"""Modules of the names that are imported with their first use."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
