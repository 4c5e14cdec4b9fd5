"""Records the figures that the tests beside it compare with, and the runs that they go on with.

    python -m tests.regression.record [runs] [training] [search] [evaluation] [answers]

Without a name: all of them, which takes a few minutes. To be run where a change is meant to change figures, and never
to make a failing test pass. What stands in `recorded` was written by the code as it was before it became packages.

The trainings of networks with dropout, and the search, were recorded anew when their masks became those of seed, step
and place; the trial of the search that drops nothing has the losses of before, to 1e-7.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from digits.data.mnist import find_mnist
from tests.regression import product

PARTS = ("runs", "training", "search", "evaluation", "answers")
NUM_DIGITS = 400
FILES_OF_A_RUN = ("run.json", "history.csv", "checkpoint_manager_snapshot.json")
"""Kept of a run beside its checkpoints; its pictures are large, and metrics.json names folders of this machine."""


def write_digits(folder: Path) -> None:
    """Two Parquet files with the first 400 of MNIST's digits."""
    shipped = find_mnist() / "train-00-of-12.parquet"
    table = pq.read_table(shipped).slice(0, NUM_DIGITS).combine_chunks()
    images = np.ascontiguousarray(table["image"].chunk(0).to_numpy_ndarray())
    folder.mkdir(parents=True)
    for number, rows in enumerate(np.split(np.arange(NUM_DIGITS), 2)):
        columns = {
            "image": pa.FixedShapeTensorArray.from_numpy_ndarray(images[rows]),
            "label": table["label"].slice(rows[0], len(rows)),
        }
        path = folder / f"digits-{number}.parquet"
        pq.write_table(pa.table(columns), path, compression="zstd", compression_level=19)


def keep(run_dir: Path, checkpoint: str) -> None:
    """Copy what describes a run, and one of its checkpoints, to the recorded runs."""
    kept = product.RECORDED / product.RUNS / run_dir.name
    shutil.copytree(run_dir / checkpoint, kept / checkpoint)
    for name in FILES_OF_A_RUN:
        shutil.copy(run_dir / name, kept / name)


def record_runs(folder: Path) -> None:
    """The digits; a run on all of MNIST that ended; a run on the few digits as it is after the first of two epochs."""
    for name in (product.DIGITS, product.RUNS):
        shutil.rmtree(product.RECORDED / name, ignore_errors=True)
        shutil.rmtree(folder / name, ignore_errors=True)
    write_digits(product.RECORDED / product.DIGITS)
    shutil.copytree(product.RECORDED / product.DIGITS, folder / product.DIGITS)
    flags = ("--architecture", "baseline", "--storage-path", product.RUNS)
    ended = Path(product.run_job("train", folder, *flags, "--epochs", "1")["run_dir"])
    keep(ended, "baseline-seed0")
    interrupted = Path(product.run_job("train", folder, *flags, "--epochs", "2", "--data", product.DIGITS)["run_dir"])
    keep(interrupted, "baseline-seed0-epoch001")
    (product.RECORDED / product.RUNS / interrupted.name / "history.csv").unlink()
    shutil.copy(folder / product.RUNS / "best.json", product.RECORDED / product.RUNS)


def finished_checkpoint() -> Path:
    """The finished checkpoint among the recorded runs."""
    (path,) = (product.RECORDED / product.RUNS).glob("*/baseline-seed0")
    return path


def figures_of(part: str, folder: Path) -> Any:
    """What is recorded under a name."""
    if part == "training":
        trained = [product.train(folder, *flags)["run_dir"] for flags in product.TRAININGS.values()]
        return {name: epochs for run_dir in trained for name, epochs in product.histories(run_dir).items()}
    if part == "search":
        return product.search(folder)
    if part == "evaluation":
        return product.evaluate(folder, finished_checkpoint())
    found = product.answers({"storage_path": str(product.RECORDED / product.RUNS)}, product.pictures())
    return [
        {key: [round(p, 7) for p in value] if key == "probabilities" else value for key, value in answer.items()}
        for answer in found
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="what is recorded; left out, everything")
    parts = parser.parse_args().parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: no such part; give some of {', '.join(PARTS)}")
    product.RECORDED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "runs" in parts:
            record_runs(folder)
        elif (product.RECORDED / product.DIGITS).exists():
            shutil.copytree(product.RECORDED / product.DIGITS, folder / product.DIGITS)
        for part in [part for part in PARTS[1:] if part in parts]:
            figures = figures_of(part, folder)
            lines = ",\n".join(map(json.dumps, figures)) if isinstance(figures, list) else None
            text = f"[\n{lines}\n]" if lines else json.dumps(figures, indent=1)
            (product.RECORDED / f"{part}.json").write_text(f"{text}\n")
            print(f"{part} recorded", flush=True)


if __name__ == "__main__":
    main()
