"""The product as these tests use it: jobs as processes, the API in-process, pictures by a fixed seed.

The only imports of the product's code stand here. Whatever else is compared is read from what the jobs print and write.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from digits.commands.evaluation import figures_of
from digits.commands.seen_photos import read_photos
from digits.data.mnist import find_mnist
from digits.errors import NoDigitFound, UnreadableImage
from digits.evaluation.metrics import LabelledPredictions
from digits.evaluation.metrics import evaluate as evaluate_digits
from digits.evaluation.photo_folder import find_photos
from digits.evaluation.photo_score import NO_DIGIT
from digits.evaluation.simulated_photos import photo_set
from digits.images import decode_image
from digits.models import checkpoints
from digits.models.inference import build_classifier
from digits.preprocessing.prepare import prepare_photo
from digits.reading.networks import shipped
from digits.service.service import Service

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).resolve().parent / "recorded"
DIGITS, RUNS = "digits", "runs"
"""Folders inside `RECORDED`, and inside the folder that a job runs in: digits to train on, and runs."""
CORES = 2
"""Cores that a job may use. With one, batches are divided in other parts, and dropout draws other masks."""
NUM_SIMULATED, SEED = 190, 14
"""Simulated photos, of digits that no training sees, and the seed of the pictures."""
MEASURED_TIMES = ("seconds", "train_seconds", "images_per_second")
"""Figures of an epoch that differ from run to run."""
SINCE = ("photo_loss", "num_photos")
"""Figures of an epoch that are measured since the record was made."""
CANDIDATE = ("name", "architecture", "learning_rate")
"""What the record has of the network of a trial."""

TRAININGS = {
    "both": ("--architecture", "both", "--epochs", "2"),
    "recommended": ("--architecture", "recommended", "--epochs", "2", "--outliers", "0"),
}
"""Short trainings: a name, and the flags of jobs/train.py."""
SEARCH = (
    *("--num-samples", "2", "--max-epochs", "2", "--train-images", "320", "--validation-images", "80"),
    *("--batch-size", "16", "--distort", "False", "--epochs", "1", "--max-parameters", "60000"),
    *("--filters", "20", "32", "--dropouts", "0.0", "0.1", "--dense-units", "64", "128"),
    *("--dense-dropout", "0.0", "0.1", "--learning-rate", "0.003", "0.005"),
    *("--depths", "1", "--poolings", "2", "--learning-rate-schedule", "cosine", "--near", "0"),
    *("--start", "improved", "baseline", "--rank-by", "photo_score", "--grace-epochs", "1"),
)
"""Flags of jobs/tune.py: the article's baseline, and a network that is drawn from the space of that time. After an
epoch the drawn one is the better of the two, so that it is trained to its end whichever of them is first."""


def run_job(name: str, folder: Path, *flags: str) -> dict[str, Any]:
    """Run jobs/NAME.py in a folder, on the CPU; returns the JSON document that is its last line."""
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    job = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *flags],
        cwd=folder,
        # Workers, too, import this checkout. oneDNN, whose sums depend on the processor's kind, is left out.
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CUDA_VISIBLE_DEVICES": "",
            "COLUMNS": "100",
            "TF_ENABLE_ONEDNN_OPTS": "0",
        },
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        capture_output=True,
        text=True,
        timeout=600,
    )
    if job.returncode != 0:
        raise RuntimeError(f"jobs/{name}.py {' '.join(flags)} ended with {job.returncode}:\n{job.stdout}\n{job.stderr}")
    return json.loads(job.stdout.splitlines()[-1])


def train(folder: Path, *flags: str) -> dict[str, Any]:
    """Train on the digits in a folder, for its runs; returns the job's document."""
    return run_job("train", folder, *flags, "--data", DIGITS, "--storage-path", RUNS)


def histories(run_dir: str | Path) -> dict[str, list[dict[str, float]]]:
    """Every epoch of each network of a run, as its last epoch's checkpoint tells, without what differs in time."""
    networks = {}
    for path in sorted(Path(run_dir).glob("*-epoch*/checkpoint.json")):
        record = json.loads(path.read_text())
        name = f"{record['architecture_name']}-seed{record['training']['seed']}"
        networks[name] = [without_times(epoch) for epoch in record["history"]]
    return networks


def without_times(epoch: dict[str, float]) -> dict[str, float]:
    """The figures of an epoch that the record has: those that do not depend on the machine's speed."""
    return {key: value for key, value in epoch.items() if key not in (*MEASURED_TIMES, *SINCE)}


def search(folder: Path) -> dict[str, Any]:
    """Search on the digits in a folder: the networks and epochs of all trials, and what became of the winner."""
    document = run_job("tune", folder, *SEARCH, "--data", DIGITS, "--storage-path", RUNS)
    run_dir = Path(document["run_dir"])
    trials = [json.loads(path.read_text()) for path in sorted((run_dir / "trials").glob("*.json"))]
    best = {key: value for key, value in document["best"].items() if key != "checkpoint"}
    return {
        "trials": [
            {
                "candidate": {name: trial["candidate"][name] for name in CANDIDATE},
                "status": trial["status"],
                "history": [without_times(epoch) for epoch in trial["history"]],
            }
            for trial in trials
        ],
        "best": best,
        "winner": histories(run_dir),
    }


def evaluate(folder: Path, checkpoint: Path) -> dict[str, Any]:
    """Judge a checkpoint on its validation digits and on 40 simulated photos, which are written into a folder."""
    photos = folder / "photos"
    photos.mkdir()
    for index, (label, data) in enumerate(simulated()[:40]):
        (photos / f"{label}_{index:02d}.{'png' if index % 2 else 'jpg'}").write_bytes(data)
    flags = ("--checkpoint", str(checkpoint), "--photos", str(photos), "--no-report", "--storage-path", RUNS)
    document = run_job("evaluate", folder, *flags)
    assert document["photos"]["images"] == 40
    return {"validation": document["validation"], "photos": of_digit_network(photos, checkpoint)}


def of_digit_network(photos: Path, checkpoint: Path) -> dict[str, Any]:
    """What the record has of a folder of photos: the digit network's answers alone. The job asks both networks now."""
    seen = read_photos(photos, find_photos(photos)[0], shipped().reader)
    images, found = seen.prepared
    predict = build_classifier(checkpoints.load(str(checkpoint))).probabilities
    probabilities = evaluate_digits(predict, images, seen.labels).probabilities
    probabilities[found == NO_DIGIT] = 0
    return {**figures_of(LabelledPredictions(probabilities=probabilities, labels=seen.labels)), "path": "prepared"}


def encoded(image: np.ndarray, format: str) -> bytes:
    """A picture file of uint8 (H, W) or (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format, **({"compress_level": 1} if format == "PNG" else {"quality": 90}))
    return buffer.getvalue()


def held_out_digits() -> tuple[np.ndarray, np.ndarray]:
    """Digits of MNIST's test files: uint8 (190, 28, 28), and labels int64 (190,)."""
    table = pq.read_table(find_mnist() / "test-00-of-02.parquet").slice(0, NUM_SIMULATED)
    return table["image"].combine_chunks().to_numpy_ndarray(), table["label"].to_numpy()


def simulated() -> list[tuple[int, bytes]]:
    """Label and picture file of each simulated photo, JPEG and PNG in turn."""
    digits, labels = held_out_digits()
    formats = ("JPEG", "PNG")
    photos = photo_set(digits, SEED, None)
    return [
        (int(label), encoded(photo, formats[index % 2]))
        for index, (label, photo) in enumerate(zip(labels, photos, strict=True))
    ]


def pictures() -> list[bytes]:
    """200 picture files: simulated photos, then two digits in MNIST's form, then eight that show no digit."""
    digits, _ = held_out_digits()
    rng = np.random.default_rng(SEED)
    others = [
        encoded(digits[0], "PNG"),
        encoded(255 - digits[1], "PNG"),
        encoded(np.full((120, 160, 3), 240, np.uint8), "PNG"),
        encoded(np.zeros((120, 160, 3), np.uint8), "PNG"),
        encoded(rng.integers(0, 256, (200, 200, 3), np.uint8), "PNG"),
        encoded(np.kron(np.indices((20, 20)).sum(axis=0) % 2 * 255, np.ones((10, 10))).astype(np.uint8), "PNG"),
        encoded(digits[2, 10:14, 10:14], "PNG"),
        encoded(np.tile(digits[3], (4, 4)), "PNG")[:600],
        b"seven",
        b"",
    ]
    return [data for _, data in simulated()] + others


def answers(choice: dict[str, str], files: list[bytes]) -> list[dict[str, Any]]:
    """What the digit network makes of each prepared picture file: digit and probabilities, or why it sees none.

    `choice` names the checkpoint as the service's user_config does. The page network, which looks at the same pictures
    since the record was made, is left out.
    """
    service = Service()
    service.swap(choice)
    found: list[dict[str, Any]] = []
    for data in files:
        try:
            image = prepare_photo(decode_image(data))
        except (UnreadableImage, NoDigitFound) as error:
            found.append({"status": 415 if error.reason == "unknown_format" else 422, "reason": error.reason})
            continue
        probabilities = service.predict(service.model, image[None])[0]
        rounded = [round(float(probability), 6) for probability in probabilities]
        found.append({"digit": int(probabilities.argmax()), "probabilities": rounded})
    return found
