"""Synchformer as a backend: which moments it looks at, and its way from a file of weights to rows."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from nava.evaluation.backends import synchformer
from nava.evaluation.backends.synchformer import CHECKPOINT, Synchformer
from nava.evaluation.backends.synchformer_input import (
    AVBENCH_SHORT_SIDE,
    VERSE_BENCH_SHORT_SIDE,
    picture_segment,
    sound_segment,
    square,
)
from nava.evaluation.benchmark.item import Item
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.extractor import ENTRIES, needs_weights
from nava.evaluation.extraction.feature_cache import FeatureCache
from nava.evaluation.extraction.features import UnmeasurableError
from nava.evaluation.extraction.unit import extract
from nava.evaluation.run import score as run
from nava.evaluation.run.records import read_rows, write_rows
from nava.evaluation.run.score import ScoringSettings, score_outputs
from nava.evaluation.scoring.desync import OFFSET_S_21
from nava.generation.media import Media, write_mp4
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes, sha256_path
from tests.evaluation.backends.small_synchformer import SmallSynchformer, write_synchformer
from tests.evaluation.benchmark_items import a_task

RATE = 16_000
METRICS = ("desync", "desync.verse_bench_signed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_synchformer(tmp_path_factory.mktemp("synchformer"))


@pytest.fixture(scope="module")
def backend(folder):
    return SmallSynchformer(str(folder), sha256_path(folder))


class Watcher:
    """A network that knows when it is: frames are as bright, and the sound as loud, as their time says."""

    def __init__(self, offset_s=0.0):
        self.windows = []
        self._offset_s = offset_s

    def see(self, frames_SCTHW):
        first_S = frames_SCTHW[:, 0, 0, 0, 0]
        return ((first_S + 1) * 127.5).round()[:, None, None].expand(-1, 8, 1)

    def hear(self, mel_SMT):
        return mel_SMT.mean(dim=(1, 2))[:, None, None].expand(-1, 6, 1)

    def offset_logits(self, seen_STD, heard_STD):
        assert len(seen_STD) == len(heard_STD) == 14
        self.windows.append((seen_STD[:, 0, 0].tolist(), heard_STD[:, 0, 0].tolist()))
        return -torch.from_numpy(np.abs(OFFSET_S_21 - self._offset_s))


def watched(network):
    found = object.__new__(Synchformer)
    found._network, found._device = network, "cpu"
    return found


class Counted(ClipFile):
    """A clip in memory whose frame n is of grey level n."""

    def __init__(self, frames, fps, seconds):
        self._resampled = {}
        grey = np.arange(frames, dtype=np.uint8)[:, None, None, None]
        samples = np.random.default_rng(0).standard_normal(round(seconds * RATE)).astype(np.float32)
        samples *= np.linspace(0.01, 0.5, len(samples), dtype=np.float32)
        self._clip = Media(np.tile(grey, (1, 32, 32, 3)), Fraction(fps), samples, RATE)

    @property
    def _media(self):
        return self._clip


def test_the_first_and_the_last_14_segments_are_compared():
    network, clip = Watcher(), Counted(200, 25, 8.0)
    features = watched(network).extract(clip)
    first, last, verse_bench = network.windows
    assert first[0] == list(range(0, 112, 8))
    assert last[0] == list(range(80, 192, 8))
    assert verse_bench[0] == list(range(2, 114, 8))
    assert features.values == {
        "segments": 24,
        "first_s": [0.0, 4.8],
        "last_s": [3.2, 8.0],
        "verse_bench_s": [0.08, 4.88],
    }
    samples_N = clip.samples_at(RATE)
    for seen, heard in network.windows:
        expected = [sound_segment(samples_N, int(frame)).mean() for frame in seen]
        np.testing.assert_allclose(heard, expected, atol=1e-5)
        wrong = [sound_segment(samples_N, max(0, int(frame) - 1)).mean() for frame in seen]
        assert np.abs(np.subtract(heard, wrong)).max() > 1e-4, "sound that is a frame early is told apart"


def test_a_clip_between_is_cut_where_its_last_segment_ends():
    network = Watcher()
    watched(network).extract(Counted(133, 25, 5.4))
    assert network.windows[1][0] == list(range(8, 120, 8)), "15 segments fit, 5 frames are left"


def test_frames_of_another_rate_are_shown_at_25():
    network = Watcher()
    watched(network).extract(Counted(245, 50, 4.9))
    seen = network.windows[0][0]
    np.testing.assert_allclose(seen, [16 * segment for segment in range(14)], atol=1)


def test_the_middle_of_a_long_clip_is_not_looked_at(monkeypatch):
    looked = []
    monkeypatch.setattr(synchformer, "square", lambda frame, side: looked.append(int(frame[0, 0, 0])) or frame)
    watched(Watcher()).extract(Counted(250, 25, 10.0))
    assert set(looked) == set(range(122)) | set(range(128, 248))


@pytest.mark.parametrize(("frames", "seconds", "shared"), [(119, 8.0, "4.76"), (200, 4.799, "4.76"), (20, 0.8, "0.80")])
def test_less_than_14_segments_have_no_value_and_a_reason(frames, seconds, shared):
    with pytest.raises(UnmeasurableError, match=rf"last {shared} s together; Synchformer needs 14 segments, 4\.80 s"):
        watched(Watcher()).extract(Counted(frames, 25, seconds))


def test_of_less_than_5_s_only_verse_benchs_window_is_missing():
    network = Watcher()
    features = watched(network).extract(Counted(120, 25, 4.8))
    assert len(network.windows) == 2
    assert network.windows[0] == network.windows[1]
    assert "4.80 s together; Verse-Bench cuts 5 s" in features.values["verse_bench_reason"]
    assert set(features.arrays) == {"first_logits_K", "last_logits_K"}


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    frames = rng.integers(0, 255, (130, 6, 8, 3)).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    sound = (0.1 * rng.standard_normal(6 * RATE)).astype(np.float32)
    write_mp4(folder / "whole.mp4", frames, 25, sound[: round(5.2 * RATE)], RATE)
    write_mp4(folder / "below.mp4", frames[:122], 25, sound, RATE)
    write_mp4(folder / "short.mp4", frames[:110], 25, sound, RATE)
    write_mp4(folder / "mute.mp4", frames, 25, None, RATE)
    write_mp4(folder / "dark.mp4", None, 25, sound, RATE)
    return folder


@pytest.fixture
def scored(media, folder, tmp_path, monkeypatch):
    kind = "tests.evaluation.backends.small_synchformer:SmallSynchformer"
    monkeypatch.setitem(ENTRIES, "synchformer", replace(ENTRIES["synchformer"], place=kind))
    monkeypatch.setattr(run, "extract_all", lambda units, *_: ((unit, extract(unit)) for unit in units))
    settings = {"synchformer": {"weights": str(folder), "sha256": sha256_path(folder), "device": "cpu"}}

    def score(*names):
        items = [Item(item_id=name, subset="one", prompt="", audio_prompt="a hiss") for name in names]
        outputs = {name: media / f"{name}.mp4" for name in names}
        cache, runs = FeatureCache(tmp_path, settings), ScoringSettings(workers=1, attempts=1)
        return score_outputs(a_task(*METRICS), items, outputs, cache, runs, lambda things, *_: things)

    return score


def test_every_clip_has_rows_with_a_value_or_a_reason(scored, tmp_path):
    found = scored("whole", "below", "short", "mute", "dark")
    rows = {(row.metric, row.item_id): row for row in found.rows}
    assert len(rows) == 10
    assert {(row.backend, row.tier) for row in rows.values()} == {("synchformer", "paper")}
    assert all((row.value is None) == bool(row.reason) for row in rows.values())
    for name in ("whole", "below"):
        assert 0 <= rows["desync", name].value <= 2
    assert rows[METRICS[1], "whole"].value in OFFSET_S_21
    assert "Verse-Bench cuts 5 s" in rows[METRICS[1], "below"].reason
    for metric in METRICS:
        assert "4.40 s together" in rows[metric, "short"].reason
        assert "no sound" in rows[metric, "mute"].reason
        assert "no picture" in rows[metric, "dark"].reason
    assert all(figure.unproven for figure in found.figures)
    write_rows(tmp_path / "rows.jsonl", found.rows)
    assert sorted(read_rows(tmp_path / "rows.jsonl"), key=str) == sorted(found.rows, key=str)


def test_logits_are_the_networks_of_the_clips_own_segments(backend, media):
    clip = ClipFile(media / "whole.mp4")
    samples_N, arrays = clip.samples_at(RATE), backend.extract(clip).arrays
    network = backend._network

    def of(start, short_side):
        frames_THWC = np.stack([square(frame_HWC, short_side) for frame_HWC in clip.frames_THWC[: start + 120]])
        starts = range(start, start + 112, 8)
        seen = [network.see(torch.from_numpy(picture_segment(frames_THWC, frame))[None]) for frame in starts]
        heard = [network.hear(torch.from_numpy(sound_segment(samples_N, frame))[None]) for frame in starts]
        return network.offset_logits(torch.cat(seen), torch.cat(heard)).numpy()

    with torch.inference_mode():
        expected = {
            "first_logits_K": of(0, AVBENCH_SHORT_SIDE),
            "last_logits_K": of(8, AVBENCH_SHORT_SIDE),
            "verse_bench_logits_K": of(2, VERSE_BENCH_SHORT_SIDE),
        }
    assert arrays.keys() == expected.keys()
    for name, expected_K in expected.items():
        np.testing.assert_allclose(arrays[name], expected_K, rtol=1e-4, atol=1e-5)
    assert np.abs(arrays["verse_bench_logits_K"] - arrays["first_logits_K"]).max() > 1e-4
    again = backend.extract(clip).arrays
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


def test_an_offset_passes_from_logits_to_scores_with_its_sign_where_it_is_kept():
    from nava.evaluation.catalogue.scorers import SCORERS

    features = watched(Watcher(offset_s=-0.6)).extract(Counted(200, 25, 8.0))
    assert SCORERS["desync"]({"generated": features}, None).value == pytest.approx(0.6)
    assert SCORERS["desync_signed"]({"generated": features}, None).value == pytest.approx(-0.6)


def test_a_checkpoint_of_the_training_is_read_where_it_is_safe(tmp_path, folder, backend, media):
    training = write_synchformer(tmp_path / "training", name="24-01-04T16-39-21.pt", epoch=3)
    file = training / "24-01-04T16-39-21.pt"
    same = SmallSynchformer(str(file), sha256_path(file))
    state, other = backend._network.state_dict(), same._network.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


class Settings:
    """What is no tensor."""


def test_wrong_files_are_refused_by_name(tmp_path):
    def refused(message, change=None, kind=SmallSynchformer, **arguments):
        place = write_synchformer(tmp_path / sha256_bytes(message.encode()), change, **arguments)
        path = place / arguments.get("name", CHECKPOINT.file)
        with pytest.raises(InputError, match=message):
            kind(str(path), sha256_path(path))

    refused(r"lacks tensor 'transformer\.MOD_tok'", lambda tensors: tensors.pop("transformer.MOD_tok"))
    refused(
        r"unknown tensor 'transformer\.extra'", lambda tensors: tensors.update({"transformer.extra": torch.zeros(1)})
    )
    refused(r"'vproj\.bias' has shape \[3\]", lambda tensors: tensors.update({"vproj.bias": torch.zeros(3)}))
    refused(r"lacks tensor 'afeat_extractor\.ast\.encoder\.layer\.1\.", kind=Synchformer)
    refused(r"release v0\.1", name="a.pt", args=Settings())
    with pytest.raises(InputError, match=r"hkchengrex/MMAudio"):
        Synchformer(str(tmp_path / "nothing"), "0" * 64)
    place = write_synchformer(tmp_path / "hash")
    with pytest.raises(InputError, match="is wanted"):
        SmallSynchformer(str(place), "0" * 64)


def test_the_catalogue_knows_it():
    assert needs_weights("synchformer")
    assert Synchformer.version == 1
