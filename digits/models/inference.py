"""From what the network sees to ten probabilities: the one prediction function of evaluation and service.

ONNX Runtime computes: no TensorFlow. A finished checkpoint brings its graphs; those of another one are built in memory
from its arrays, for which the package onnx must be there (see `digits.models.digit_onnx`).
Time, memory and agreement with Keras: docs/performance.md (jobs/benchmark.py --parts evaluation).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime

from digits.config import CHANNELS, IMAGE_SIZE, NUM_CLASSES, Architecture
from digits.errors import CheckpointError, InferenceError, needs
from digits.machine import usable_cores
from digits.models.calibration import UsualEnergy
from digits.models.checkpoints import Checkpoint

_CHUNK = 64
"""Images per run of the graph: bounds memory; larger runs are no faster."""
UNKNOWN_FAMILIARITY = -1.77
"""Of every image where a checkpoint does not say what is usual: one in twenty photos of a digit looks so strange."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a network says of images."""

    probabilities: np.ndarray
    """Calibrated, of the ten digits: float32 (N, 10)."""
    familiarity: np.ndarray
    """How much like a digit each looks (see `UsualEnergy.familiarity`): float32 (N,)."""
    knows_none: bool = False
    """Whether the network was shown what is no digit, so that it looks the stranger."""


class Classifier:
    """A trained network as a function from images to probabilities; thread-safe, deterministic.

    `temperature` divides the logits before the softmax, and `usual_energy` tells how high they are for a digit (see
    `digits.models.calibration`); `knows_none` says that training showed what is none, too; `num_threads` is the number
    of threads of one call. `graphs`, of the same weights, are ONNX models for images in grey and in colour; they are
    built where they are not given. Making one raises InferenceError for weights or a temperature that cannot be, and
    CheckpointError for graphs that ONNX Runtime does not run.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Mapping[str, np.ndarray],
        *,
        temperature: float = 1.0,
        usual_energy: UsualEnergy | None = None,
        knows_none: bool = False,
        num_threads: int = 1,
        graphs: tuple[bytes, bytes] | None = None,
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
        self.usual_energy, self.knows_none = usual_energy, knows_none
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait would take the processor from the rest of the service.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without the arena a large batch gives its memory back when it is done.
        options.enable_cpu_mem_arena = False
        grey, colour = graphs or built(architecture, weights)
        self._grey, self._colour = _session(grey, 1, options), _session(colour, CHANNELS, options)

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

    def answers(self, images: np.ndarray) -> Answers:
        """What the network says of images uint8 (N, 28, 28) or (N, 28, 28, 3)."""
        logits = self.logits(images) / np.float64(self.temperature)
        if self.usual_energy is None:
            familiarity = np.full(len(images), UNKNOWN_FAMILIARITY, np.float32)
        else:
            familiarity = self.usual_energy.familiarity(logits)
        probabilities = softmax(logits).astype(np.float32)
        return Answers(probabilities=probabilities, familiarity=familiarity, knows_none=self.knows_none)


def build_classifier(checkpoint: Checkpoint, num_threads: int | None = None) -> Classifier:
    """The calibrated classifier of a checkpoint; each call uses all cores unless told otherwise."""
    return Classifier(
        checkpoint.architecture,
        checkpoint.weights,
        temperature=checkpoint.temperature,
        usual_energy=checkpoint.usual_energy,
        knows_none=checkpoint.knows_none,
        num_threads=num_threads or usable_cores(),
        graphs=checkpoint.graphs,
    )


def built(architecture: Architecture, weights: Mapping[str, np.ndarray]) -> tuple[bytes, bytes]:
    """The network as ONNX models for images in grey and in colour; ConfigurationError without the package onnx."""
    with needs("serve", "a checkpoint without its ONNX files (jobs/pack.py adds them)"):
        from digits.models.digit_onnx import build_graph
    return build_graph(architecture, weights, 1), build_graph(architecture, weights, CHANNELS)


def _session(graph: bytes, channels: int, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """A graph ready to run; CheckpointError unless it takes images of so many channels."""
    name = "the graph for images in grey" if channels == 1 else "the graph for images in colour"
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no other class in common
        raise CheckpointError(f"{name} cannot be run: {error}", "an ONNX model that digits wrote") from error
    found = {each.name: each.shape[1:] for each in session.get_inputs()}
    if found != {"images": [IMAGE_SIZE, IMAGE_SIZE, channels]}:
        raise CheckpointError(
            f"{name} takes {found}",
            f"one input, images, of shape [N, {IMAGE_SIZE}, {IMAGE_SIZE}, {channels}]",
        )
    return session


def softmax(logits: np.ndarray) -> np.ndarray:
    """Scores (N, 10) as probabilities float64 (N, 10), row by row."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


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
