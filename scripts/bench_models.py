"""Writes the models of `oraculo bench inference` and of the tree walker's tests, with rows for them.

    python bench_models.py workloads DIR    mlp, gru, tfm, lgbm, lgbmc: random weights, seed 7, opset 17
    python bench_models.py converted DIR    what LightGBM, XGBoost and scikit-learn convert to, with ONNX Runtime's answers

Run by an interpreter that bench_venv.py made. Nothing is fetched; the same versions give the same files.
"""

import json
import os
import pathlib
import sys
import warnings

# Many threads on a busy machine wait for each other for minutes.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings("ignore")
ROWS = 8192
F32 = TensorProto.FLOAT


class Graph:
    """Nodes and weights under construction; `op` gives the name of what it computes."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def const(self, array: np.ndarray) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def random(self, *shape: int) -> str:
        fan = shape[-2] if len(shape) > 1 else shape[-1]
        return self.const((self.rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float32))

    def op(self, kind: str, *inputs: str, out: str | None = None, outputs: int = 1, **attributes) -> str:
        names = [out or f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[-1]

    def model(self, shape: list[int]) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", F32, ["batch", *shape])
        y = helper.make_tensor_value_info("y", F32, ["batch", 1])
        graph = helper.make_graph(self.nodes, "bench", [x], [y], self.weights)
        out = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(out, full_check=True)
        return out


def mlp(seed: int = 7) -> tuple[onnx.ModelProto, list[int]]:
    g = Graph(seed)
    h = "x"
    for a, b in [(64, 128), (128, 128)]:
        h = g.op("Relu", g.op("Gemm", h, g.random(a, b), g.random(b)))
    g.op("Sigmoid", g.op("Gemm", h, g.random(128, 1), g.random(1)), out="y")
    return g.model([64]), [64]


def gru() -> tuple[onnx.ModelProto, list[int]]:
    g = Graph(7)
    steps = g.op("Transpose", "x", perm=[1, 0, 2])
    w, r, b = g.random(1, 192, 16), g.random(1, 192, 64), g.random(1, 384)
    last = g.op("GRU", steps, w, r, b, outputs=2, hidden_size=64, linear_before_reset=1)
    flat = g.op("Squeeze", last, g.const(np.array([0], np.int64)))
    g.op("Sigmoid", g.op("Gemm", flat, g.random(64, 1), g.random(1)), out="y")
    return g.model([32, 16]), [32, 16]


def tfm() -> tuple[onnx.ModelProto, list[int]]:
    g = Graph(7)
    h = g.op("Add", g.op("MatMul", "x", g.random(32, 128)), g.random(128))
    h = g.op("Add", h, g.random(1, 64, 128))
    heads = g.const(np.array([0, 64, 4, 32], np.int64))
    joined = g.const(np.array([0, 64, 128], np.int64))
    scale = g.const(np.float32(1 / np.sqrt(32)))
    half, one, root = g.const(np.float32(0.5)), g.const(np.float32(1)), g.const(np.float32(np.sqrt(2)))

    def dense(v: str, a: int, b: int) -> str:
        return g.op("Add", g.op("MatMul", v, g.random(a, b)), g.random(b))

    def norm(v: str) -> str:
        ones, zeros = g.const(np.ones(128, np.float32)), g.const(np.zeros(128, np.float32))
        return g.op("LayerNormalization", v, ones, zeros, axis=-1)

    for _ in range(5):
        n = norm(h)
        q, k, v = (g.op("Reshape", dense(n, 128, 128), heads) for _ in range(3))
        q, v = g.op("Transpose", q, perm=[0, 2, 1, 3]), g.op("Transpose", v, perm=[0, 2, 1, 3])
        scores = g.op("Mul", g.op("MatMul", q, g.op("Transpose", k, perm=[0, 2, 3, 1])), scale)
        mixed = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
        mixed = g.op("Reshape", g.op("Transpose", mixed, perm=[0, 2, 1, 3]), joined)
        h = g.op("Add", h, dense(mixed, 128, 128))
        f = dense(norm(h), 128, 512)
        erf = g.op("Add", g.op("Erf", g.op("Div", f, root)), one)
        h = g.op("Add", h, dense(g.op("Mul", g.op("Mul", f, half), erf), 512, 128))
    pooled = g.op("ReduceMean", h, axes=[1], keepdims=0)
    g.op("Sigmoid", g.op("Gemm", pooled, g.random(128, 1), g.random(1)), out="y")
    return g.model([64, 32]), [64, 32]


def lightgbm(classifier: bool, directory: pathlib.Path):
    """200 trees of 31 leaves on 20,000 rows of 64 normal features, all of which matter."""
    import lightgbm as lgb
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    rng = np.random.default_rng(7)
    x = rng.standard_normal((20_000, 64)).astype(np.float32)
    y = x @ rng.standard_normal(64) + 0.3 * rng.standard_normal(20_000)
    kind = lgb.LGBMClassifier if classifier else lgb.LGBMRegressor
    model = kind(n_estimators=200, num_leaves=31, random_state=7, n_jobs=1, deterministic=True, verbose=-1)
    model.fit(x, (y > 0).astype(int) if classifier else y)
    if not classifier:
        model.booster_.save_model(directory / "lgbm.txt")
    types = [("x", FloatTensorType(["batch", 64]))]
    extra = {"zipmap": False} if classifier else {}
    return convert_lightgbm(model, initial_types=types, target_opset=15, **extra), [64]


def save(directory: pathlib.Path, name: str, model, shape: list[int], output: str, width: int) -> dict:
    onnx.save(model, directory / f"{name}.onnx")
    rows = ROWS if int(np.prod(shape)) <= 64 else 1024
    x = np.random.default_rng(11).standard_normal((rows, *shape)).astype(np.float32)
    x.tofile(directory / f"{name}.rows")
    return {"name": name, "input": "x", "shape": shape, "output": output, "answers": width, "rows": rows}


def workloads(directory: pathlib.Path) -> list[dict]:
    out = [save(directory, f.__name__, *f(), "y", 1) for f in (mlp, gru, tfm)]
    # Another version of the same model, to be told from it by its answers.
    save(directory, "mlp2", *mlp(8), "y", 1)
    model, shape = lightgbm(False, directory)
    out.append(save(directory, "lgbm", model, shape, "variable", 1))
    model, shape = lightgbm(True, directory)
    out.append(save(directory, "lgbmc", model, shape, "probabilities", 2))
    return out


def converted(directory: pathlib.Path) -> list[dict]:
    """Small models of many kinds. Some answers are checked on rows with NaN, which the converters route on purpose."""
    import lightgbm as lgb
    import onnxruntime as ort
    import xgboost as xgb
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from skl2onnx import to_onnx
    from sklearn import ensemble as sk
    from sklearn.tree import DecisionTreeRegressor

    # scikit-learn draws from numpy's global generator where nobody gives it one.
    np.random.seed(7)
    rng = np.random.default_rng(7)
    x = rng.standard_normal((1500, 6)).astype(np.float32)
    holed = np.where(rng.random(x.shape) < 0.05, np.nan, x).astype(np.float32)
    y = x[:, 0] + x[:, 1] * x[:, 2]
    two, three = (y > 0).astype(int), np.digitize(y, [-0.5, 0.5])
    types = [("x", FloatTensorType([None, 6]))]
    opset = {"": 17, "ai.onnx.ml": 3}

    def sklearn(model, target, data=x):
        options = {id(model): {"zipmap": False}} if "Classifier" in type(model).__name__ else None
        return to_onnx(model.fit(data, target), x[:1], options=options, target_opset=opset)

    def light(model, target):
        return convert_lightgbm(model.fit(holed, target), initial_types=types, zipmap=False, target_opset=15)

    def boost(model, target):
        return convert_xgboost(model.fit(holed, target), initial_types=types, target_opset=15)

    models = {
        "lightgbm_regressor": light(lgb.LGBMRegressor(n_estimators=30, n_jobs=1, verbose=-1), y),
        "lightgbm_binary": light(lgb.LGBMClassifier(n_estimators=30, n_jobs=1, verbose=-1), two),
        "lightgbm_multiclass": light(lgb.LGBMClassifier(n_estimators=30, n_jobs=1, verbose=-1), three),
        "lightgbm_forest": light(
            lgb.LGBMRegressor(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5, n_estimators=20, n_jobs=1, verbose=-1), y
        ),
        "xgboost_regressor": boost(xgb.XGBRegressor(n_estimators=30, n_jobs=1), y),
        "xgboost_binary": boost(xgb.XGBClassifier(n_estimators=30, n_jobs=1), two),
        "xgboost_multiclass": boost(xgb.XGBClassifier(n_estimators=30, n_jobs=1), three),
        "decision_tree": sklearn(DecisionTreeRegressor(), y),
        "forest_regressor": sklearn(sk.RandomForestRegressor(20), y),
        "forest_binary": sklearn(sk.RandomForestClassifier(20), two),
        "forest_multiclass": sklearn(sk.RandomForestClassifier(20), three),
        "extra_trees_two_targets": sklearn(sk.ExtraTreesRegressor(10), np.c_[y, -y]),
        "gradient_regressor": sklearn(sk.GradientBoostingRegressor(n_estimators=30), y),
        "gradient_binary": sklearn(sk.GradientBoostingClassifier(n_estimators=30), two),
        "gradient_multiclass": sklearn(sk.GradientBoostingClassifier(n_estimators=30), three),
        "histogram_regressor": sklearn(sk.HistGradientBoostingRegressor(max_iter=30), y, holed),
        "histogram_binary": sklearn(sk.HistGradientBoostingClassifier(max_iter=30), two, holed),
    }
    rows = np.r_[rng.standard_normal((3000, 6)), np.round(rng.standard_normal((1000, 6)), 1)].astype(np.float32)
    rows[::7, 3] = np.nan
    rows.tofile(directory / "rows")
    out = []
    for name, model in models.items():
        onnx.save(model, directory / f"{name}.onnx")
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        output = session.get_outputs()[-1].name
        got = session.run([output], {session.get_inputs()[0].name: rows})[0]
        got.astype(np.float32).tofile(directory / f"{name}.want")
        width = int(np.prod(got.shape[1:]))
        out.append({"name": name, "input": session.get_inputs()[0].name, "output": output, "answers": width})
    return out


def main() -> None:
    what, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    index = {"workloads": workloads, "converted": converted}[what](directory)
    # Last, so that a folder with an index is whole.
    (directory / "index.json").write_text(json.dumps(index, indent=1))


if __name__ == "__main__":
    main()
