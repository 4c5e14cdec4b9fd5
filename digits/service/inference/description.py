"""What the model is and what it has answered, as the Open Inference Protocol and Triton describe it."""

from dataclasses import dataclass
from typing import Any

from digits.config import CHANNELS, IMAGE_SIZE, NUM_CLASSES
from digits.service.inference.protocol import INPUT_NAME, MODEL_NAME, OUTPUT_NAME, VERSION


def server_metadata(version: str) -> dict[str, Any]:
    """Answer to GET /v2."""
    return {"name": MODEL_NAME, "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata() -> dict[str, Any]:
    """Answer to GET /v2/models/digits."""
    return {
        "name": MODEL_NAME,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": INPUT_NAME, "datatype": "UINT8", "shape": [-1, IMAGE_SIZE, IMAGE_SIZE, CHANNELS]}],
        "outputs": [{"name": OUTPUT_NAME, "datatype": "FP32", "shape": [-1, NUM_CLASSES]}],
    }


def model_config(max_batch: int) -> dict[str, Any]:
    """Answer to Triton's GET /v2/models/digits/config; batches of up to `max_batch` images."""
    return {
        "name": MODEL_NAME,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "max_batch_size": max_batch,
        "input": [{"name": INPUT_NAME, "data_type": "TYPE_UINT8", "dims": [IMAGE_SIZE, IMAGE_SIZE, CHANNELS]}],
        "output": [{"name": OUTPUT_NAME, "data_type": "TYPE_FP32", "dims": [NUM_CLASSES]}],
    }


def repository_index(ready: bool) -> list[dict[str, str]]:
    """Answer to Triton's POST /v2/repository/index."""
    state = {"state": "READY"} if ready else {"state": "UNAVAILABLE", "reason": "no checkpoint is loaded"}
    return [{"name": MODEL_NAME, "version": VERSION, **state}]


@dataclass(kw_only=True)
class Statistics:
    """What Triton's statistics tell of one process; counted by the thread that finishes a request."""

    requests: int = 0
    images: int = 0
    nanoseconds: int = 0
    """Spent on predicting."""
    last: int = 0
    """When the last request ended, in milliseconds since 1970."""

    def add(self, images: int, seconds: float, now: float) -> None:
        """Count a request that ended at `now`, seconds since 1970."""
        self.requests += 1
        self.images += images
        self.nanoseconds += round(seconds * 1e9)
        self.last = round(now * 1000)

    def to_dict(self) -> dict[str, Any]:
        """Answer to Triton's GET /v2/models/digits/stats."""
        spent = {"count": self.requests, "ns": self.nanoseconds}
        none = {"count": 0, "ns": 0}
        return {
            "model_stats": [
                {
                    "name": MODEL_NAME,
                    "version": VERSION,
                    "last_inference": self.last,
                    "inference_count": self.images,
                    "execution_count": self.requests,
                    "inference_stats": {
                        "success": spent,
                        "fail": none,
                        "queue": none,
                        "compute_input": none,
                        "compute_infer": spent,
                        "compute_output": none,
                    },
                    "batch_stats": [],
                }
            ]
        }
