"""SyncNet's backends: three protocols from a clip to its features, and from files of weights to rows of a run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from nava.evaluation.backends.sync_features import TrackVectors, clip_sync, sync_features
from nava.evaluation.backends.syncnet_extractor import (
    SyncNetExtractor,
    SyncNetMova,
    SyncNetOfficial,
    SyncNetVerseBench,
    frames_at_25,
    int16_samples,
)
from nava.evaluation.benchmark.item import Item
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish
from nava.evaluation.extraction.features import Features, UnmeasurableError, write_features
from nava.evaluation.run.score import Scored, ScoringSettings, score_outputs
from nava.evaluation.scoring.mfcc import mfcc
from nava.evaluation.scoring.sync_scoring import sync_score
from nava.generation.media import write_mp4
from nava.runtime.errors import InputError
from tests.evaluation.backends.published_layouts import one_face_state, syncnet_state, weights_folder
from tests.evaluation.benchmark_items import a_task
from tests.evaluation.scoring.sync_cases import features as known_vectors

RATE_HZ = 16_000
SIDE = 256
ONE = ScoringSettings(workers=1, attempts=1)


def a_clip(path: Path, frames: int, fps: int = 25, seconds: float | None = None, side: int = SIDE) -> Path:
    """A still grey picture with noise for sound."""
    rng = np.random.default_rng(frames)
    sound_N = 0.1 * rng.standard_normal(round((frames / fps if seconds is None else seconds) * RATE_HZ))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, np.full((frames, side, side, 3), 90, np.uint8), fps, sound_N.astype(np.float32), RATE_HZ)
    return path


class SeesFaces:
    """Faces in the frames that were said, in their order; a frame is known by when it comes."""

    def __init__(self, *boxes_by_frame: Iterable[list[float]]) -> None:
        self._boxes = iter(boxes_by_frame)

    def detect(self, _frame_HWC: np.ndarray) -> np.ndarray:
        return np.array(list(next(self._boxes)), float).reshape(-1, 4)


class CountsWindows:
    """Vectors of four values, the same for all windows; remembers what it was shown."""

    shown: ClassVar[list[tuple[int, ...]]] = []

    def picture(self, window_NCTHW: np.ndarray) -> np.ndarray:
        self.shown.append(window_NCTHW.shape)
        return np.ones((len(window_NCTHW), 4), np.float32)

    def sound(self, window_NCFT: np.ndarray) -> np.ndarray:
        self.shown.append(window_NCFT.shape)
        return np.ones((len(window_NCFT), 4), np.float32)


def extractor(kind: type[SyncNetExtractor], *boxes_by_frame: Iterable[list[float]]) -> SyncNetExtractor:
    """A backend with a detector and a network of ours."""
    made = kind.__new__(kind)
    made._detector, made._embedder = SeesFaces(*boxes_by_frame), CountsWindows()
    CountsWindows.shown.clear()
    return made


FACE, OTHER, SMALL = [20.0, 20.0, 140.0, 140.0], [150.0, 30.0, 255.0, 140.0], [200.0, 200.0, 240.0, 240.0]


def test_mova_scores_every_face_of_more_than_20_frames(tmp_path: Path) -> None:
    path = a_clip(tmp_path / "clip.mp4", 30)
    seen = [[FACE, OTHER, SMALL] if frame >= 5 else [FACE] for frame in range(30)]
    found = extractor(SyncNetMova, *seen).extract(ClipFile(path))
    assert found.values["tracks"] == [
        {"first_frame": 0, "n_frames": 30, "windows": 25},
        {"first_frame": 5, "n_frames": 25, "windows": 20},
    ]
    assert found.values["left_out"] == ["frames 5 to 29: 40 pixels large, not more than 100"]
    assert CountsWindows.shown == [(25, 3, 5, 224, 224), (25, 1, 13, 20), (20, 3, 5, 224, 224), (20, 1, 13, 20)]
    assert found.arrays["video_ND"].shape == found.arrays["audio_ND"].shape == (45, 4)


def test_the_official_pipeline_wants_more_than_100_frames(tmp_path: Path) -> None:
    path = a_clip(tmp_path / "clip.mp4", 101, side=160)
    found = extractor(SyncNetOfficial, *[[FACE]] * 101).extract(ClipFile(path))
    assert found.values["tracks"] == [{"first_frame": 0, "n_frames": 101, "windows": 96}]
    with pytest.raises(UnmeasurableError, match="no face can be scored: frames 0 to 100: found in 100 frames"):
        extractor(SyncNetOfficial, *[[FACE]] * 50, [], *[[FACE]] * 50).extract(ClipFile(path))


def test_verse_bench_takes_unbroken_runs_and_cuts_the_sound_a_frame_early(tmp_path: Path) -> None:
    path = a_clip(tmp_path / "clip.mp4", 105, side=160)
    seen = [[FACE]] * 52 + [[]] + [[[100.0, 100.0, 140.0, 140.0]]] * 50 + [[]] * 2
    found = extractor(SyncNetVerseBench, *seen).extract(ClipFile(path))
    assert found.values["tracks"] == [
        {"first_frame": 0, "n_frames": 52, "windows": 46},
        {"first_frame": 53, "n_frames": 50, "windows": 44},
    ]


@pytest.mark.parametrize("kind", [SyncNetOfficial, SyncNetMova, SyncNetVerseBench])
def test_nobody_is_said(tmp_path: Path, kind: type[SyncNetExtractor]) -> None:
    path = a_clip(tmp_path / "clip.mp4", 30, side=160)
    with pytest.raises(UnmeasurableError, match="no face was found"):
        extractor(kind, *[[]] * 30).extract(ClipFile(path))


def test_sound_that_ends_early(tmp_path: Path) -> None:
    """Verse-Bench cuts the picture where the sound ends before it looks for faces, the others take what both have."""
    path = a_clip(tmp_path / "clip.mp4", 60, seconds=1.2, side=160)
    found = extractor(SyncNetMova, *[[FACE]] * 60).extract(ClipFile(path))
    assert found.values["tracks"] == [{"first_frame": 0, "n_frames": 60, "windows": 25}]
    with pytest.raises(UnmeasurableError, match="found in 30 frames, not in at least 50"):
        extractor(SyncNetVerseBench, *[[FACE]] * 30).extract(ClipFile(path))
    late: list[list[list[float]]] = [[]] * 30 + [[FACE]] * 30
    with pytest.raises(UnmeasurableError, match="frames 30 to 59: 30 frames and 0 samples are too short for SyncNet"):
        extractor(SyncNetMova, *late).extract(ClipFile(path))


def test_a_track_is_compared_with_the_sound_of_its_own_time(tmp_path: Path) -> None:
    """Windows of 20 coefficient vectors, 4 vectors apart, of the samples from the track's first frame on."""
    heard: list[np.ndarray] = []

    class Listens(CountsWindows):
        def sound(self, window_NCFT: np.ndarray) -> np.ndarray:
            heard.append(window_NCFT)
            return super().sound(window_NCFT)

    clip = ClipFile(a_clip(tmp_path / "clip.mp4", 40, side=160))
    made = extractor(SyncNetMova, *[[]] * 10, *[[FACE]] * 30)
    made._embedder = Listens()
    made.extract(clip)
    samples_N = int16_samples(clip.samples_at(RATE_HZ))[10 * 640 : 40 * 640]
    mfcc_TC = mfcc(samples_N)
    (windows,) = heard
    assert np.array_equal(windows[0, 0], mfcc_TC[:20].T)
    assert np.array_equal(windows[24, 0], mfcc_TC[96:116].T)
    assert np.abs(windows[0, 0] - mfcc(int16_samples(clip.samples_at(RATE_HZ)))[:20].T).max() > 1, "and not the clip's"


def test_other_rates_are_brought_to_25(tmp_path: Path) -> None:
    path = a_clip(tmp_path / "clip.mp4", 60, fps=50, side=160)
    found = extractor(SyncNetMova, *[[FACE]] * 30).extract(ClipFile(path))
    assert found.values["tracks"][0]["n_frames"] == 30


def test_the_frame_shown_at_each_tick() -> None:
    assert frames_at_25(4, 25.0).tolist() == [0, 1, 2, 3]
    # At 12.5 each is shown twice; at 50 frames round to ticks 0, 1, 1, 2, 2, 3, and the later one is shown.
    assert frames_at_25(3, 12.5).tolist() == [0, 0, 1, 1, 2, 2]
    assert frames_at_25(6, 50.0).tolist() == [0, 2, 4]
    shown = frames_at_25(240, 24.0)
    assert len(shown) == 250
    assert set(np.diff(shown)) <= {0, 1}
    assert np.abs(shown / 24 - np.arange(250) / 25).max() <= 1 / 24


def test_samples_are_whole_and_do_not_wrap() -> None:
    samples = int16_samples(np.array([0.0, 0.5, 1.0, -1.0, 1.5, -1.5]))
    assert samples.tolist() == [0, 16_384, 32_767, -32_768, 32_767, -32_768]


def test_features_keep_each_track_to_itself() -> None:
    first, second = known_vectors(roll=0, seed=1), known_vectors(roll=3, seed=2)
    tracks = [TrackVectors(0, 120, *first), TrackVectors(9, 110, *second)]
    official, mova = (clip_sync(sync_features(name, tracks, [])) for name in ("official", "mova"))
    alone = [sync_score(*vectors) for vectors in (first, second)]
    assert (official.sync_c.value, official.offset_frames) == (alone[0].sync_c, (0,))
    assert mova.sync_d.value == pytest.approx((alone[0].sync_d + alone[1].sync_d) / 2)
    assert mova.offset_frames == (0, -3)


# From here on: through a scoring run.


def score(task: tuple[str, ...], outputs: dict[str, Path], cache: FeatureCache) -> Scored:
    items = [Item(name, "one", "a face") for name in outputs]
    return score_outputs(a_task(*task), items, outputs, cache, ONE, lambda done, _n, _label: done)


def rows(scored: Scored) -> dict[tuple[str, str], Any]:
    return {(row.metric, row.item_id): row for row in scored.rows}


@pytest.mark.parametrize(("roll", "sync_d"), [(0, 0.0), (3, 5 * 3 / 60), (-4, 5 * 4 / 60)])
def test_rolled_features_give_what_is_known_in_the_rows(tmp_path: Path, roll: int, sync_d: float) -> None:
    settings = {"weights": str(tmp_path / "weights"), "sha256": ""}
    (tmp_path / "weights").mkdir()
    cache = FeatureCache(tmp_path / "cache", {f"syncnet_{name}": settings for name in ("official", "verse_bench")})
    clip = a_clip(tmp_path / "clip.mp4", 30, side=64)
    vectors = TrackVectors(0, 101, *known_vectors(roll))
    for name in ("official", "verse_bench"):
        target = cache.path(Wish(clip, f"syncnet_{name}"))
        target.parent.mkdir(parents=True)
        write_features(target, sync_features(name, [vectors], []))
    scored = rows(score(("sync_c.official", "sync_d.official", "sync_c.verse_bench"), {"item": clip}, cache))
    assert scored["sync_d.official", "item"].value == pytest.approx(sync_d, abs=1e-3)
    confidence = scored["sync_c.official", "item"].value
    assert confidence == pytest.approx(6.8, abs=0.5)
    assert scored["sync_c.verse_bench", "item"].value == confidence
    features = cache.find(Wish(clip, "syncnet_official"))
    assert isinstance(features, Features)
    assert clip_sync(features).offset_frames == (-roll,)


def test_from_files_of_weights_to_rows(tmp_path: Path) -> None:
    """Every picture has a face of 112 pixels in its middle; the longer clip has 24 frames of it."""
    files = {"syncnet_v2.model": syncnet_state(), "sfd_face.pth": one_face_state(16.0, 28.0)}
    settings = weights_folder(tmp_path / "weights", files)
    cache = FeatureCache(tmp_path / "cache", {"syncnet_mova": settings})
    outputs = {
        "good": a_clip(tmp_path / "good.mp4", 24, side=128),
        "short": a_clip(tmp_path / "short.mp4", 20, side=128),
        "tiny": a_clip(tmp_path / "tiny.mp4", 24, side=64),
    }
    write_mp4(tmp_path / "mute.mp4", np.full((24, 128, 128, 3), 90, np.uint8), 25, None, RATE_HZ)
    scored = score(("sync_c.mova", "sync_d.mova", "sync_c.official"), {**outputs, "mute": tmp_path / "mute.mp4"}, cache)
    found = rows(scored)
    for metric in ("sync_c.mova", "sync_d.mova"):
        good = found[metric, "good"]
        assert (good.reason, good.backend, good.tier, good.protocol) == ("", "syncnet_mova", "paper", f"{metric}.v1")
        assert good.value > 0
        assert np.isfinite(good.value)
        assert all(found[metric, name].value is None for name in ("short", "tiny", "mute"))
        assert "found in 20 frames, not in more than 20" in found[metric, "short"].reason
        assert "64 x 64 pixels; S3FD needs 128 x 128" in found[metric, "tiny"].reason
        assert "no sound" in found[metric, "mute"].reason
    features = cache.find(Wish(outputs["good"], "syncnet_mova"))
    assert isinstance(features, Features)
    assert features.values["tracks"] == [{"first_frame": 0, "n_frames": 24, "windows": 19}]
    assert features.arrays["video_ND"].shape == (19, 1024)
    assert [(absent.metric, absent.backend) for absent in scored.absent] == [("sync_c.official", "syncnet_official")]
    assert "no weights are configured" in scored.absent[0].reason


def test_weights_are_the_ones_that_were_named(tmp_path: Path) -> None:
    settings = weights_folder(tmp_path / "weights", {"syncnet_v2.model": {}, "sfd_face.pth": {}})
    with pytest.raises(InputError, match=r"sha256 [0-9a-f]{64}, but 0{64} is wanted"):
        SyncNetMova(weights=settings["weights"], sha256="0" * 64)
    with pytest.raises(InputError, match="sha256 must be the 64 hex digits"):
        SyncNetMova(weights=settings["weights"], sha256="")
    with pytest.raises(InputError, match=r"syncnet_v2\.model lacks"):
        SyncNetMova(**settings)
    with pytest.raises(InputError, match=r"det_10g\.onnx .* is not at .*: unpack it from buffalo_l\.zip"):
        SyncNetVerseBench(**settings)
    (tmp_path / "weights" / "syncnet_v2.model").unlink()
    with pytest.raises(InputError, match=r"syncnet_v2\.model .* is not at .*: download it from http"):
        SyncNetOfficial(**settings)
