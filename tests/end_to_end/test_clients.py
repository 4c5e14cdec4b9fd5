"""Real clients against a real server: tritonclient in both encodings, and every example of docs/serving.md."""

import importlib
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from digits.evaluation.pages.simulated import PLAIN, simulated_page
from digits.images import encode_png

SERVING = Path(__file__).parents[2] / "docs" / "serving.md"
DOCUMENTED_ADDRESS = "127.0.0.1:8000"


@pytest.fixture
def client(plain_server):
    with triton.InferenceServerClient(plain_server.removeprefix("http://")) as client:
        yield client


def as_input(images: np.ndarray, binary: bool, datatype: str = "UINT8") -> triton.InferInput:
    tensor = triton.InferInput("images", list(images.shape), datatype)
    tensor.set_data_from_numpy(images, binary_data=binary)
    return tensor


def test_tritonclient_finds_a_living_server_and_a_ready_model(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("digits")
    assert not client.is_model_ready("letters")
    assert client.get_server_metadata()["name"] == "digits"
    metadata = client.get_model_metadata("digits")
    assert metadata["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 28, 28, 3]}]
    assert metadata["outputs"] == [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}]


@pytest.mark.parametrize("binary_input", [True, False], ids=["binary-in", "json-in"])
@pytest.mark.parametrize("binary_output", [True, False, None], ids=["binary-out", "json-out", "default-out"])
def test_tritonclient_gets_the_direct_calls_probabilities(client, direct, test_digits, binary_input, binary_output):
    images = test_digits[0][:7]
    outputs = None
    if binary_output is not None:
        outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary_output)]
    result = client.infer("digits", [as_input(images, binary_input)], outputs=outputs, request_id="a")
    np.testing.assert_allclose(result.as_numpy("probabilities"), direct.probabilities(images), atol=1e-6)
    assert result.get_response()["id"] == "a"


@pytest.mark.parametrize(
    ("images", "datatype", "message"),
    [
        (np.full((1, 28, 28, 3), 255, np.float32), "FP32", "UINT8"),
        (np.zeros((1, 28, 28, 3), np.int32), "INT32", "UINT8"),
        (np.zeros((1, 28, 28, 2), np.uint8), "UINT8", "shape"),
        (np.zeros((1025, 28, 28, 3), np.uint8), "UINT8", "shape"),
    ],
    ids=["over-1", "dtype", "shape", "batch"],
)
def test_tritonclient_shows_what_was_wrong(client, images, datatype, message):
    with pytest.raises(InferenceServerException, match=message) as raised:
        client.infer("digits", [as_input(images, True, datatype)])
    assert raised.value.status() == "400"


def test_tritonclient_may_name_the_models_version(client, direct, test_digits):
    images = test_digits[0][:3]
    assert client.is_model_ready("digits", "1") and not client.is_model_ready("digits", "2")
    assert client.get_model_metadata("digits", "1") == client.get_model_metadata("digits")
    result = client.infer("digits", [as_input(images, True)], model_version="1")
    np.testing.assert_allclose(result.as_numpy("probabilities"), direct.probabilities(images), atol=1e-6)


@pytest.mark.parametrize("way", ["gzip", "deflate"])
def test_tritonclient_may_pack_what_it_sends(client, direct, test_digits, way):
    images = test_digits[0][:3]
    result = client.infer("digits", [as_input(images, True)], request_compression_algorithm=way)
    np.testing.assert_allclose(result.as_numpy("probabilities"), direct.probabilities(images), atol=1e-6)


@pytest.mark.parametrize("channels", [(), (1,), (3,)], ids=["flat", "grey", "colour"])
@pytest.mark.parametrize("datatype", ["UINT8", "FP32"])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_tritonclient_sends_grey_or_colour_whole_numbers_or_fractions(
    client, direct, test_digits, channels, datatype, binary
):
    images = test_digits[0][:3]
    sent = images[..., 0] if channels == () else images[..., : channels[0]]
    sent = np.ascontiguousarray(sent) if datatype == "UINT8" else sent.astype(np.float32) / 255
    result = client.infer("digits", [as_input(sent, binary, datatype)])
    np.testing.assert_allclose(result.as_numpy("probabilities"), direct.probabilities(images[..., 0]), atol=1e-6)


def test_tritonclient_lists_configures_and_counts(client, test_digits):
    (model,) = client.get_model_repository_index()
    assert (model["name"], model["version"], model["state"]) == ("digits", "1", "READY")
    config = client.get_model_config("digits")
    assert (config["name"], config["max_batch_size"]) == ("digits", 1024)
    assert config["input"][0]["data_type"] == "TYPE_UINT8" and config["output"][0]["dims"] == [10]

    def counted() -> tuple[int, int, int]:
        (one,) = client.get_inference_statistics("digits")["model_stats"]
        success = one["inference_stats"]["success"]
        return one["inference_count"], one["execution_count"], success["ns"]

    images, requests, spent = counted()
    client.infer("digits", [as_input(test_digits[0][:5], True)])
    assert counted()[:2] == (images + 5, requests + 1) and counted()[2] > spent


@pytest.fixture(scope="module")
def generated(plain_server, tmp_path_factory):
    """A client that openapi-python-client writes from the API's own document."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "config.yml").write_text("post_hooks: []\n")
    command = [
        Path(sys.executable).parent / "openapi-python-client",
        "generate",
        "--url",
        f"{plain_server}/openapi.json",
    ]
    options = ["--output-path", folder / "digits_client", "--meta", "none", "--config", folder / "config.yml"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("digits_client")


def test_a_generated_client_reads_digits_and_sheets_and_tells_refusals(
    generated, plain_server, test_digits, filled_sheet
):
    def module(name):
        return importlib.import_module(f"digits_client.{name}")

    client, file = generated.Client(base_url=plain_server), module("types").File
    predict, read, models = module("api.default.predict"), module("api.default.read"), module("models")
    one = encode_png(test_digits[0][0])
    answer = predict.sync(client=client, body=file(payload=io.BytesIO(one)))
    assert isinstance(answer, models.Prediction) and 0 <= answer.digit <= 9 and len(answer.probabilities) == 10
    page = simulated_page(test_digits[0][..., 0], test_digits[1], np.random.default_rng(0), PLAIN)
    sheet = encode_png(page.picture)
    picture = read.sync(client=client, body=file(payload=io.BytesIO(sheet)))
    assert isinstance(picture, models.PictureRead) and len(picture.digits) > 10
    assert picture.text.replace(" ", "").replace("\n", "") == "".join(str(digit.digit) for digit in picture.digits)
    boxes = io.BytesIO(encode_png(filled_sheet))
    graded = module("api.default.sheet").sync(client=client, body=file(payload=boxes))
    assert isinstance(graded, models.SheetAnswer) and graded.written == 48
    assert [box.digit is None for box in graded.boxes] == [box.empty for box in graded.boxes]
    refused = predict.sync(client=client, body=file(payload=io.BytesIO(sheet)))
    assert isinstance(refused, models.Problem) and refused.reason == "several_digits"


def documented_examples() -> list:
    """The page's code blocks that talk to the service."""
    blocks = re.findall(
        r"^```(sh|bash|python)\n(.*?)^```", SERVING.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    wanted = [block for block in blocks if DOCUMENTED_ADDRESS in block[1] and block[1].startswith(("curl ", "import "))]
    assert len(wanted) >= 2
    return [pytest.param(language, code, id=code.split()[0]) for language, code in wanted]


@pytest.mark.parametrize(("language", "code"), documented_examples())
def test_a_documented_example_works_as_it_stands(plain_server, test_digits, filled_sheet, tmp_path, language, code):
    for name in ("seven.jpg", "seven.png", "another.png"):
        (tmp_path / name).write_bytes(encode_png(test_digits[0][0]))
    page = simulated_page(test_digits[0][..., 0], test_digits[1], np.random.default_rng(0), PLAIN)
    (tmp_path / "sheet.jpg").write_bytes(encode_png(page.picture))
    (tmp_path / "photo_of_sheet.jpg").write_bytes(encode_png(filled_sheet))
    code = code.replace(DOCUMENTED_ADDRESS, plain_server.removeprefix("http://"))
    command = ["bash", "-euo", "pipefail", "-c", code] if language != "python" else [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout and "detail" not in done.stdout
