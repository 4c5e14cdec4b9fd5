"""The page network for onnxruntime: weights by their paths in the Keras network -> an ONNX file.

Each normalisation is folded into the convolution before it, and the input's scale into the first one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from digits.models.page_targets import CHANNELS, EPSILON, GREY_LEVELS, PageArchitecture

OPSET, IR_VERSION = 17, 8
Weights = Mapping[str, np.ndarray]


class _Graph:
    """Nodes and weights of the graph that grows."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node; returns its output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def convolved(
        self, x: str, name: str, kernel: np.ndarray, bias: np.ndarray, *, stride: int = 1, dilation: int = 1
    ) -> str:
        """A convolution of Keras' padding "same" for sizes that are multiples of the stride."""
        size = kernel.shape[0]
        around = dilation * (size - 1) + 1 - stride
        before, after = around // 2, around - around // 2
        arrays = {f"{name}.w": kernel.transpose(3, 2, 0, 1), f"{name}.b": bias}
        for tensor, array in arrays.items():
            self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), tensor))
        pads = [before, before, after, after]
        return self.add("Conv", [x, *arrays], name, strides=[stride] * 2, dilations=[dilation] * 2, pads=pads)

    def normalised(self, x: str, name: str, *, stride: int = 1, dilation: int = 1, scale: float = 1.0) -> str:
        """Convolution NAME_conv with its normalisation NAME_norm in it."""
        gamma, beta, mean, variance = (
            self.weights[f"{name}_norm/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        factor = gamma / np.sqrt(variance + EPSILON)
        kernel = self.weights[f"{name}_conv/kernel"] * factor * scale
        return self.convolved(x, name, kernel, beta - mean * factor, stride=stride, dilation=dilation)

    def residual(self, x: str, name: str, dilation: int) -> str:
        """A residual block."""
        y = self.add("Relu", [self.normalised(x, f"{name}_a", dilation=dilation)], f"{name}_a_relu")
        total = self.add("Add", [x, self.normalised(y, f"{name}_b")], f"{name}_sum")
        return self.add("Relu", [total], f"{name}_relu")

    def plain(self, x: str, name: str) -> str:
        """A 1x1 convolution with bias."""
        return self.convolved(x, name, self.weights[f"{name}/kernel"], self.weights[f"{name}/bias"])


def onnx_file(architecture: PageArchitecture, weights: Weights) -> bytes:
    """The network as an ONNX file: maps float32 (N, 2, H, W), 0..255 -> answer float32 (N, 18, H/4, W/4).

    H and W are multiples of 32. Raises KeyError where a weight is missing.
    """
    graph = _Graph(weights)
    x = graph.add("Relu", [graph.normalised("maps", "stem", stride=2, scale=1 / GREY_LEVELS)], "stem_relu")
    x = graph.add("Relu", [graph.normalised(x, "fine", stride=2)], "fine_relu")
    fine = x = graph.residual(x, "fine_block", 1)
    x = graph.add("Relu", [graph.normalised(x, "trunk", stride=2)], "trunk_relu")
    for number, dilation in enumerate(architecture.dilations):
        x = graph.residual(x, f"block_{number}", dilation)
    x = graph.add("DepthToSpace", [graph.plain(x, "spread")], "depth_to_space", blocksize=2, mode="DCR")
    x = graph.add("Relu", [graph.add("Add", [x, graph.plain(fine, "skip")], "joined")], "joined_relu")
    x = graph.add("Relu", [graph.normalised(x, "head")], "head_relu")
    graph.plain(x, "answer")
    maps = helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 2, "height", "width"])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", CHANNELS, "rows", "columns"])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "page_network", [maps], [answer], graph.tensors),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="digits",
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()
