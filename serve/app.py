"""`serve run serve.app:build_app`: the application of `digits.service.app`, under its short name."""

from digits.service.app import build_app

__all__ = ["build_app"]
