"""Pictures, checkpoints and checks that the tests of the service share."""

import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from digits.config import BASELINE
from digits.images import encode_png
from digits.models import checkpoints
from digits.storage import Storage


class RecordingMetrics:
    """Remembers what was counted."""

    def __init__(self):
        self.digits, self.confidences, self.reasons, self.stages, self.seconds, self.swaps = [], [], [], [], [], []

    def predicted(self, digit, confidence):
        self.digits.append(digit)
        self.confidences.append(confidence)

    def rejected(self, reason):
        self.reasons.append(reason)

    def took(self, stage, seconds):
        self.stages.append(stage)
        self.seconds.append(seconds)

    def swapped(self, accepted):
        self.swaps.append(accepted)


def random_weights(seed: int) -> dict[str, np.ndarray]:
    """Of a network that is sure of nothing, so that its answers follow those of the page network."""
    rng = np.random.default_rng(seed)
    return {
        name: (
            rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1])) * (0.2 if name.startswith("output") else 1)
        ).astype(np.float32)
        for name, shape in BASELINE.weight_shapes().items()
    }


def write_checkpoint(folder: Path, seed: int = 0, name: str = "baseline", **record) -> str:
    described = {"name": name, "architecture": BASELINE.to_dict(), **record}
    checkpoints.write(Storage.open(folder), weights=random_weights(seed), record=described)
    return str(folder)


def drawn_digit(size: int = 280) -> np.ndarray:
    """A 7 in dark ink on paper: uint8 (size, size, 3)."""
    photo = np.full((size, size, 3), 250, np.uint8)
    step = size // 14
    photo[3 * step : 4 * step, 4 * step : 10 * step] = 20
    for row in range(4 * step, 11 * step):
        left = 9 * step - (row - 4 * step) // 2
        photo[row, left : left + step] = 20
    return photo


def encoded(format: str, image: np.ndarray | None = None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(drawn_digit() if image is None else image).save(buffer, format)
    return buffer.getvalue()


SEVEN = encode_png(drawn_digit())


def assert_problem(response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert set(answer) - {"error", "reason"} == {"detail"} and isinstance(answer["detail"], str) and answer["detail"]
    assert answer.get("error", answer["detail"]) == answer["detail"]
    return answer["detail"]


def bomb() -> bytes:
    """A PNG header that declares 30,000 x 30,000 pixels."""
    data = bytearray(encoded("PNG", np.zeros((8, 8, 3), np.uint8)))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)
