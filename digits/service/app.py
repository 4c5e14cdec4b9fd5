"""The application that Ray Serve builds: `serve run digits.service.app:build_app`, or by config.yaml."""

from typing import Any

import yaml
from ray import serve

from digits.service.deployment import Arguments, DigitClassifier, check_cluster
from digits.service.settings import CONFIG


def build_app(args: Arguments) -> serve.Application:
    """The application that `serve run` and config.yaml build: the deployment with the settings of config.yaml.

    ConfigurationError where its replicas could not be reached, which `serve status` tells after `serve deploy`.
    """
    check_cluster()
    (application,) = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["applications"]
    (options,) = application["deployments"]
    chosen = {"checkpoint": args.checkpoint, "storage_path": args.storage_path}
    options["user_config"].update({key: value for key, value in chosen.items() if value is not None})
    # Ray's configuration files do not know this one: a checkpoint that is missing is still missing the third time.
    deployment: Any = DigitClassifier  # its decorator makes a serve.Deployment of it, and its types do not say so
    return deployment.options(**options, max_constructor_retry_count=3).bind(args)
