from dataclasses import replace

import numpy as np
import pytest
import torch

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.generation import pipeline
from nava.generation.media import read_mp4
from nava.generation.pipeline import GeneratedClip
from nava.generation.request import Request, RequestError, Task, parse_voice
from nava.generation.sampler import sample_latents
from nava.runtime.errors import InputError, NavaError
from tests.generation.voice_package import (
    DIALOGUE,
    NEGATIVE_PROMPTS,
    PROMPT,
    RATE,
    SAMPLER,
    SIZE,
    write_image,
    write_voice,
)


def made(generator, *requests):
    return list(generator.generate(requests))


def one(generator, **given):
    (clip,) = made(generator, Request(**({"prompt": PROMPT, "seed": 7} | given)))
    return clip


class Spoken:
    """A text encoder that remembers what it was asked to encode."""

    def __init__(self, encoder):
        self.encoder, self.batches = encoder, []

    def encode(self, texts):
        self.batches.append(texts)
        return self.encoder.encode(texts)

    def dropped_prompt_words(self, text):
        return self.encoder.dropped_prompt_words(text)

    def encode_prompts(self, texts):
        self.batches.append(texts)
        return self.encoder.encode_prompts(texts)


class Stereo:
    """An audio codec of 48 kHz stereo: each latent's first two channels, held for 1,920 samples."""

    channels, sample_rate_hz, output_sample_rate_hz, sound_channels, identity = 64, 16_000, 48_000, 2, "stereo"

    def decode(self, latent_BLC):
        return latent_BLC[..., :2].tanh().repeat_interleave(1_920, dim=1).transpose(1, 2) * 0.01


@pytest.fixture
def heard(generator):
    return replace(generator, text_encoder=Spoken(generator.text_encoder))


def test_picture_and_sound_are_equally_long(generator):
    clip = one(generator, seconds=1)
    assert clip.frames.shape == (25, SIZE, SIZE, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.samples.shape == (round(25 / 24 * RATE),)
    assert clip.samples.dtype == np.float32
    assert (clip.fps, clip.sample_rate, clip.prompt, clip.seed) == (24.0, RATE, PROMPT, 7)
    assert clip.plan.task is Task.T2AV


@pytest.mark.parametrize(("broken", "name"), [(0, "picture"), (1, "sound")])
def test_latents_that_are_not_finite_make_no_clip(generator, monkeypatch, broken, name):
    def sampled(*given, **named):
        latents = list(sample_latents(*given, **named))
        latents[broken].view(-1)[3] = float("nan")
        return latents

    monkeypatch.setattr(pipeline, "sample_latents", sampled)
    with pytest.raises(NavaError, match=f"{name} latents are not finite"):
        one(generator)


def test_sound_may_keep_its_last_latent_whole(generator):
    fitted, whole = one(generator), one(generator, fit_sound=False)
    assert whole.samples.shape == (10 * 640,)
    np.testing.assert_array_equal(fitted.samples, whole.samples[: len(fitted.samples)])


def test_each_modality_alone(generator):
    sound, pictures = one(generator, task=Task.T2A, seconds=0.5), one(generator, task=Task.T2V)
    assert sound.frames is None
    assert sound.samples.shape == (8_000,)
    assert pictures.samples is None
    assert pictures.frames.shape == (9, SIZE, SIZE, 3)


def test_a_clip_has_the_size_asked_for(generator):
    assert one(generator, size=(48, 64), frames=5).frames.shape == (5, 48, 64, 3)


def test_the_first_frame_is_the_image(generator, tmp_path):
    image = write_image(tmp_path / "red.png", (220, 30, 30))
    clip = one(generator, image=image)
    assert clip.plan.task is Task.TI2AV
    assert np.abs(clip.frames[0].reshape(-1, 3).mean(axis=0) - (220, 30, 30)).max() < 6
    other = one(generator, image=write_image(tmp_path / "blue.png", (30, 30, 220)))
    # The picture conditions what follows it, and the sound too.
    assert (clip.frames[1:] != other.frames[1:]).any()
    assert (clip.samples != other.samples).any()


def test_a_reference_voice_changes_the_sound_and_each_span_takes_its_own(generator, tmp_path):
    low, high = (parse_voice(str(write_voice(tmp_path / f"{f}.wav", hertz=f))) for f in (110.0, 330.0))
    sounds = {
        voices: one(generator, prompt=DIALOGUE, voices=voices).samples.tobytes()
        for voices in ((), (low, high), (high, low), (low, low))
    }
    assert len(set(sounds.values())) == 4


def test_image_and_voice_together(generator, tmp_path):
    voice = parse_voice(str(write_voice(tmp_path / "a.wav")))
    clip = one(generator, image=write_image(tmp_path / "red.png"), voices=(voice,))
    assert clip.plan.task is Task.TIA2AV
    assert clip.frames is not None
    assert clip.samples is not None


def test_only_a_model_with_timbre_conditioning_gets_slots(generator):
    clips = [one(generator), one(replace(generator, speech_slots=False))]
    assert (clips[0].samples != clips[1].samples).any()
    silent = [one(g, prompt="It rains.") for g in (generator, replace(generator, speech_slots=False))]
    np.testing.assert_array_equal(silent[0].samples, silent[1].samples)


def test_clips_come_in_order_and_neighbours_of_a_kind_make_up_batches(heard):
    requests = [
        Request("a bar", 1),
        Request("a ball", 2),
        Request("rain", 3),
        Request("wind", 4, seconds=0.5),
        Request("a bell", 5),
    ]
    clips = made(heard, *requests)
    assert [(clip.prompt, clip.seed) for clip in clips] == [(request.prompt, request.seed) for request in requests]
    assert heard.text_encoder.batches == [["a bar", "a ball"], ["rain"], ["wind"], ["a bell"]]


def test_clips_come_one_batch_at_a_time(heard):
    stream = heard.generate([Request("a"), Request("b"), Request("c")])
    assert next(stream).prompt == "a"
    assert heard.text_encoder.batches == [["a", "b"]]


def test_the_same_request_gives_the_same_clip_whatever_is_beside_it(generator):
    alone = one(generator, prompt="rain", seed=8)
    beside = [
        made(generator, Request("a bar", 7), Request("rain", 8))[1],
        made(generator, Request("rain", 8), Request("a long walk in the rain", 2))[0],
    ]
    for clip in beside:
        assert np.abs(clip.frames.astype(int) - alone.frames).max() <= 1
        np.testing.assert_allclose(clip.samples, alone.samples, atol=1e-3)
    np.testing.assert_array_equal(one(generator, prompt="rain", seed=8).frames, alone.frames)


def test_prompt_and_seed_change_the_clip(generator):
    clips = made(generator, Request("a bar", 7), Request("a bar", 8), Request("rain", 7))
    assert not np.allclose(clips[0].samples, clips[1].samples, atol=1e-2)
    assert not np.allclose(clips[0].samples, clips[2].samples, atol=1e-4)


def test_every_step_is_told(generator):
    told = []
    requests = [Request("a", sampler=replace(SAMPLER, steps=3)), Request("b", sampler=replace(SAMPLER, steps=3))]
    list(generator.generate(requests, on_step=lambda done, total: told.append((done, total))))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_native_rate_stereo_and_loudness_stay_in_mode_corrected(generator):
    clip = one(replace(generator, audio_codec=Stereo()), seconds=1)
    assert clip.sample_rate == 48_000
    assert clip.samples.shape == (2, 50_000)
    assert 0 < np.abs(clip.samples).max() <= 0.01


def test_mode_release_writes_16_khz_at_full_level_and_reads_its_negative_prompt(heard):
    release = GenerationConfig(mode="release", steps=2, batch_size=2)
    clip = one(replace(heard, audio_codec=Stereo()), seconds=1, sampler=release)
    assert clip.sample_rate == 16_000
    assert clip.samples.shape == (2, round(25 / 24 * 16_000))
    assert np.abs(clip.samples).max() == pytest.approx(0.95)
    for task, name in ((Task.T2AV, "joint"), (Task.T2V, "video"), (Task.T2A, "audio")):
        one(heard, task=task, sampler=release)
        assert [NEGATIVE_PROMPTS[name]] in heard.text_encoder.batches[-2:]


def test_the_negative_prompt_matters_in_mode_release_only(generator):
    other = replace(generator, negative_prompts=dict.fromkeys(NEGATIVE_PROMPTS, "a storm at sea"))
    strong = GuidanceScales(3.0, 0.0, 0.0)
    for mode, equal in (("release", False), ("corrected", True)):
        sampler = GenerationConfig(mode=mode, steps=2, video=strong, audio=strong)
        clips = [one(g, sampler=sampler) for g in (generator, other)]
        assert np.array_equal(clips[0].frames, clips[1].frames) is equal


def test_everything_is_checked_before_the_first_clip(heard):
    with pytest.raises(InputError, match=r"^request 2: seed: "):
        heard.generate([Request("a"), Request("b", -1), Request("c")])
    with pytest.raises(RequestError, match=r"^prompt: "):
        heard.generate([Request(" ")])
    assert heard.text_encoder.batches == []


def test_speech_beyond_the_text_rows_is_refused(generator, tmp_path):
    voice = parse_voice(str(write_voice(tmp_path / "a.wav")))
    with pytest.raises(InputError, match="speech span 1"):
        one(generator, prompt="word " * 40 + "<S>late<E>", voices=(voice,))


def test_written_clips_play(generator, tmp_path):
    one(generator).write(tmp_path / "clips" / "clip.mp4", upscale=2)
    media = read_mp4(tmp_path / "clips" / "clip.mp4")
    assert media.frames.shape == (9, 2 * SIZE, 2 * SIZE, 3)
    assert len(media.samples) == 6_000
    one(generator, task=Task.T2A).write(tmp_path / "sound.wav")
    assert len(read_mp4(tmp_path / "sound.wav").samples) == 6_400


def test_a_wav_holds_no_pictures(tmp_path):
    clip = GeneratedClip("", 0, np.zeros((1, 16, 16, 3), np.uint8), 24.0, np.zeros(10, np.float32), RATE)
    with pytest.raises(InputError, match="holds sound alone"):
        clip.write(tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_half_width_generate_too(voice_package):
    from nava.generation.loading import load_generator

    clip = one(load_generator(voice_package.folder, dtype=torch.bfloat16))
    assert clip.frames.shape == (9, SIZE, SIZE, 3)
    assert np.isfinite(clip.samples).all()
