"""What a check asks of its workers, and how they note what they found."""

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from digits.config import Recipe
from digits.storage import Storage

WEIGHTS = "weights.npz"


@dataclass(frozen=True, kw_only=True)
class CheckTask:
    """What every worker of one group gets."""

    recipe: Recipe
    steps: int
    folder: Storage
    """Where each worker notes what it found, and rank 0 the weights."""

    def note(self, rank: int, found: dict[str, Any]) -> None:
        """Note what a worker found, instead of what it had noted before."""
        (self.folder / f"worker-{rank}.json").write_bytes(json.dumps(found).encode())

    def notes(self) -> list[dict[str, Any]]:
        """What the workers noted, by rank."""
        names = [name for name in self.folder.files() if name.startswith("worker-")]
        notes: list[dict[str, Any]] = [json.loads((self.folder / name).read_bytes()) for name in names]
        return sorted(notes, key=lambda note: note["rank"])

    def write_weights(self, content: bytes) -> None:
        """Note the trained weights, an .npz file."""
        (self.folder / WEIGHTS).write_bytes(content)

    def weights(self) -> np.ndarray:
        """All trained weights in one row: float32 (parameters,)."""
        with np.load(io.BytesIO((self.folder / WEIGHTS).read_bytes()), allow_pickle=False) as arrays:
            return np.concatenate([arrays[f"arr_{place}"].ravel() for place in range(len(arrays.files))])
