import numpy as np
import pytest

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.data.clip_encoder import load_encoders
from nava.data.shards import LatentShards
from nava.evaluation.makers import CodecClips, RealClips, without_alignment
from nava.evaluation.plan import CODEC, REAL, Request
from tests.evaluation.tiny_corpus import write_tiny_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_tiny_corpus(tmp_path_factory.mktemp("corpus"), heldout_flash=3, train_flash=3)


@pytest.fixture(scope="module")
def shards(corpus):
    return LatentShards(corpus.shards)


@pytest.fixture(scope="module")
def codecs(shards):
    return load_encoders(shards.codec_folder).codecs


def requests(shards, variant):
    # Not in the order of the corpus.
    return [Request(clip_id, "flash", variant, "p", 0) for clip_id in reversed(shards.ids("heldout", "av"))]


def test_switching_alignment_off_leaves_everything_else():
    config = GenerationConfig(steps=7, video=GuidanceScales(1.5, 2.0, 0.0), audio=GuidanceScales(1.0, 3.0, 0.5))
    off = without_alignment(config)
    assert (off.video, off.audio) == (GuidanceScales(1.5, 0.0, 0.0), GuidanceScales(1.0, 0.0, 0.5))
    assert (off.steps, off.shift, off.solver) == (7, config.shift, config.solver)
    assert config.video.align == 2.0


def test_codec_clips_resemble_the_real_ones_in_the_order_asked_for(corpus, shards, codecs):
    real = RealClips(corpus.media, codecs)(requests(shards, REAL))
    decoded = CodecClips(shards, codecs)(requests(shards, CODEC))
    errors = np.array([[np.abs(a.frames.astype(int) - b.frames).mean() for b in real] for a in decoded])
    assert errors.argmin(axis=1).tolist() == [0, 1, 2]
    assert all(clip.samples.ndim == 1 and clip.sample_rate == 16_000 and clip.fps == 24 for clip in real + decoded)


def test_real_clips_are_the_media_themselves(corpus, shards, codecs):
    (clip,) = RealClips(corpus.media, codecs)(requests(shards, REAL)[:1])
    row = next(row for row in corpus.media.clips if row["clip_id"] == shards.ids("heldout", "av")[-1])
    (video,) = corpus.media.videos([row])
    np.testing.assert_array_equal(clip.frames, video.numpy())
