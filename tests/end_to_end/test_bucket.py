"""A bucket instead of a folder, from the first epoch to an answer: its endpoint and its keys stand in the URI."""

import json
import os
from urllib.parse import quote

import pytest
from pyarrow import fs

from digits.models import registering
from digits.models.registry import find_best
from digits.storage import Storage
from tests.end_to_end.faults import Job
from tests.end_to_end.quick_checkpoint import quickly_trained_weights
from tests.end_to_end.s3_server import COMMAND, s3_server
from tests.end_to_end.serve_cluster import get_text, serving, wait_for
from tests.unit.models.finished import finish

KEY, SECRET = "AKIAOFTHISTEST", "wH/at+NoBody=Sees"
HIDDEN = (KEY, SECRET, quote(SECRET, safe=""))
EPOCHS = 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not COMMAND.exists(), reason="needs the S3 server: make .venv-s3/installed"),
]


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


def assert_hidden(text, where):
    """No key stands in what somebody may read."""
    found = [hidden for hidden in HIDDEN if (hidden.encode() if isinstance(text, bytes) else hidden) in text]
    assert not found, f"{found} in {where}"


def assert_hidden_in_logs(ray_folder):
    logs = [log for log in ray_folder.glob("ray/session_*/logs/**/*") if log.is_file() and not log.is_symlink()]
    assert logs
    for log in logs:
        assert_hidden(log.read_bytes(), log)


def finished(job):
    """The document of a job that ended well, and told no keys."""
    assert job.wait() == 0, job.output
    assert_hidden(job.output, "the output")
    return json.loads(job.lines[-1])


def test_jobs_train_go_on_search_and_judge_in_a_bucket(bucket, environment, ray_folder):
    storage, public = Storage.open(bucket("runs")), str(Storage.open(bucket("runs")))
    assert "endpoint_override=" in public

    def start(*arguments):
        return Job(*arguments, "--storage-path", bucket("runs"), "--data", bucket("digits"), env=environment)

    # Trained, killed, and gone on with by the same command.
    training = ("jobs/train.py", "--architecture", "baseline", "--epochs", EPOCHS, "--run-name", "mine")
    first = start(*training)
    first.wait_for(f"epoch  1/{EPOCHS}")
    first.process.kill()
    first.wait()
    assert_hidden(first.output, "the output")
    run = "mine"
    assert run in storage.folders() and str(storage / run) in first.lines[0]
    resumed = start(*training)
    trained = finished(resumed)["runs"][0]
    assert "goes on after epoch" in resumed.output
    assert trained["epochs"] == EPOCHS
    assert trained["checkpoint"] == str(storage / run / "baseline-seed0")
    assert find_best(storage) == storage / run / "baseline-seed0"

    # Searched.
    small = ("--num-samples", 2, "--max-epochs", 1, "--train-images", 100, "--validation-images", 40, "--epochs", 1)
    searched = finished(start("jobs/tune.py", *small))
    assert searched["best"]["checkpoint"].startswith(public.partition("?")[0])
    tune = Storage.open(searched["run_dir"])
    assert any("tfevents" in name for name in (storage / tune.name / "tune" / "trial-00").files())

    # Judged, from a URI without keys and endpoint: the environment has them.
    address = public.partition("endpoint_override=")[2].partition("&")[0]
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": f"http://{address}"}
    plain = ("--storage-path", "s3://bucket/runs?region=us-east-1", "--data", "s3://bucket/digits?region=us-east-1")
    judged = finished(Job("jobs/evaluate.py", "--no-report", *plain, env={**environment, **keys}))
    assert judged["checkpoint"].partition("?")[0] == str(find_best(storage)).partition("?")[0]

    # No keys in what these jobs left.
    everything = storage.filesystem.get_file_info(fs.FileSelector("bucket", recursive=True))
    files = [file.path for file in everything if file.type == fs.FileType.File]
    assert len(files) > 20
    for path in files:
        with storage.filesystem.open_input_stream(path) as stream:
            assert_hidden(stream.read(), path)
    assert_hidden_in_logs(ray_folder)


@pytest.mark.long
def test_the_service_reads_a_bucket_and_swaps_in_it(bucket):
    storage, weights = Storage.open(bucket("runs")), quickly_trained_weights(seed=0)
    better = [finish(storage, name, photo_score=score, arrays=weights) for name, score in (("a/x", 0.9), ("b/y", 0.8))]
    registering.register(storage, better)

    def description():
        text = get_text(f"{cluster.url}/model")
        assert_hidden(text, "GET /model")
        return json.loads(text or "{}")

    with serving(bucket("runs"), "haproxy") as cluster:
        wait_for(lambda: description().get("name") == "x", "the best one")
        cluster.deploy(bucket("runs/b/y"))
        wait_for(lambda: description().get("name") == "y", "the swap")
        cluster.deploy(bucket("runs/c/z"))
        wait_for(lambda: "refused" in cluster.health(), "the refusal")
        assert_hidden(json.dumps(cluster.health()), "GET /health")
        assert description()["name"] == "y"
        assert_hidden_in_logs(cluster.folder)
