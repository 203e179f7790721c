"""Builds ONNX graphs with a few lines over onnx.helper, and runs them. Never writes a file."""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
ML_OPSET = 3
IR_VERSION = 8
P_MIN, P_MAX = 0.001, 0.999


class Graph:
    """Named nodes, deduplicated constants; one input `features` [batch, width], one output `p_up` [batch, 1]."""

    def __init__(self, name, width):
        self.name, self.width = name, width
        self.nodes, self.constants, self.count, self.ml = [], {}, 0, False

    def constant(self, value, dtype=np.float32):
        array = np.ascontiguousarray(np.asarray(value, dtype=dtype))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.constants[key] = numpy_helper.from_array(array, f"c{len(self.constants)}")
        return self.constants[key].name

    def op(self, kind, *inputs, out=None, domain="", skip=0, **attributes):
        """Adds a node and returns the name of its output; `skip` outputs before that one are left out."""
        inputs = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        out = out or f"t{self.count}"
        self.count += 1
        self.nodes.append(helper.make_node(kind, inputs, [""] * skip + [out], name=f"n{len(self.nodes)}", domain=domain, **attributes))
        self.ml = self.ml or domain == "ai.onnx.ml"
        return out

    def column(self, *index):
        return self.op("Gather", "features", self.constant(list(index), np.int64), axis=1)

    def finish(self, probability):
        """The file, with the probability kept off 0 and 1."""
        self.op("Clip", probability, P_MIN, P_MAX, out="p_up")
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", self.width])],
            [helper.make_tensor_value_info("p_up", TensorProto.FLOAT, ["batch", 1])],
            initializer=list(self.constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET)] + ([helper.make_opsetid("ai.onnx.ml", ML_OPSET)] if self.ml else [])
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="oraculo")
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


def session(model):
    """A single-threaded session of a file's bytes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def predict(run, x, scaler=None):
    """f32 [n, 1] of raw rows, normalised first as the manifest says."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    if scaler is not None:
        x = scaler.apply(x)
    return run.run(["p_up"], {"features": x})[0]
