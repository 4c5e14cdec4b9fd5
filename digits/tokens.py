"""The token of a cluster that a program starts on this machine: known to its own processes, written nowhere.

Since Ray 2.59 `ray.init()` makes a token for every cluster that it starts and leaves it in ~/.ray/auth_token. From then
on `ray start --head` demands that token, but `ray job submit`, `serve deploy` and `serve status` do not send it unless
RAY_AUTH_MODE says so: a training would break the next cluster. It would also need a home folder that can be written.
"""

import os
import secrets
from collections.abc import MutableMapping
from pathlib import Path


def use_private_token(environment: MutableMapping[str, str] = os.environ) -> None:
    """Give the cluster that this process is about to start a token of its own; call it before `ray.init()`.

    Ray's processes inherit it through the environment, which other users of the machine cannot read. What the user
    has chosen stays: no tokens (RAY_AUTH_MODE=disabled), a token in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, or, with
    RAY_AUTH_MODE=token, the one in the home folder.
    """
    mode = environment.get("RAY_AUTH_MODE", "").lower()
    if mode == "disabled" or "RAY_AUTH_TOKEN" in environment or "RAY_AUTH_TOKEN_PATH" in environment:
        return
    # Not Path.home(), which raises where the user has none.
    if mode == "token" and Path(os.path.expanduser("~/.ray/auth_token")).is_file():  # noqa: PTH111
        return
    environment["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
