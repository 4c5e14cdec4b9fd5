"""A bucket instead of a folder, from the first epoch to an answer: its endpoint and its keys stand in the URI."""

import json
import os
import shutil
import tempfile
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from pyarrow import fs

from digits.models import registering
from digits.models.registry import find_best
from digits.service.api import create_api
from digits.service.service import Service
from digits.storage import Storage
from serve.__main__ import prepare
from tests.end_to_end.faults import Job
from tests.end_to_end.s3_server import COMMAND, s3_server

KEY, SECRET = "AKIAOFTHISTEST", "wH/at+NoBody=Sees"
HIDDEN = (KEY, SECRET, quote(SECRET, safe=""))
EPOCHS = 6

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not COMMAND.exists(), reason="needs the S3 server: make .venv-s3/installed"),
]


@pytest.fixture
def own_ray():
    """Environment in which Ray finds no cluster of anyone else; its sockets need a short path."""
    folder = tempfile.mkdtemp(prefix="ray")
    yield {"RAY_TMPDIR": folder}
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def without_keys(monkeypatch):
    """Nothing but a URI says how to reach a bucket: neither keys of the environment nor those of a machine."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)


@pytest.fixture
def bucket(tmp_path, without_keys, tiny_mnist):
    """How the paths of a bucket are written; it holds digits."""
    with s3_server(tmp_path / "server.log") as address:
        options = f"endpoint_override={address}&scheme=http&region=us-east-1"
        root = f"s3://{KEY}:{quote(SECRET, safe='')}@bucket"
        Storage.open(f"{root}?{options}&allow_bucket_creation=true").filesystem.create_dir("bucket")
        digits = Storage.open(f"{root}/digits?{options}")
        fs.copy_files(tiny_mnist, digits.path, destination_filesystem=digits.filesystem)
        yield lambda folder: f"{root}/{folder}?{options}"


def start(*arguments, storage, data, env):
    return Job(*arguments, "--storage-path", storage, "--data", data, env=env)


def finished(job):
    """The document of a job that ended well."""
    assert job.wait() == 0, job.output
    return json.loads(job.lines[-1])


def test_everything_is_done_in_a_bucket(bucket, own_ray):
    at = {"storage": bucket("runs"), "data": bucket("digits"), "env": own_ray}
    storage, jobs = Storage.open(at["storage"]), []
    public = str(storage)
    assert "endpoint_override=" in public

    # Trained, killed, and gone on with.
    jobs.append(start("jobs/train.py", "--architecture", "baseline", "--epochs", EPOCHS, **at))
    jobs[-1].wait_for(f"epoch  2/{EPOCHS}")
    jobs[-1].process.kill()
    jobs[-1].wait()
    (run,) = (name for name in storage.folders() if name.startswith("train-"))
    assert str(storage / run) in jobs[-1].lines[0]
    jobs.append(start("jobs/train.py", "--resume", run, **at))
    trained = finished(jobs[-1])["runs"][0]
    assert "goes on after epoch" in jobs[-1].output
    assert trained["epochs"] == EPOCHS
    assert trained["checkpoint"] == str(storage / run / "baseline-seed0")
    assert find_best(storage) == storage / run / "baseline-seed0"

    # Searched.
    small = ("--num-samples", 2, "--max-epochs", 1, "--train-images", 100, "--validation-images", 40, "--epochs", 1)
    jobs.append(start("jobs/tune.py", *small, **at))
    searched = finished(jobs[-1])
    assert searched["best"]["checkpoint"].startswith(public.partition("?")[0])

    # Judged, from a URI without keys and endpoint: the environment has them.
    environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
    address = public.partition("endpoint_override=")[2].partition("&")[0]
    env = {**own_ray, **environment, "AWS_ENDPOINT_URL": f"http://{address}"}
    plain = {"storage": "s3://bucket/runs?region=us-east-1", "data": "s3://bucket/digits?region=us-east-1", "env": env}
    jobs.append(start("jobs/evaluate.py", "--no-report", **plain))
    judged = finished(jobs[-1])
    assert judged["checkpoint"].partition("?")[0] == str(find_best(storage)).partition("?")[0]

    # Served, and swapped for an earlier one.
    _, name = prepare([f"storage_path={at['storage']}"])
    service = Service()
    client = TestClient(create_api(service))
    chosen = {"storage_path": at["storage"]}
    described = []
    for checkpoint in (f"{run}/baseline-seed0", searched["best"]["checkpoint"]):
        registering.choose(storage, checkpoint)
        service.swap(chosen)
        assert service.refused is None
        described.append(client.get("/model").text)
    assert name in "".join(described)
    assert json.loads(described[0])["name"] == "baseline-seed0" != json.loads(described[1])["name"]

    # What anybody may read afterwards: no keys.
    for job in jobs:
        assert not any(hidden in job.output for hidden in HIDDEN), job.output
    assert not any(hidden in text for text in described for hidden in HIDDEN)
    everything = storage.filesystem.get_file_info(fs.FileSelector("bucket", recursive=True))
    files = [file.path for file in everything if file.type == fs.FileType.File]
    assert len(files) > 20
    for path in files:
        with storage.filesystem.open_input_stream(path) as stream:
            content = stream.read()
        assert not any(hidden.encode() in content for hidden in HIDDEN), path
