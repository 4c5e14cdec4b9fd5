"""From what the network sees to ten probabilities: the one prediction function of evaluation and service.

The checkpoint's arrays become an ONNX graph in memory, run by ONNX Runtime: no TensorFlow, no file.
Time, memory and agreement with Keras: docs/performance.md (jobs/benchmark.py --parts evaluation).
"""

from collections.abc import Mapping

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from digits.config import CHANNELS, IMAGE_SIZE, NUM_CLASSES, Architecture
from digits.errors import InferenceError
from digits.machine import usable_cores
from digits.models.checkpoints import Checkpoint

_CHUNK = 64
"""Images per run of the graph: bounds memory; larger runs are no faster."""
_OPSET, _IR_VERSION = 17, 8
"""Versions of the ONNX standard that the graph is written in; every operator used exists since then."""


class Classifier:
    """A trained network as a function from images to probabilities; thread-safe, deterministic.

    `temperature` divides the logits before the softmax (see `digits.models.calibration`); `num_threads` is the number
    of threads of one call.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Mapping[str, np.ndarray],
        *,
        temperature: float = 1.0,
        num_threads: int = 1,
    ) -> None:
        if not (np.isfinite(temperature) and temperature > 0):
            raise InferenceError(
                f"temperature = {temperature}",
                "a finite number above 0",
                "use 1.0, or the one that calibration.fit_temperature returns",
            )
        _check_weights(architecture, weights)
        self.architecture = architecture
        self.temperature = float(temperature)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait would take the processor from the rest of the service.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without the arena a large batch gives its memory back when it is done.
        options.enable_cpu_mem_arena = False
        self._grey, self._colour = (
            onnxruntime.InferenceSession(
                build_graph(architecture, weights, channels), options, providers=["CPUExecutionProvider"]
            )
            for channels in (1, CHANNELS)
        )

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Scores before the softmax, not divided by the temperature, of images in grey or in colour.

        uint8 (N, 28, 28) or (N, 28, 28, 3) -> float32 (N, 10). InferenceError for anything else.
        """
        shapes = (IMAGE_SIZE, IMAGE_SIZE), (IMAGE_SIZE, IMAGE_SIZE, CHANNELS)
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] not in shapes:
            described = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
            raise InferenceError(
                f"images are {described}",
                "an array uint8 (N, 28, 28), or (N, 28, 28, 3) in colour",
                "make them with prepare_photo or resize_photo",
            )
        graph, pixels = (self._grey, images[..., None]) if images.ndim == 3 else (self._colour, images)
        chunks = [
            graph.run(None, {"images": pixels[start : start + _CHUNK]})[0] for start in range(0, len(pixels), _CHUNK)
        ]
        return np.concatenate(chunks) if chunks else np.zeros((0, NUM_CLASSES), np.float32)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of the ten digits: uint8 (N, 28, 28) or (N, 28, 28, 3) -> float32 (N, 10)."""
        return softmax(self.logits(images) / np.float64(self.temperature)).astype(np.float32)


def build_classifier(checkpoint: Checkpoint, num_threads: int | None = None) -> Classifier:
    """The calibrated classifier of a checkpoint; each call uses all cores unless told otherwise."""
    return Classifier(
        checkpoint.architecture,
        checkpoint.weights,
        temperature=checkpoint.temperature,
        num_threads=num_threads or usable_cores(),
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Scores (N, 10) as probabilities float64 (N, 10), row by row."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def build_graph(architecture: Architecture, weights: Mapping[str, np.ndarray], channels: int = CHANNELS) -> bytes:
    """The network as a serialised ONNX model: `images` uint8 (N, 28, 28, channels) to `logits` float32 (N, 10).

    One channel, for grey images, stands for three equal ones: the first kernel is summed over its channels, and the
    network answers the same with less arithmetic.
    ONNX convolves channels first, while the checkpoint's arrays are channels last: kernels are transposed here, once.
    The rescaling by 1/255 is folded into the first kernel (there is no padding that it could miss).
    """
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["pixels"], perm=[0, 3, 1, 2]),
    ]
    constants: dict[str, np.ndarray] = {}
    current = "pixels"
    for index in range(len(architecture.filters)):
        name = f"conv_{index}"
        kernel = weights[f"{name}/kernel"].transpose(3, 2, 0, 1)
        if index == 0 and channels == 1:
            kernel = kernel.sum(axis=1, keepdims=True)
        constants[f"{name}/kernel"] = kernel / np.float32(255) if index == 0 else kernel
        constants[f"{name}/bias"] = weights[f"{name}/bias"]
        nodes.append(helper.make_node("Conv", [current, f"{name}/kernel", f"{name}/bias"], [name]))
        nodes.append(helper.make_node("Relu", [name], [f"{name}/relu"]))
        current = f"{name}/relu"
        if index in architecture.pool_after:
            nodes.append(helper.make_node("MaxPool", [current], [f"{name}/pool"], kernel_shape=[2, 2], strides=[2, 2]))
            current = f"{name}/pool"
    nodes.append(helper.make_node("Flatten", [current], ["features"]))
    current = "features"
    first_after_flatten = "output" if architecture.dense_units is None else "dense"
    for name in ("dense", "output") if architecture.dense_units is not None else ("output",):
        kernel = weights[f"{name}/kernel"]
        if name == first_after_flatten:
            kernel = _rows_channels_first(kernel, architecture)
        constants[f"{name}/kernel"], constants[f"{name}/bias"] = kernel, weights[f"{name}/bias"]
        result = "logits" if name == "output" else name
        nodes.append(helper.make_node("Gemm", [current, f"{name}/kernel", f"{name}/bias"], [result]))
        current = result
        if name == "dense":
            nodes.append(helper.make_node("Relu", ["dense"], ["dense/relu"]))
            current = "dense/relu"
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", IMAGE_SIZE, IMAGE_SIZE, channels])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", NUM_CLASSES])],
        initializer=[
            numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), name)
            for name, array in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    return model.SerializeToString()


def _rows_channels_first(kernel: np.ndarray, architecture: Architecture) -> np.ndarray:
    """The first kernel after flattening with its rows reordered from (H, W, C), as trained, to (C, H, W)."""
    size, channels = architecture.feature_size(), architecture.filters[-1]
    return kernel.reshape(size, size, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)


def _check_weights(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> None:
    expected = architecture.weight_shapes()
    found = {name: array.shape for name, array in weights.items()}
    if found != expected:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        name = wrong[0]
        raise InferenceError(
            f"weight {name} has shape {found.get(name)}",
            str(expected.get(name)),
            "give the weights and the architecture of one checkpoint",
        )
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise InferenceError(
                f"weight {name} holds a value that is not finite",
                "finite numbers",
                "the training diverged; train again with a smaller learning rate",
            )
