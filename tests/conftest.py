"""Shared by all tests: nothing of the user's own Ray set-up is read or written."""

import os

# Before Ray is imported anywhere: no token file in the home directory, no usage report, quiet logs.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.pop("RAY_ADDRESS", None)
