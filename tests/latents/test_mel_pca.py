"""The audio codec: envelopes and pitch survive, silence stays silent, a clip decodes the same alone and in a batch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nava.config.latents import AudioCodecConfig
from nava.latents.mel import MelAnalysis
from nava.latents.mel_pca import MelPcaCodec
from nava.latents.quality import envelope_correlation, mel_error_db
from nava.runtime.errors import InputError
from tests.latents.conftest import FlashSet


def test_reconstructs_held_out_clips(mel_pca: MelPcaCodec, flashes: FlashSet) -> None:
    samples = flashes.held_out_samples
    latent = mel_pca.encode(samples)
    assert latent.shape == (8, 52, 64)
    decoded = mel_pca.decode(latent)
    assert decoded.shape == samples.shape
    assert decoded.abs().max() <= 1
    assert envelope_correlation(decoded, samples, 16_000).mean() > 0.95
    assert mel_error_db(decoded, samples, 3e-3).mean() < 1.0


def test_pitch_survives(mel_pca: MelPcaCodec, flashes: FlashSet) -> None:
    analysis = MelAnalysis()
    decoded = mel_pca.decode(mel_pca.encode(flashes.held_out_samples))
    strongest = [analysis.mel(samples).mean(1).argmax(1) for samples in (decoded, flashes.held_out_samples)]
    assert torch.equal(*strongest)


def test_silence_decodes_to_silence(mel_pca: MelPcaCodec) -> None:
    generator = torch.Generator().manual_seed(0)
    hiss = 0.0008 * torch.randn(1, 33_280, generator=generator)
    decoded = mel_pca.decode(mel_pca.encode(hiss))
    assert decoded.square().mean().sqrt() < 1e-6


def test_without_the_gate_silence_hisses(mel_pca: MelPcaCodec) -> None:
    ungated = MelPcaCodec(mel_pca.basis_CD, mel_pca.mean_D, mel_pca.scale_C, mel_pca.settings | {"gate_ratio": 0.0})
    decoded = ungated.decode(ungated.encode(torch.zeros(1, 33_280)))
    assert decoded.square().mean().sqrt() > 1e-4


def test_latents_have_the_wanted_size(mel_pca: MelPcaCodec, flashes: FlashSet) -> None:
    """Unit mean square times the gain of 1.5, squared."""
    assert mel_pca.encode(flashes.fit_samples).square().mean() == pytest.approx(2.25, rel=0.05)


def test_a_clip_decodes_the_same_alone_and_in_a_batch(mel_pca: MelPcaCodec, flashes: FlashSet) -> None:
    latent = mel_pca.encode(flashes.held_out_samples)
    batch = mel_pca.decode(latent)
    assert torch.allclose(mel_pca.decode(latent[5:6]), batch[5:6], atol=1e-5)
    assert torch.equal(mel_pca.decode(latent), batch)


def test_incomplete_latents_are_filled_with_silence(mel_pca: MelPcaCodec, flashes: FlashSet) -> None:
    samples = flashes.held_out_samples[:1, :32_700]
    latent = mel_pca.encode(samples)
    padded = mel_pca.encode(torch.nn.functional.pad(samples, (0, 33_280 - 32_700)))
    assert mel_pca.latent_shape(32_700) == latent.shape[1:] == (52, 64)
    assert torch.equal(latent, padded)


def test_other_lengths(mel_pca: MelPcaCodec) -> None:
    for latents in (2, 7, 130):
        samples = mel_pca.decode(torch.zeros(1, latents, 64))
        assert samples.shape == (1, latents * 640)
        assert mel_pca.encode(samples).shape == (1, latents, 64)


def test_saved_and_loaded_is_the_same_codec(mel_pca: MelPcaCodec, flashes: FlashSet, tmp_path: Path) -> None:
    mel_pca.save(tmp_path)
    loaded = MelPcaCodec.load(tmp_path)
    assert loaded.identity == mel_pca.identity
    latent = mel_pca.encode(flashes.held_out_samples[:2])
    assert torch.equal(loaded.decode(latent), mel_pca.decode(latent))


def test_identity_follows_what_changes_the_codec(mel_pca: MelPcaCodec, flashes: FlashSet) -> None:
    batches = flashes.fit_samples.split(16)
    assert MelPcaCodec.fit(batches, AudioCodecConfig()).identity == mel_pca.identity
    assert MelPcaCodec.fit(batches, AudioCodecConfig(fit_clips=999)).identity == mel_pca.identity
    assert MelPcaCodec.fit(batches, AudioCodecConfig(griffin_lim_iterations=8)).identity != mel_pca.identity
    assert MelPcaCodec.fit(batches, AudioCodecConfig(whitening=0.5)).identity != mel_pca.identity


def test_bad_input(mel_pca: MelPcaCodec) -> None:
    with pytest.raises(InputError, match=r"shape \[B, N\], got torch.int16 \[1, 640\]"):
        mel_pca.encode(torch.zeros(1, 640, dtype=torch.int16))
    with pytest.raises(InputError, match="at least 1 sample"):
        mel_pca.encode(torch.zeros(1, 0))
    with pytest.raises(InputError, match=r"\[B, L, 64\], got \[1, 64, 52\]"):
        mel_pca.decode(torch.zeros(1, 64, 52))


def test_too_little_sound_to_fit() -> None:
    config = replace(AudioCodecConfig(), channels=64)
    with pytest.raises(InputError, match="52 audio latents are too few to fit 64 channels"):
        MelPcaCodec.fit([torch.zeros(1, 33_280)], config)
    with pytest.raises(InputError, match="0 audio latents"):
        MelPcaCodec.fit([], config)


def test_settings_must_be_complete(mel_pca: MelPcaCodec) -> None:
    settings = {name: value for name, value in mel_pca.settings.items() if name != "mel_floor"}
    with pytest.raises(InputError, match="lack mel_floor"):
        MelPcaCodec(mel_pca.basis_CD, mel_pca.mean_D, mel_pca.scale_C, settings)
