"""What `digits serve` is asked for wrongly is told in three parts before Ray starts, never as a traceback."""

import pytest
import yaml

from digits.service import start
from digits.service.settings import CONFIG, read_settings

KEYS = ("AKIAEXAMPLE", "sEcReT", "sEcReT2")
BUCKET = "s3://AKIAEXAMPLE:sEcReT@bucket/runs?region=us-east-1&x=sEcReT2"


def refusal(*arguments: str) -> str:
    """With what message the command ends."""
    with pytest.raises(SystemExit) as ended:
        start.main(arguments)
    message = str(ended.value)
    assert message.startswith("error: ") and "\n  expected: " in message and "\n  what to do: " in message
    return message


def test_a_key_file_of_random_bytes_holds_no_key(tmp_path):
    file = tmp_path / "key"
    file.write_bytes(bytes(range(128, 256)))
    assert f"api_key_file = {file} holds no API key" in refusal("checkpoint=shipped", f"api_key_file={file}")


@pytest.mark.parametrize("name", ["RAY_SERVE_HAPROXY_STATS_PORT", "RAY_SERVE_HAPROXY_METRICS_PORT"])
def test_a_port_of_haproxy_that_is_none_cannot_be_moved_and_is_told_by_its_name(tmp_path, name):
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["controller_options"]["runtime_env"]["env_vars"][name] = "abc"
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    assert f"{name}=abc" in refusal(str(file), "checkpoint=shipped", "port=9001")


@pytest.mark.parametrize("key", ["checkpoint", "storage_path"])
def test_a_storage_that_cannot_be_reached_is_told_without_its_keys(monkeypatch, key):
    def fail(choice):
        raise OSError(f"When listing {choice[key]}: could not connect with sEcReT and sEcReT2")

    monkeypatch.setattr(start, "find_checkpoint", fail)
    settings = read_settings([f"{key}={BUCKET}"], CONFIG)
    settings.user_config["refresh_s"] = 60
    monkeypatch.setattr(start, "read_settings", lambda arguments, default: settings)
    message = refusal()
    assert "the storage of the checkpoint cannot be read: When listing s3://bucket/runs" in message
    assert not any(secret in message for secret in KEYS)


def test_a_folder_that_cannot_be_reached_is_told_by_its_name(monkeypatch):
    def fail(choice):
        raise TimeoutError(f"{choice['storage_path']} does not answer")

    monkeypatch.setattr(start, "find_checkpoint", fail)
    assert "cannot be read: /mounted/runs does not answer" in refusal("storage_path=/mounted/runs")
