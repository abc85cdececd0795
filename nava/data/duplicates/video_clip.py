"""A learned embedding of a clip: X-CLIP, or CLIP's vision tower averaged over frames, from weights at a given place.

The folder has the layout of the hub: `config.json`, `model.safetensors`, and `preprocessor_config.json` where the
pictures are not normalised as CLIP's are. Nothing is downloaded from a hub. It has run on random weights of that layout
only: it is unproven.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nava.artifacts.bucket_files import bucket_file
from nava.artifacts.quiet_transformers import quiet_transformers
from nava.data.duplicates.embedding import Embedding
from nava.data.duplicates.signature import Floats, unit_rows
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes, sha256_file
from nava.runtime.storage import read_json

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
PREPROCESSOR_FILE = "preprocessor_config.json"
_CLIP_FRAMES = 8  # of CLIP's vision tower, which knows single pictures; X-CLIP says itself how many it takes
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_MODELS = ("xclip", "clip", "clip_vision_model")


class VideoClipEmbedding(Embedding):
    """X-CLIP's embedding of 8 or more frames, or the mean of CLIP's embeddings of 8 frames.

    Args:
        location: folder or bucket address of the weights.
        cache: folder where files of a bucket are kept; needed for bucket addresses only.
    """

    proven = False

    def __init__(self, location: str, cache: str = "") -> None:
        self._location, self._cache = location, cache
        self._model: Any = None
        self._identity = ""

    def setup(self) -> None:
        """Find and load the weights.

        Raises:
            InputError: they are not there, of another model, or incomplete.
        """
        folder = self._folder()
        config = _read_object(folder / CONFIG_FILE)
        if config.get("model_type") not in _MODELS:
            raise InputError(
                f"{folder / CONFIG_FILE} describes a model of type {config.get('model_type')!r}; "
                f"curation.duplicates.weights must be one of {', '.join(_MODELS)}"
            )
        vision = config.get("vision_config", config)
        self._is_video_model = config["model_type"] == "xclip"
        self._frames = int(vision.get("num_frames", 8)) if self._is_video_model else _CLIP_FRAMES
        self._side = int(vision.get("image_size", 224))
        path = folder / PREPROCESSOR_FILE
        form = _read_object(path) if path.is_file() else {}
        self._mean, self._std = (
            torch.tensor(form.get(name, default), dtype=torch.float32)[:, None, None]
            for name, default in (("image_mean", _CLIP_MEAN), ("image_std", _CLIP_STD))
        )
        self._model = _load(folder, self._is_video_model)
        self._identity = f"video_clip/1:{sha256_file(folder / WEIGHTS_FILE)[:16]}"

    @property
    def identity(self) -> str:
        """Its name, version and the hash of its weights."""
        assert self._identity, "setup comes first"
        return self._identity

    @torch.inference_mode()
    def embed(self, frames_THWC: npt.NDArray[np.uint8], cube_THW: Floats) -> Floats:
        """As `Embedding.embed`: float32 [projection size]."""
        picks = np.linspace(0, len(frames_THWC) - 1, self._frames).round().astype(int)
        pixels_TCHW = self._normalised(torch.from_numpy(np.ascontiguousarray(frames_THWC[picks])))
        if self._is_video_model:
            vector_D = self._model.get_video_features(pixels_TCHW[None]).pooler_output[0]
        else:
            vectors_TD = self._model(pixels_TCHW).image_embeds
            vector_D = (vectors_TD / vectors_TD.norm(dim=1, keepdim=True)).mean(dim=0)
        return unit_rows(vector_D.double().numpy()[None])[0]

    def _normalised(self, frames_THWC: Tensor) -> Tensor:
        """The shorter edge scaled to the model's, the middle cut out, and normalised: [T, 3, side, side]."""
        frames_TCHW = frames_THWC.permute(0, 3, 1, 2).float() / 255
        height, width = frames_TCHW.shape[2:]
        scale = self._side / min(height, width)
        size = [max(round(edge * scale), self._side) for edge in (height, width)]
        scaled = interpolate(frames_TCHW, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        top, left = ((edge - self._side) // 2 for edge in size)
        return (scaled[:, :, top : top + self._side, left : left + self._side] - self._mean) / self._std

    def _folder(self) -> Path:
        """Where the weights lie on this machine; those of a bucket are fetched."""
        what = (
            f"{CONFIG_FILE} and {WEIGHTS_FILE} of an X-CLIP or CLIP model as the hub has them "
            "(for example microsoft/xclip-base-patch32, MIT)"
        )
        if not self._location:
            raise InputError(f"the embedding video_clip needs curation.duplicates.weights: a folder with {what}")
        if "://" in self._location:
            return self._fetch(what)
        folder = Path(self._location).expanduser()
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name} is missing: curation.duplicates.weights must hold {what}")
        return folder

    def _fetch(self, what: str) -> Path:
        address = self._location.rstrip("/")
        if not self._cache:
            raise InputError(
                f"{address} is a bucket address: curation.duplicates.weights_cache must name a folder here"
            )
        folder = Path(self._cache) / sha256_bytes(address.encode())[:16]
        for name in (CONFIG_FILE, WEIGHTS_FILE, PREPROCESSOR_FILE):
            if (found := bucket_file(f"{address}/{name}")) is not None:
                found.fetch(folder)
            elif name != PREPROCESSOR_FILE:
                raise InputError(f"{address}/{name} is missing: curation.duplicates.weights must hold {what}")
        return folder


def _read_object(path: Path) -> Mapping[str, Any]:
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} does not hold a JSON object")
    return value


def _load(folder: Path, is_video_model: bool) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoConfig, CLIPVisionModelWithProjection, XCLIPModel

    model_class: Any = XCLIPModel if is_video_model else CLIPVisionModelWithProjection
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if config.model_type == "clip":
            # The vision tower reads the size of the projection from its own part, which need not have it.
            config, projection_dim = config.vision_config, config.projection_dim
            config.projection_dim = projection_dim
        with quiet_transformers():
            model, report = model_class.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{folder / WEIGHTS_FILE} does not hold the model of {CONFIG_FILE}: {error}") from error
    if missing := sorted(report["missing_keys"]):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{folder / WEIGHTS_FILE} lacks tensor '{missing[0]}'{more}")
    return model.eval()
