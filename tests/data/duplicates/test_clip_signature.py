"""Signatures: what changes them, what does not, and how sounds are compared."""

import numpy as np
import pytest

from nava.data.duplicates.signature import (
    SOUND_BACKEND,
    dct3d,
    frame_hashes,
    picture_cube,
    sound_bands,
    sound_correlation,
    sound_embedding,
)
from tests.data.curation.conftest import RATE_HZ, draw_room
from tests.data.duplicates.conftest import draw_clip, sign_clip

HOP = RATE_HZ // 50


def sound_of(audio):
    return sound_bands(audio.astype(np.float32), RATE_HZ)


def test_every_value_is_one_that_float16_holds():
    signature = sign_clip(*draw_clip())
    for values in (signature.embedding, signature.sound, sign_clip(None, draw_clip()[1]).embedding):
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, values.astype(np.float16).astype(np.float32))


def test_the_embedding_has_512_values_and_unit_length():
    embedding = sign_clip(*draw_clip()).embedding
    assert embedding.shape == (512,)
    assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-3)


def test_brightness_alone_changes_no_embedding():
    frames, audio = draw_clip()
    one, other = sign_clip(frames, audio), sign_clip(frames + np.uint8(20), audio)
    assert float(one.embedding @ other.embedding) > 0.999
    np.testing.assert_array_equal(one.hashes, other.hashes)


def test_time_matters_and_the_size_of_the_picture_does_not():
    cube = picture_cube(draw_clip()[0])
    assert float(dct3d(cube) @ dct3d(cube[::-1])) < 0.9
    large = np.repeat(np.repeat(draw_clip()[0], 3, axis=1), 3, axis=2)
    np.testing.assert_allclose(picture_cube(large), cube, atol=1.0)


def test_pictures_without_structure_are_like_each_other_and_like_nothing_else():
    black, grey = (np.full((49, 32, 32, 3), level, np.uint8) for level in (0, 90))
    one, other = dct3d(picture_cube(black)), dct3d(picture_cube(grey))
    np.testing.assert_array_equal(one, other)
    assert one[0] == 1.0
    assert dct3d(picture_cube(draw_clip()[0]))[0] == 0.0


def test_frame_hashes_tell_rooms_apart():
    first, second = (frame_hashes(picture_cube(draw_room(seed, 20))) for seed in (1, 2))
    assert first.shape == (16, 64)
    assert float((first != second).mean()) > 0.3
    np.testing.assert_array_equal(first[0], first[-1])


def test_a_clip_without_pictures_is_signed_by_its_sound():
    signature = sign_clip(None, draw_clip()[1])
    assert signature.backend == SOUND_BACKEND
    assert not signature.hashes.any()
    assert signature.embedding.shape == (481,)


def test_a_small_shift_of_the_sound_is_forgiven_a_large_one_is_not():
    audio = draw_clip()[1]
    still, little, much = (sound_of(np.roll(audio, hops * HOP)) for hops in (0, 2, 20))
    assert sound_correlation(still, little) > 0.98
    assert sound_correlation(still, much) < 0.9


def test_sounds_of_different_length_do_not_correlate():
    audio = draw_clip()[1]
    whole, trimmed, half = (sound_of(audio[: len(audio) - hops * HOP]) for hops in (0, 3, 50))
    assert sound_correlation(whole, trimmed) > 0.98
    assert sound_correlation(whole, half) == -1.0


@pytest.mark.parametrize("seed", range(6))
def test_sounds_that_correlate_have_close_embeddings(seed, config):
    rng = np.random.default_rng(seed)
    audio = draw_clip(seed=seed, tone_hz=rng.uniform(200, 3000))[1]
    moved = 0.5 * np.roll(audio, rng.integers(-3, 4) * HOP) + rng.normal(0, 1e-4, len(audio))
    one, other = sound_of(audio), sound_of(moved)
    if sound_correlation(one, other) >= config.min_audio_correlation:
        assert float(sound_embedding(one) @ sound_embedding(other)) > config.min_audio_cosine + 0.02


def test_other_sounds_have_distant_embeddings(config):
    sounds = [sound_of(draw_clip(seed=seed, tone_hz=250.0 * (seed + 1))[1]) for seed in range(6)]
    embeddings = np.stack([sound_embedding(sound) for sound in sounds])
    assert (embeddings @ embeddings.T - np.eye(6)).max() < config.min_audio_cosine - 0.1


def test_silence_and_no_sound_at_all():
    silence = sound_of(np.zeros(RATE_HZ))
    assert silence.shape == (50, 12)
    assert not silence.any()
    assert sound_embedding(silence)[0] == 1.0
    empty = sound_of(np.zeros(0))
    assert empty.shape == (0, 12)
    assert sound_embedding(empty)[0] == 1.0
