"""`digits serve [config.yaml] [key=value ...]`: the service on this machine, or on the cluster of RAY_ADDRESS.

Checks command line, checkpoint, API key and ports before Ray starts, so that a mistake is told at once, then does what
`serve run` does.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from digits.errors import CheckpointError, ConfigurationError, UserError
from digits.machine import quoted_interpreter, usable_cores
from digits.models import checkpoints
from digits.models.checkpoints import Checkpoint
from digits.service.gate import read_api_key
from digits.service.model import as_told, find_checkpoint
from digits.service.settings import CONFIG, Settings, check_ports, read_settings
from digits.tokens import use_private_token

HELP = """digits serve [config.yaml] [key=value ...]: the service on this machine, or on the cluster of RAY_ADDRESS

    storage_path=FOLDER    a folder or bucket: its best checkpoint serves, if it is better than the shipped one
    checkpoint=WHICH       this one serves: shipped, best, or the path of one
    api_key_file=FILE      ask for the key in the first line of this file
    port=8000              where to listen

Every other setting stands in a configuration file such as serve/config.yaml. Ctrl-C ends the service."""


def is_local() -> bool:
    """Whether the service gets a Ray of its own on this machine: no other is named."""
    return os.environ.get("RAY_ADDRESS", "local") in ("", "local")


def prepare(arguments: Sequence[str]) -> tuple[Settings, str]:
    """Everything that can be checked before Ray starts; returns the settings, and what serves, for people."""
    settings = read_settings(arguments, CONFIG)
    checkpoint = load_checkpoint(settings.user_config)
    if (file := settings.arguments.get("api_key_file")) is not None:
        read_api_key(Path(file))
    if is_local():
        if settings.use_proxy_of(os.environ):
            print("No HAProxy on this machine: Ray Serve's Python proxy takes its place, which is slower", flush=True)
        check_ports(settings.ports(os.environ))
    return settings, f"{checkpoint.name}, from {checkpoint.path},"


def load_checkpoint(user_config: Mapping[str, Any]) -> Checkpoint:
    """What a `user_config` names; CheckpointError or ConfigurationError where it cannot be loaded."""
    try:
        return checkpoints.load(find_checkpoint(user_config))
    except (UserError, OSError) as error:
        raise as_told(error, user_config) from error


def run(settings: Settings) -> None:
    """Serve until Ctrl-C, on a Ray of its own unless RAY_ADDRESS names one."""
    import ray
    from pydantic import ValidationError
    from ray.serve.schema import ServeDeploySchema
    from ray.serve.scripts import cli

    try:
        ServeDeploySchema.model_validate(settings.config)
    except ValidationError as error:
        # Without the values: they may hold the keys of a bucket.
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False))
        refused = ConfigurationError(
            "; ".join(faults),
            "the fields of Ray Serve's configuration files",
            "correct the configuration file; serve/config.yaml is one that works",
        )
        sys.exit(f"error: {refused}")
    options = [f"--runtime-env-json={json.dumps(interpreter)}"] if (interpreter := quoted_interpreter()) else []
    if is_local():
        use_private_token()
        # Else each replica stays open for half a minute at its end, for load balancers of a cloud; HAProxy of this
        # machine turns to another one at once.
        os.environ.setdefault("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", "1")
        ray.init(address="local", namespace="serve", num_cpus=usable_cores(), runtime_env=interpreter)
    else:
        ray.init(namespace="serve", runtime_env=interpreter)
        check_nodes(settings)
    with tempfile.TemporaryDirectory(prefix="digits-serve-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(yaml.safe_dump(settings.config), encoding="utf-8")
        cli(["run", *options, str(file)])


def check_nodes(settings: Settings) -> None:
    """End with an error where the replicas of the connected cluster could not be reached."""
    from digits.service.deployment import num_nodes

    try:
        settings.check_reach(os.environ, num_nodes())
    except ConfigurationError as error:
        sys.exit(f"error: {error}")


def main(arguments: Sequence[str]) -> None:
    """Check what `arguments` ask for, then serve it."""
    if {"-h", "--help"} & set(arguments):
        print(HELP)
        return
    try:
        settings, name = prepare(arguments)
    except (CheckpointError, ConfigurationError) as error:
        sys.exit(f"error: {error}")
    port = settings.http_port
    print(f"Serving {name} on http://{port.host}:{port.number} (Ctrl-C ends it)", flush=True)
    run(settings)
