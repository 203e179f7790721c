"""One trained forecaster: a fitted model, its calibration and the graph that says the same. Never opens the test part."""

from dataclasses import dataclass

import numpy as np

from . import calibration, graph, scores
from .models import trainer

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Forecaster:
    model: str
    fitted: object
    calibrator: object
    calibration_scores: dict
    onnx: bytes

    def python(self, x):
        """What the training code says, f64 [n]."""
        return np.clip(self.calibrator.apply(self.fitted.logit(x)), graph.P_MIN, graph.P_MAX)

    def predict(self, x):
        """What the exported graph says, f64 [n]; every score is of these."""
        return graph.predict(graph.session(self.onnx), x, self.fitted.scaler)[:, 0].astype(np.float64)

    def about(self):
        return {
            "model": self.model,
            "settings": self.fitted.settings,
            "calibration": {**self.calibrator.about(), "tried": self.calibration_scores},
            "bytes": len(self.onnx),
        }


def train(model, split, seed, calibrate="auto"):
    """Fits on the training part, calibrates on the calibration part, exports, and proves that both say the same."""
    fitted = trainer(model).fit(split.train, split.calibrate, seed)
    logit, y = fitted.logit(split.calibrate.x), split.calibrate.y
    if calibrate == "auto":
        calibrator, tried = calibration.choose(logit, y)
    else:
        calibrator, tried = calibration.fit(calibrate, logit, y), {}
    out = Forecaster(model, fitted, calibrator, tried, export(model, fitted, calibrator, split.train.x.shape[1]))
    for part in (split.calibrate, split.validate):
        gap = float(np.abs(out.python(part.x) - out.predict(part.x)).max())
        if gap > TOLERANCE:
            raise AssertionError(f"the exported {model} differs from the trained one by {gap:.1e}: a bug in its export")
    return out


def export(model, fitted, calibrator, width):
    """The whole forecaster as one ONNX file."""
    g = graph.Graph(model, width)
    return g.finish(calibrator.graph(g, fitted.graph(g, "features")))


def validation(forecaster, split):
    """Its scores on the validation part, on which nothing was fitted."""
    return scores.report(forecaster.predict(split.validate.x), split.validate)
