"""cluster.yaml, checked without a cloud: by Ray's own schema, and by what that does not look at."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def cluster():
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


@pytest.fixture(scope="module")
def node_configs(cluster):
    return {name: node["node_config"] for name, node in cluster["available_node_types"].items()}


def test_ray_accepts_it(cluster):
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(cluster))


def test_the_head_only_coordinates(cluster):
    head = cluster["available_node_types"][cluster["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]


def test_machines_come_when_needed_and_go_when_idle(cluster):
    workers = {
        name: node for name, node in cluster["available_node_types"].items() if name != cluster["head_node_type"]
    }
    assert all(node["min_workers"] == 0 for node in workers.values())
    assert cluster["max_workers"] == sum(node["max_workers"] for node in workers.values())
    assert 0 < cluster["idle_timeout_minutes"] <= 15
    assert cluster["provider"]["cache_stopped_nodes"] is False
    assert workers["gpu"]["resources"]["GPU"] == 1
    assert workers["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_every_machine_has_a_known_kind_an_image_encrypted_disks_and_guarded_metadata(node_configs):
    known = {"InstanceType", "ImageId", "IamInstanceProfile", "MetadataOptions", "BlockDeviceMappings"}
    known |= {"InstanceMarketOptions"}
    for name, config in node_configs.items():
        # Ray's schema does not look inside: a misspelled key would reach AWS, or be dropped.
        assert set(config) <= known, name
        assert re.fullmatch(r"[a-z]\w+\.\d*x?large", config["InstanceType"]), name
        assert config["ImageId"].startswith(("ami-", "resolve:ssm:/aws/service/")), name
        assert config["MetadataOptions"]["HttpTokens"] == "required", name
        for disk in config["BlockDeviceMappings"]:
            assert disk["Ebs"]["Encrypted"] is True, name
            assert disk["Ebs"]["VolumeType"] == "gp3", name
            assert disk["Ebs"]["DeleteOnTermination"] is True, name


def test_nothing_listens_to_the_world_and_every_connection_needs_the_token(cluster):
    assert set(cluster["provider"]) == {
        "type",
        "region",
        "cache_stopped_nodes",
    }  # no security group of our own: SSH only
    start = {key: cluster[f"{key}_start_ray_commands"][-1] for key in ("head", "worker")}
    assert "--dashboard-host=127.0.0.1" in start["head"]
    for command in start.values():
        assert "RAY_AUTH_MODE=token" in command
        assert "0.0.0.0" not in command
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in cluster["setup_commands"]


def test_it_installs_the_projects_own_pins_and_nothing_unpinned(cluster):
    installs = [
        c for key in ("setup", "head_setup", "worker_setup") for c in cluster[f"{key}_commands"] if "pip install" in c
    ]
    project, extra = installs
    assert "--constraint ~/digits/constraints.txt" in project
    assert project.endswith("~/digits[train,serve,gpu]")
    assert cluster["file_mounts"]["~/digits"] == "."
    assert "gpu" in PROJECT["optional-dependencies"]
    assert re.fullmatch(r".* boto3==[\d.]+", extra)


def test_no_secret_and_no_key_stands_in_it():
    text = (ROOT / "cluster.yaml").read_text()
    assert not re.search(r"AKIA|aws_secret|aws_access|RAY_AUTH_TOKEN=", text, re.IGNORECASE)
