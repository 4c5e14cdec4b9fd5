"""The service as people start it: `serve deploy serve/config.yaml` on a cluster, behind HAProxy, over real HTTP."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
import yaml
from pydantic import ValidationError
from ray.serve.schema import DeploymentSchema, ServeDeploySchema

from digits.benchmarks.serving.load import make_request
from digits.config import DataConfig
from digits.data.files import find_digits
from digits.data.read import read_without_ray
from digits.data.split import split_rows
from digits.errors import ConfigurationError, NotADigit
from digits.images import encode_png, to_rgb
from digits.reading.networks import shipped
from digits.reading.one_digit import look_at
from digits.service.deployment import Arguments
from digits.service.gate import read_api_key
from digits.storage import Storage
from tests.end_to_end.serve_cluster import ROOT, get_text, serving, wait_for
from tests.end_to_end.serving_load import finish, under_load
from tests.unit.models.finished import register

DEPLOYMENT_KEYS = set(DeploymentSchema.model_fields)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cluster(storage_path):
    with serving(storage_path, "haproxy") as cluster:
        yield cluster


def post(url: str, body: bytes, **headers: str) -> dict:
    request = urllib.request.Request(url, body, {key.replace("_", "-"): value for key, value in headers.items()})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_pictures_of_unseen_digits_are_answered_like_the_direct_call(cluster, direct, test_digits):
    images, labels = test_digits
    right = refused = 0
    for image, label in zip(images[:200], labels[:200], strict=True):
        look = look_at(image, shipped().reader)
        try:
            expected = look.answer(direct.answers)
        except NotADigit:  # the quick checkpoint is sure of another digit than the page network sees
            refused += 1
            with pytest.raises(urllib.error.HTTPError, match="422"):
                post(f"{cluster.url}/predict", encode_png(image[..., 0]), content_type="image/png")
            continue
        answer = post(f"{cluster.url}/predict", encode_png(image[..., 0]), content_type="image/png")
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
        right += answer["digit"] == label
    assert right >= 160 and refused <= 20


def test_tensors_of_all_validation_digits_are_answered_like_the_direct_call(cluster, direct):
    files = find_digits()
    validates = split_rows(files, DataConfig())
    digits = to_rgb(read_without_ray(files, validates, inverted_copies=True)[0])
    assert len(digits) == 28_000
    for start in range(0, len(digits), 1000):
        images = digits[start : start + 1000]
        tensor = {
            "name": "images",
            "datatype": "UINT8",
            "shape": images.shape,
            "parameters": {"binary_data_size": images.size},
        }
        header = json.dumps({"inputs": [tensor]}).encode()
        answer = post(
            f"{cluster.url}/v2/models/digits/infer",
            header + images.tobytes(),
            Inference_Header_Content_Length=str(len(header)),
        )
        probabilities = np.reshape(answer["outputs"][0]["data"], (1000, 10))
        np.testing.assert_allclose(probabilities, direct.probabilities(images), atol=1e-5)


def test_the_log_tells_at_once_what_is_in_service_and_nothing_of_single_requests(cluster):
    post(f"{cluster.url}/predict", make_request("png")[1])
    assert "In service: first" in cluster.logs()
    assert "POST /predict" not in cluster.logs()


@pytest.mark.slow
def test_a_new_checkpoint_is_swapped_in_and_a_broken_one_refused_under_load(cluster):
    load, thread, results = under_load(cluster, "png", requests=100, connections=4)
    before = [replica["pid"] for replica in cluster.replicas()]
    cluster.deploy(str(cluster.storage_path / "second"))
    wait_for(lambda: cluster.health().get("model") == "second", "the swap")
    cluster.deploy(str(cluster.storage_path / "broken"))
    health = wait_for(lambda: "refused" in cluster.health() and cluster.health(), "the refusal")
    result = finish(load, thread, results, after=100)
    assert (health["status"], health["model"]) == ("ok", "second")
    assert "SHA-256" in health["refused"]
    assert result.failed == 0 and result.requests >= 200
    assert [replica["pid"] for replica in cluster.replicas()] == before
    assert "The new checkpoint is refused" in cluster.logs()
    cluster.deploy()
    wait_for(lambda: cluster.health() == {"status": "ok", "model": "first"}, "the way back")


@pytest.mark.long
def test_a_better_checkpoint_is_taken_up_by_itself_but_not_by_deploying_the_same_again(cluster, tmp_path):
    storage = Storage.open(tmp_path)
    best = {"checkpoint": "best", "storage_path": str(tmp_path), "refresh_s": 0}
    register(storage, "a/one", photo_score=0.8)
    cluster.deploy(user_config=best)
    wait_for(lambda: cluster.health().get("model") == "one", "the first one")
    before = [replica["pid"] for replica in cluster.replicas()]
    register(storage, "a/two", photo_score=0.85)
    cluster.deploy(user_config=best)
    assert cluster.health() == {"status": "ok", "model": "one"}
    cluster.deploy(user_config={**best, "refresh_s": 1})
    wait_for(lambda: cluster.health().get("model") == "two", "the better one, for a change of user_config")
    register(storage, "a/three", photo_score=0.9)
    wait_for(lambda: cluster.health().get("model") == "three", "the best one, by itself", 30)
    assert [replica["pid"] for replica in cluster.replicas()] == before
    cluster.deploy()
    wait_for(lambda: cluster.health().get("model") == "first", "the way back")


def test_our_metrics_reach_prometheus(cluster):
    post(f"{cluster.url}/predict", make_request("png")[1])
    with pytest.raises(urllib.error.HTTPError):
        post(f"{cluster.url}/predict", b"no picture")
    names = ("digits_predictions", "digits_confidence", "digits_rejected_inputs", "digits_stage_latency_ms")
    listed = cluster.folder / "ray/prom_metrics_service_discovery.json"

    def exported() -> bool:
        targets = [target for group in json.loads(listed.read_text()) for target in group["targets"]]
        text = "".join(get_text(f"http://{target}/metrics") for target in targets)
        return all(name in text for name in names) and 'reason="unknown_format"' in text

    wait_for(exported, "the export of the metrics", 60)


@pytest.mark.slow
def test_with_an_api_key_only_health_is_open_and_the_key_is_in_no_log(cluster, tmp_path):
    key = "kept-out-of-every-log-0123456789"
    (tmp_path / "key").write_text(f"{key}\n")
    cluster.deploy(args={"api_key_file": str(tmp_path / "key")})
    picture = make_request("png")[1]

    def refused() -> bool:
        try:
            post(f"{cluster.url}/predict", picture)
        except urllib.error.HTTPError as error:
            return error.code == 401
        return False

    wait_for(refused, "the service that asks for a key")
    assert cluster.health()["status"] == "ok"
    assert 0 <= post(f"{cluster.url}/predict", picture, Authorization=f"Bearer {key}")["digit"] <= 9
    assert key not in cluster.logs()
    cluster.deploy()
    wait_for(lambda: not refused(), "the service without a key")


@pytest.mark.slow
def test_a_full_service_answers_503_with_retry_after(cluster):
    cluster.deploy(max_ongoing_requests=1, max_queued_requests=1, autoscaling_config={"max_replicas": 1})
    load, thread, results = under_load(cluster, "photo", requests=20, connections=16)
    seen = []

    def refused() -> bool:
        try:
            post(f"{cluster.url}/predict", make_request("photo")[1])
        except urllib.error.HTTPError as error:
            seen.append((error.code, error.headers["retry-after"]))
        return bool(seen)

    wait_for(refused, "a refusal", 30)
    result = finish(load, thread, results)
    assert seen == [(503, "1")]
    assert set(result.statuses) == {200, 503}


def test_the_api_key_is_the_first_line_of_its_file(tmp_path):
    (tmp_path / "key").write_text("0123456789abcdef\nsecond line\n")
    assert read_api_key(tmp_path / "key") == "0123456789abcdef"
    (tmp_path / "short").write_text("1234")
    for name in ("short", "missing"):
        with pytest.raises(ConfigurationError, match="openssl rand"):
            read_api_key(tmp_path / name)


def test_arguments_that_are_misspelt_are_refused():
    with pytest.raises(ValidationError, match="api_key"):
        Arguments(api_key="secret")


def test_config_yaml_holds_what_the_readme_promises():
    config = yaml.safe_load((ROOT / "serve/config.yaml").read_text())
    ServeDeploySchema.model_validate(config)
    assert config["http_options"]["host"] == "127.0.0.1"
    assert config["http_options"]["request_timeout_s"] > 0
    assert config["controller_options"]["runtime_env"]["env_vars"]["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    (deployment,) = config["applications"][0]["deployments"]
    assert set(deployment) >= {"max_ongoing_requests", "max_queued_requests", "backpressure_config", "user_config"}
    assert set(deployment) <= DEPLOYMENT_KEYS, "Ray would ignore a misspelt key"
    assert deployment["max_surge_percent"] == 100
