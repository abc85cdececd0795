import itertools
from dataclasses import replace

import pytest

from nava.artifacts import evaluation_result
from nava.artifacts import evaluation_result as names
from nava.config.evaluation import EvaluationConfig
from nava.config.generation import GenerationConfig
from nava.data.clip_encoder import load_encoders
from nava.data.shards import LatentShards
from nava.evaluation.harness import Evaluation, heldout_clips
from nava.generation.media import read_mp4
from nava.model.backbone import NavaTransformer
from nava.runtime.hashing import sha256_path
from nava.training.stage import load_averaged_model
from tests.evaluation.tiny_corpus import MODEL, write_tiny_corpus

CONFIG = EvaluationConfig(
    scored_clips=6,
    other_clips=2,
    swap_clips=2,
    word_clips=1,
    min_clips=5,
    gallery_clips=2,
    gallery_zoom=1,
    validation_sigmas=[0.5],
    workers=2,
)


def evaluation(corpus, workdir, with_media=True):
    shards = LatentShards(corpus.shards)
    return Evaluation(
        trained=load_averaged_model(corpus.checkpoint),
        untrained=NavaTransformer(MODEL, seed=0).eval(),
        shards=shards,
        encoders=load_encoders(shards.codec_folder),
        corpus=corpus.media if with_media else None,
        config=CONFIG,
        generation=GenerationConfig(steps=2, batch_size=4),
        seed=5,
        checkpoint={"sha256": "c", "weights_sha256": "w"},
        shards_sha256="s",
        workdir=workdir,
    )


def run(job, log=lambda text: None):
    return job.run(lambda made, total: made, log)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_tiny_corpus(tmp_path_factory.mktemp("corpus"), heldout_flash=6, heldout_talk=2)


@pytest.fixture(scope="module")
def result(corpus, tmp_path_factory):
    return run(evaluation(corpus, tmp_path_factory.mktemp("work")))


def test_the_codecs_reach_what_the_real_clips_have(result):
    gap = evaluation_result.read(result).metric(names.SYNC_GAP)
    assert gap.reference_real.ci_low > 0.3
    assert gap.reference_codec.value == pytest.approx(gap.reference_real.value, abs=0.2)
    colour = evaluation_result.read(result).metric(names.TEXT_COLOUR)
    assert colour.reference_real.value == colour.reference_codec.value == 1.0
    assert (colour.n, colour.chance) == (6, 0.25)


def test_the_untrained_model_is_compared_on_the_same_clips(result):
    summary = evaluation_result.read(result)
    gap = summary.metric(names.SYNC_GAP)
    assert abs(gap.baseline_untrained.value) < 0.2
    assert gap.baseline_untrained.n == gap.n == 6
    loss = summary.metric(names.VALIDATION_VIDEO)
    assert loss.n == 8
    assert loss.baseline_untrained.value == pytest.approx(
        loss.value + summary.metric(names.VALIDATION_GAIN_VIDEO).value
    )


def test_the_summary_names_what_was_evaluated(result):
    summary = evaluation_result.read(result)
    assert summary.checkpoint == {"sha256": "c", "weights_sha256": "w"}
    assert summary.sampler == {"solver": "unipc", "steps": 2, "shift": 3.0}
    assert [family["name"] for family in summary.families] == ["flash", "talk"]
    assert summary.families[0] == {"name": "flash", "split": "heldout", "available": 6, "evaluated": 6, "scored": True}
    guidance = {variant["name"]: variant["guidance"] for variant in summary.variants}
    assert guidance["guided"]["video"] == {"text": 1.0, "align": 2.0, "timbre": 0.0}
    assert guidance["no_align"]["audio"]["align"] == 0.0
    assert guidance["codec"] is None
    assert {metric.name for metric in summary.primary()} == {
        names.SYNC_GAP,
        names.VALIDATION_GAIN_VIDEO,
        names.VALIDATION_GAIN_AUDIO,
    }


def test_a_family_with_too_few_clips_is_skipped_and_said_so(result):
    summary = evaluation_result.read(result)
    talk = summary.metric(names.other_gap("talk"))
    assert not talk.measured
    assert "there are 2" in talk.reason
    assert [statement.learned for statement in summary.statements if statement.family == "talk"] == [None]


def test_gallery_clips_play_and_stand_beside_their_references(result):
    gallery = evaluation_result.read(result).gallery
    first = gallery[0].clip_id
    assert {clip.variant for clip in gallery if clip.clip_id == first} == {
        "guided",
        "no_align",
        "untrained",
        "codec",
        "real",
    }
    assert [clip.note for clip in gallery if "changed" in clip.note]
    for clip in gallery:
        media = read_mp4(result / clip.path)
        assert media.frames.shape == (49, 32, 32, 3)
        assert len(media.samples) > 30_000
    assert {path.name for path in (result / "clips").iterdir()} == {clip.path.split("/")[1] for clip in gallery}


def test_every_clip_has_a_line_with_its_measures(result):
    samples = list(evaluation_result.read_samples(result))
    assert len({sample.sample_id for sample in samples}) == len(samples)
    real = [sample for sample in samples if sample.variant == "real" and sample.family == "flash"]
    assert len(real) == 6
    gap = evaluation_result.read(result).metric(names.SYNC_GAP).reference_real.value
    differences = [sample.metrics["sync"] - sample.metrics["sync_shuffled"] for sample in real]
    assert sum(differences) / 6 == pytest.approx(gap)
    assert all(sample.seed is None and sample.metrics["colour_correct"] == 1.0 for sample in real)
    swapped = [sample for sample in samples if sample.changed]
    assert len(swapped) == 4
    assert {sample.changed["attribute"] for sample in swapped} == {"colour", "pitch"}
    assert all(f"{sample.changed['attribute']}_correct" in sample.metrics for sample in swapped)
    assert sum(sample.variant == "trained_loss" for sample in samples) == 8


def test_variants_share_noise_and_differ_in_result(result):
    samples = [s for s in evaluation_result.read_samples(result) if s.clip_id.endswith("flash00") and not s.changed]
    by_variant = {sample.variant: sample for sample in samples}
    assert by_variant["guided"].seed == by_variant["no_align"].seed == by_variant["untrained"].seed is not None
    assert by_variant["guided"].metrics != by_variant["no_align"].metrics


def test_the_result_does_not_depend_on_place_or_on_being_interrupted(corpus, result, tmp_path):
    class KilledError(Exception):
        pass

    def killed(made, total):
        yield from itertools.islice(made, 3)
        raise KilledError

    job = evaluation(corpus, tmp_path)
    job = replace(job, config=replace(CONFIG, workers=1))
    with pytest.raises(KilledError):
        job.run(killed, lambda text: None)
    assert not (tmp_path / "result").exists()
    finished = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "batches").iterdir()}
    assert len(finished) in (3, 4)  # one may have been under way
    assert sha256_path(run(job)) == sha256_path(result)
    assert finished.items() <= {path.name: path.stat().st_mtime_ns for path in (tmp_path / "batches").iterdir()}.items()


def test_without_media_the_codecs_are_the_reference(corpus, tmp_path):
    job = replace(evaluation(corpus, tmp_path, with_media=False), config=replace(CONFIG, scored_clips=5, swap_clips=0))
    gap = evaluation_result.read(run(job)).metric(names.SYNC_GAP)
    assert gap.reference_real is None
    assert gap.reference_codec is not None


@pytest.mark.parametrize("counts", [{"heldout_flash": 1, "train_flash": 3}, {"heldout_flash": 0, "train_flash": 3}])
def test_a_small_folder_is_evaluated_without_deciding_anything(tmp_path, counts):
    summary = evaluation_result.read(
        run(evaluation(write_tiny_corpus(tmp_path / "corpus", **counts), tmp_path / "work"))
    )
    assert summary.primary() == []
    assert summary.gallery
    assert all(metric.measured or metric.reason for metric in summary.metrics)
    trained_on = summary.families[0]["split"] == "train"
    assert trained_on == (counts["heldout_flash"] == 0)
    assert any("too small to hold clips out" in statement.text for statement in summary.statements) == trained_on


def test_a_corpus_of_sound_alone_generates_nothing_and_says_so(tmp_path):
    corpus = write_tiny_corpus(tmp_path / "corpus", heldout_flash=0, train_flash=0, audio_only=4)
    summary = evaluation_result.read(run(evaluation(corpus, tmp_path / "work")))
    assert summary.gallery == []
    assert not any(metric.measured for metric in summary.metrics)
    assert "no captioned clips with picture and sound" in summary.statements[0].text


def test_clips_of_another_size_are_left_out_and_counted(corpus):
    class TwoSizes:
        def select(self, split, modality):
            entries = LatentShards(corpus.shards).select(split, modality)
            return [replace(entries[0], bucket="v1x1x1-a52"), replace(entries[1], caption=" "), *entries[2:]]

    lines = []
    clips, split = heldout_clips(TwoSizes(), lines.append)
    assert (len(clips), split) == (6, "heldout")
    assert lines == ["1 of 7 heldout clips are left out: not of size v13x2x2-a52"]
