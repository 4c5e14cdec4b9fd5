"""The HTTP API in-process: pictures in, answers out, and one error shape for everything else."""

import asyncio
import base64
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from digits.config import BASELINE
from digits.errors import CheckpointError, ConfigurationError
from digits.images import decode_image, encode_png, to_rgb
from digits.models import checkpoints
from digits.models.inference import Classifier
from digits.models.registry import SHIPPED
from digits.preprocessing.prepare import prepare_photo
from digits.reading.networks import shipped
from digits.reading.one_digit import look_at
from digits.service.api import create_api
from digits.service.limits import Limits
from digits.service.model import find_checkpoint, load_model
from digits.service.service import Service
from digits.storage import Storage
from tests.unit.models.finished import register
from tests.unit.service.pictures import (
    SEVEN,
    assert_problem,
    bomb,
    drawn_digit,
    encoded,
    random_weights,
    write_checkpoint,
)


def expected_probabilities(data: bytes) -> np.ndarray:
    """What both networks make of a picture together."""
    classifier = Classifier(BASELINE, random_weights(0), temperature=1.5)
    photo = decode_image(data)
    return look_at(photo, shipped().reader).answer(classifier.answers)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_picture_as_the_raw_body_is_answered_like_the_direct_call(client, format):
    data = encoded(format)
    answer = client.post("/predict", content=data, headers={"content-type": f"image/{format.lower()}"}).json()
    expected = expected_probabilities(data)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
    assert answer["digit"] == expected.argmax()
    assert answer["confidence"] == pytest.approx(expected.max(), abs=1e-6)
    assert answer["model"] == "baseline"
    assert "image" not in answer


@pytest.mark.parametrize("content_type", [None, "application/octet-stream", "application/x-www-form-urlencoded"])
def test_what_curl_and_fetch_announce_for_raw_bytes_is_accepted(client, content_type):
    headers = {} if content_type is None else {"content-type": content_type}
    assert client.post("/predict", content=SEVEN, headers=headers).status_code == 200


def test_one_form_field_is_answered_like_a_raw_body(client):
    in_form = client.post("/predict", files={"file": ("seven.png", SEVEN)})
    assert in_form.json() == client.post("/predict", content=SEVEN).json()


def test_explain_adds_what_the_network_saw(client):
    answer = client.post("/predict?explain=true", content=SEVEN).json()
    prefix, _, data = answer["image"].partition(",")
    assert prefix == "data:image/png;base64"
    np.testing.assert_array_equal(decode_image(base64.b64decode(data)), to_rgb(prepare_photo(drawn_digit())))


def test_several_files_keep_their_order_and_a_bad_one_spoils_none(client, metrics):
    moved = encoded("PNG", np.roll(drawn_digit(), 3, axis=1))
    files = [("file", ("a", SEVEN)), ("file", ("b", b"text")), ("file", ("c", moved))]
    first, second, third = client.post("/predict", files=files).json()["predictions"]
    np.testing.assert_allclose(first["probabilities"], expected_probabilities(SEVEN), atol=1e-6)
    np.testing.assert_allclose(third["probabilities"], expected_probabilities(moved), atol=1e-6)
    assert "not a picture" in second["detail"]
    assert (len(metrics.digits), metrics.reasons) == (2, ["unknown_format"])


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"", 422, "empty"),
        (b"just text", 415, "unknown_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unknown_format"),
        (SEVEN[: len(SEVEN) // 2], 422, "damaged"),
        (bomb(), 413, "too_many_pixels"),
        (encode_png(np.full((200, 200, 3), 255, np.uint8)), 422, "blank"),
    ],
    ids=["empty", "text", "svg", "truncated", "bomb", "blank"],
)
def test_what_is_no_digit_is_refused_with_the_reason(client, metrics, data, status, reason):
    assert_problem(client.post("/predict", content=data), status)
    assert metrics.reasons == [reason]


@pytest.mark.parametrize("content_type", ["application/pdf", "text/html", "nonsense", "video/mp4"])
def test_other_content_types_are_refused(client, metrics, content_type):
    response = client.post("/predict", content=SEVEN, headers={"content-type": content_type})
    assert content_type in assert_problem(response, 415)
    assert metrics.reasons == ["content_type"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'--x\r\nContent-Disposition: form-data; name="other"; filename="a"\r\n\r\nx\r\n--x--\r\n', 422),
        (b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\ntext\r\n--x--\r\n', 422),
        (b"--x\r\n\r\nx\r\n--x--\r\n", 400),
        (b"no form at all", 400),
        (b"--x\r\nContent-Disposition: form-data; name=\xff\xfe\r\n\r\n\r\n--x--", 422),
        (b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nab', 400),
    ],
    ids=["other-field", "no-file", "no-name", "no-form", "broken", "unfinished"],
)
def test_broken_forms_are_refused(client, content, status):
    response = client.post("/predict", content=content, headers={"content-type": "multipart/form-data; boundary=x"})
    assert_problem(response, status)


def test_a_form_without_boundary_and_too_many_files_are_refused(client):
    assert_problem(client.post("/predict", content=b"x", headers={"content-type": "multipart/form-data"}), 400)
    assert_problem(client.post("/predict", files=[("file", ("a", SEVEN))] * 17), 400)


def parts_of(detail: str) -> list[str]:
    """What happened, what was expected and what to do."""
    happened, expected, remedy = detail.split("\n")
    assert expected.startswith("  expected: ") and remedy.startswith("  what to do: ")
    return [happened, expected, remedy]


def test_an_invalid_parameter_is_refused(client, metrics):
    detail = assert_problem(client.post("/predict?explain=perhaps", content=SEVEN), 422)
    assert parts_of(detail)[0].startswith("query explain: ")
    assert metrics.reasons == ["parameter"]


def test_unknown_paths_and_methods_have_the_same_shape(client):
    there_is_nothing = assert_problem(client.get("/nothing"), 404)
    assert parts_of(there_is_nothing)[0] == "there is nothing at /nothing"
    assert_problem(client.get("/v2/models/other"), 404)
    not_this_method = assert_problem(client.get("/predict"), 405)
    assert parts_of(not_this_method)[0] == "/predict takes no GET"
    assert_problem(client.put("/health"), 405)
    assert client.get("/predict").headers["allow"] == "POST"


def test_of_an_unknown_path_or_method_only_the_beginning_is_repeated(client):
    path = "/" + "x" * 200
    assert parts_of(assert_problem(client.get(path), 404))[0] == f"there is nothing at {path[:100]}"
    assert parts_of(assert_problem(client.request("X" * 200, "/predict"), 405))[0] == f"/predict takes no {'X' * 100}"


def test_a_declared_body_that_is_too_large_is_refused_unread(service, metrics):
    sent = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "query_string": b"",
        "headers": [(b"content-length", b"20000001")],
    }

    async def receive():
        raise AssertionError("the body was read")

    async def send(message):
        sent.append(message)

    asyncio.run(create_api(service)(scope, receive, send))
    assert (sent[0]["status"], metrics.reasons) == (413, ["too_large"])


@pytest.mark.parametrize("path", ["/predict", "/v2/models/digits/infer"])
@pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=x"])
def test_a_streamed_body_that_is_too_large_is_refused(service, path, content_type):
    def stream():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 1000

    with TestClient(create_api(service, limits=Limits(max_body_bytes=5000))) as client:
        assert_problem(client.post(path, content=stream(), headers={"content-type": content_type}), 413)


def test_health_and_model_describe_what_answers(client):
    assert client.get("/health").json() == {"status": "ok", "model": "baseline"}
    model = client.get("/model").json()
    assert (model["name"], model["num_parameters"]) == ("baseline", 8922)
    assert model["architecture"] == json.loads(json.dumps(BASELINE.to_dict()))
    assert model["metrics"] == {"validation_accuracy": 0.99}
    assert model["calibration"]["expected_calibration_error"] == 0.01
    assert "history" not in model and "path" not in model
    measured = shipped().reader.record["simulated_pages"]
    kept = ("character_error_rate", "exact", "answered_without_digits")
    assert model["reader"]["shipped"] is True
    assert model["reader"]["simulated_pages"] == {key: measured[key] for key in kept}


def test_without_a_model_it_is_alive_but_not_ready():
    with TestClient(create_api(Service())) as client:
        assert client.get("/v2/health/live").status_code == 200
        for path in ("/health", "/model", "/v2/health/ready", "/v2/models/digits/ready"):
            response = client.get(path)
            assert parts_of(assert_problem(response, 503))[0] == "no model is ready yet"
            assert response.headers["retry-after"] == "1"
        assert_problem(client.post("/predict", content=SEVEN), 503)


def test_a_new_checkpoint_answers_and_a_broken_one_is_refused(client, service, metrics, tmp_path):
    service.swap({"checkpoint": write_checkpoint(tmp_path / "two", seed=1, name="second")})
    assert client.post("/predict", content=SEVEN).json()["model"] == "second"
    broken = tmp_path / "broken"
    write_checkpoint(broken, seed=2)
    (broken / "weights.npz").write_bytes(b"no arrays")
    service.swap({"checkpoint": str(broken)})
    health = client.get("/health").json()
    assert (health["status"], health["model"]) == ("ok", "second")
    assert "SHA-256" in health["refused"]
    assert client.post("/predict", content=SEVEN).json()["model"] == "second"
    assert metrics.swaps == [True, True, False]


def test_a_checkpoint_that_answers_with_no_numbers_is_refused(service, tmp_path):
    """Its weights are finite, and what they are multiplied to is not."""
    weights = {name: np.sign(values) * np.float32(1e30) for name, values in random_weights(0).items()}
    record = {"name": "huge", "architecture": BASELINE.to_dict()}
    checkpoints.write(Storage.open(tmp_path / "huge"), weights=weights, record=record)
    with pytest.raises(CheckpointError, match="answer with numbers that are not finite"):
        load_model(str(tmp_path / "huge"))
    service.swap({"checkpoint": str(tmp_path / "huge")})
    assert "not finite" in service.refused and service.model.name == "baseline"


@pytest.mark.parametrize("choice", [{"storage_path": "SECRET"}, {"checkpoint": "SECRET"}, {"chekpoint": "SECRET"}])
def test_keys_of_a_bucket_are_not_told(service, choice):
    uri = "s3://AKIAEXAMPLE:sE%2FcReT@bucket/runs?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1&x=sEcReT2"
    service.swap(dict.fromkeys(choice, uri))
    assert service.refused and "bucket" in service.refused
    assert not any(key in service.refused for key in ("AKIAEXAMPLE", "cReT"))


def test_without_settings_it_looks_where_uploaded_jobs_write_if_the_checkout_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr("digits.service.model.ROOT", tmp_path / "checkout")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    uploaded = Storage.open(tmp_path / "home" / "digits-runs")
    register(uploaded, "a/first")
    assert find_checkpoint({}) == uploaded / "a/first"
    of_checkout = Storage.open(tmp_path / "checkout" / "runs")
    register(of_checkout, "b/second")
    assert find_checkpoint({}) == of_checkout / "b/second"


def test_a_broken_first_checkpoint_is_an_error(tmp_path):
    with pytest.raises(checkpoints.CheckpointError, match="make train"):
        Service().swap({"checkpoint": str(tmp_path / "nothing")})


def test_the_best_checkpoint_of_a_storage_path_is_found(tmp_path):
    write_checkpoint(tmp_path / "good")
    (tmp_path / "best.json").write_text('{"checkpoint": "good"}')
    assert str(find_checkpoint({"storage_path": str(tmp_path)})) == str(tmp_path / "good")
    assert find_checkpoint({"checkpoint": "runs/other"}) == str(Path(__file__).parents[3] / "runs" / "other")
    assert find_checkpoint({"checkpoint": "s3://bucket/runs/other"}) == "s3://bucket/runs/other"
    assert find_checkpoint({"checkpoint": "shipped", "storage_path": str(tmp_path)}) == Storage.open(SHIPPED)
    assert find_checkpoint({"storage_path": str(tmp_path / "empty")}) == Storage.open(SHIPPED)


def test_the_networks_go_into_service_as_one_and_the_model_tells_which_they_are(tmp_path):
    write_checkpoint(tmp_path / "alone")
    service = Service()
    service.swap({"checkpoint": str(tmp_path / "alone")})
    assert service.model.description["reader"]["shipped"] is True
    assert service.model.description["reader"]["name"] == shipped().reader.record["name"]
    # With a page network of its own, which is damaged: the whole checkpoint is refused.
    shutil.copytree(tmp_path / "alone", tmp_path / "both")
    shutil.copytree(SHIPPED / "reader", tmp_path / "both" / "reader")
    before = service.model
    service.swap({"checkpoint": str(tmp_path / "both")})
    assert service.model is not before and service.refused is None
    assert service.model.description["reader"]["shipped"] is False
    before = service.model
    with (tmp_path / "both" / "reader" / "network.onnx").open("ab") as network:
        network.write(b"!")
    service.swap({"checkpoint": str(tmp_path / "both")})
    assert service.model is before and "is damaged" in service.refused


@pytest.mark.parametrize("choice", [{"checkpont": "best"}, {"checkpoint": 7}, {"storage_path": None}])
def test_a_choice_that_cannot_be_is_refused(service, choice):
    with pytest.raises(ConfigurationError, match="user_config"):
        find_checkpoint(choice)
    service.swap(choice)
    assert service.model is not None and "user_config" in service.refused


def test_answers_are_counted_by_digit_and_stage(client, metrics):
    answer = client.post("/predict", content=SEVEN).json()
    assert metrics.digits == [answer["digit"]]
    assert metrics.confidences == [pytest.approx(answer["confidence"], abs=1e-6)]
    assert sorted(metrics.stages) == ["decode", "predict", "prepare"]
    assert all(0 < seconds < 60 for seconds in metrics.seconds)


def test_answers_and_models_are_made_by_name_and_stay_as_they_are(service):
    for one in (*service.recognise(service.model, [SEVEN, b""]), service.model):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, dataclasses.fields(one)[0].name, None)
        with pytest.raises(TypeError, match="takes 1 positional"):
            type(one)(None)


def test_bugs_of_ours_have_the_error_shape_and_tell_nothing(client, service, monkeypatch):
    def fail(*_):
        raise RuntimeError("secret")

    monkeypatch.setattr(service, "recognise", fail)
    detail = assert_problem(client.post("/predict", content=SEVEN), 500)
    assert "secret" not in detail and parts_of(detail)[0] == "the service failed"


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


@pytest.mark.parametrize("authorization", ["Bearer right", "bearer right", basic("right")])
def test_with_an_api_key_the_right_one_opens(service, authorization):
    with TestClient(create_api(service, api_key="right")) as client:
        response = client.post("/predict", content=SEVEN, headers={"authorization": authorization})
    assert response.status_code == 200


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer", "Basic !", basic("wrong"), "Digest right"])
def test_with_an_api_key_everything_but_health_is_closed(service, authorization):
    headers = {} if authorization is None else {"authorization": authorization}
    with TestClient(create_api(service, api_key="right")) as client:
        for path in ("/", "/model", "/docs", "/openapi.json", "/v2", "/v2/models/digits", "/nothing"):
            response = client.get(path, headers=headers)
            assert_problem(response, 401)
            assert "Basic" in response.headers["www-authenticate"]
        assert_problem(client.post("/predict", content=SEVEN, headers=headers), 401)
        for path in ("/health", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path, headers=headers).status_code == 200


def test_the_document_tells_of_a_missing_key_wherever_one_is_asked_for_and_only_there(service):
    with TestClient(create_api(service, api_key="right")) as client:
        for _ in range(2):
            document = client.get("/openapi.json", headers={"authorization": "Bearer right"}).json()
            refused = {path: client.request(method, path).status_code == 401 for path, method in one_each(document)}
            told = {
                path: all("401" in operation["responses"] for operation in operations.values())
                for path, operations in document["paths"].items()
            }
            assert told == refused
    assert sorted(path for path, asked in told.items() if not asked) == [
        "/health",
        "/v2/health/live",
        "/v2/health/ready",
    ]


def one_each(document):
    """Each path of an OpenAPI document, with a method that it takes."""
    return [(path, next(iter(operations))) for path, operations in document["paths"].items()]


def test_tensors_are_answered_like_the_direct_call(client):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)
    tensor = {"name": "images", "datatype": "UINT8", "shape": [3, 28, 28, 3], "data": images.tolist()}
    answer = client.post("/v2/models/digits/infer", json={"inputs": [tensor]}).json()
    expected = Classifier(BASELINE, random_weights(0), temperature=1.5).probabilities(images)
    np.testing.assert_allclose(np.reshape(answer["outputs"][0]["data"], (3, 10)), expected, atol=1e-6)


def test_a_grey_tensor_is_answered_as_the_picture_file_is_and_not_by_its_neighbours(client):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 3), dtype=np.uint8)
    images[1::2] = images[1::2, ..., :1]
    classifier = Classifier(BASELINE, random_weights(0), temperature=1.5)
    expected = np.empty((5, 10), np.float32)
    expected[1::2], expected[::2] = (
        classifier.probabilities(images[1::2, ..., 0]),
        classifier.probabilities(images[::2]),
    )

    for rows in (slice(None), slice(1, None, 2), slice(0, None, 2), slice(1, 2)):
        sent = images[rows]
        tensor = {"name": "images", "datatype": "UINT8", "shape": sent.shape, "data": sent.ravel().tolist()}
        answer = client.post("/v2/models/digits/infer", json={"inputs": [tensor]}).json()
        np.testing.assert_allclose(np.reshape(answer["outputs"][0]["data"], (-1, 10)), expected[rows], atol=1e-7)


def test_broken_tensors_have_both_error_keys(client, metrics):
    response = client.post("/v2/models/digits/infer", json={"inputs": []})
    assert_problem(response, 400)
    assert response.json()["error"] == response.json()["detail"]
    assert metrics.reasons == ["tensor_inputs"]


def test_metadata_of_the_protocol(client):
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    model = client.get("/v2/models/digits").json()
    assert model["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 28, 28, 3]}]
    assert model["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_is_one_file_and_names_no_other_host(client, path):
    response = client.get(path)
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    without_namespaces = response.text.replace("http://www.w3.org/", "")
    assert "http://" not in without_namespaces and "https://" not in without_namespaces


def test_the_page_can_be_asked_for_its_head(client):
    assert client.head("/").status_code == 200
