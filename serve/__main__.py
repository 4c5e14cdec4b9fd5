"""`python -m serve [config.yaml]`: the service on this machine.

Looks at the checkpoint before Ray starts, so that a missing one is told at once, then becomes `serve run`.
"""

import os
import sys
from pathlib import Path

import yaml

from digits.errors import ConfigurationError
from digits.models import checkpoints
from digits.service.service import find_checkpoint

CONFIG = Path(__file__).with_name("config.yaml")


def main(config: Path) -> None:
    """Check what `config` chooses, then become `serve run`."""
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    (deployment,) = settings["applications"][0]["deployments"]
    try:
        checkpoint = checkpoints.load(find_checkpoint(deployment["user_config"]))
    except (checkpoints.CheckpointError, ConfigurationError) as error:
        sys.exit(f"There is nothing to serve: {error}")
    http = settings["http_options"]
    print(f"Serving {checkpoint.name} on http://{http['host']}:{http['port']} (Ctrl-C ends it)", flush=True)
    command = str(Path(sys.executable).with_name("serve"))
    os.execv(command, [command, "run", str(config)])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CONFIG)
