"""The digit network for onnxruntime: a checkpoint's arrays -> an ONNX model."""

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from digits.config import CHANNELS, IMAGE_SIZE, NUM_CLASSES, Architecture

_OPSET, _IR_VERSION = 17, 8
"""Versions of the ONNX standard that the graph is written in; every operator used exists since then."""


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
