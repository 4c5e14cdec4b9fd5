"""`serve run serve.app:build_app`: the application of `digits.service.deployment`, under its short name."""

from digits.service.deployment import build_app

__all__ = ["build_app"]
