"""Codecs by name: build, save both, load both, unknown names."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nava.config.latents import AudioCodecConfig, LatentsConfig, VideoCodecConfig
from nava.latents.block_dct import BlockDctCodec
from nava.latents.block_pca import BlockPcaCodec
from nava.latents.ltx_audio import LtxAudioCodec
from nava.latents.mel_pca import MelPcaCodec
from nava.latents.registry import Codecs, build_audio_codec, build_video_codec, load_codecs, save_codecs
from nava.latents.wan_video import WanVideoCodec
from nava.runtime.errors import InputError
from tests.latents.conftest import FIT_CLIPS, FlashSet
from tests.latents.original_layouts import write_small_weights


def refuse_to_read() -> Iterable[Tensor]:
    raise AssertionError("a codec without a fit must not read the corpus")


def test_build_by_name(flashes: FlashSet, video_config: VideoCodecConfig) -> None:
    fitted = build_video_codec(video_config, lambda: flashes.fit_video.split(16), FIT_CLIPS, seed=0)
    assert isinstance(fitted, BlockPcaCodec)
    fixed = build_video_codec(VideoCodecConfig(type="block_dct"), refuse_to_read, 0, seed=0)
    assert isinstance(fixed, BlockDctCodec)
    audio = build_audio_codec(AudioCodecConfig(), lambda: flashes.fit_samples.split(16))
    assert isinstance(audio, MelPcaCodec)


def test_unknown_types_list_the_known_ones() -> None:
    with pytest.raises(
        InputError, match="unknown video codec type 'wan'; known types: block_dct, block_pca, wan_video"
    ):
        build_video_codec(VideoCodecConfig(type="wan"), refuse_to_read, 0, seed=0)
    with pytest.raises(InputError, match="unknown audio codec type 'mdct'; known types: ltx_audio, mel_pca"):
        build_audio_codec(AudioCodecConfig(type="mdct"), refuse_to_read)


def test_save_and_load_both(block_pca: BlockPcaCodec, mel_pca: MelPcaCodec, tmp_path: Path) -> None:
    codecs = Codecs(block_pca, mel_pca)
    save_codecs(codecs, tmp_path)
    loaded = load_codecs(tmp_path)
    assert loaded.identities == codecs.identities
    assert (type(loaded.video), type(loaded.audio)) == (BlockPcaCodec, MelPcaCodec)


def test_load_finds_the_type_by_itself(mel_pca: MelPcaCodec, tmp_path: Path) -> None:
    save_codecs(Codecs(BlockDctCodec.build(VideoCodecConfig(type="block_dct")), mel_pca), tmp_path)
    assert isinstance(load_codecs(tmp_path).video, BlockDctCodec)


def test_load_refuses_what_it_does_not_know(block_pca: BlockPcaCodec, mel_pca: MelPcaCodec, tmp_path: Path) -> None:
    save_codecs(Codecs(block_pca, mel_pca), tmp_path)
    path = tmp_path / "video" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"type": "wan22"}))
    with pytest.raises(InputError, match="unknown video codec type 'wan22'"):
        load_codecs(tmp_path)
    with pytest.raises(InputError, match="no codec in"):
        load_codecs(tmp_path / "nothing")


def test_codecs_of_published_weights(tmp_path: Path) -> None:
    """Built from one folder of weights, saved as references, loaded from a copy of the folder."""
    weights = write_small_weights(tmp_path / "weights")
    video = build_video_codec(VideoCodecConfig(type="wan_video", weights=str(weights)), refuse_to_read, 0, seed=0)
    audio = build_audio_codec(AudioCodecConfig(type="ltx_audio", weights=str(weights)), refuse_to_read)
    assert (type(video), type(audio)) == (WanVideoCodec, LtxAudioCodec)
    codecs = Codecs(video, audio)
    save_codecs(codecs, tmp_path / "codec")
    assert sum(path.stat().st_size for path in (tmp_path / "codec").rglob("*.*")) < 5_000
    copy = shutil.copytree(weights, tmp_path / "elsewhere")
    shutil.rmtree(weights)
    loaded = load_codecs(tmp_path / "codec", copy)
    assert loaded.identities == codecs.identities
    latent = torch.zeros(1, 4, 8)
    assert torch.equal(loaded.audio.decode(latent), audio.decode(latent))
    with pytest.raises(InputError, match=r"Wan2\.2_VAE\.pth .* is not at"):
        load_codecs(tmp_path / "codec", weights)
    with pytest.raises(InputError, match="say where it is"):
        load_codecs(tmp_path / "codec")


def test_weights_of_a_bucket_are_kept_in_the_cache(tmp_path: Path) -> None:
    weights = write_small_weights(tmp_path / "weights")
    address, cache = f"file://{weights}", tmp_path / "cache"
    video = VideoCodecConfig(type="wan_video", weights=address, weights_cache=str(cache))
    audio = AudioCodecConfig(type="ltx_audio", weights=address, weights_cache=str(cache))
    codecs = Codecs(build_video_codec(video, refuse_to_read, 0, 0), build_audio_codec(audio, refuse_to_read))
    assert len(list(cache.iterdir())) == 2
    save_codecs(codecs, tmp_path / "codec")
    assert load_codecs(tmp_path / "codec", address, cache).identities == codecs.identities


def test_embedded_codecs_need_no_location(block_pca: BlockPcaCodec, mel_pca: MelPcaCodec, tmp_path: Path) -> None:
    codecs = Codecs(block_pca, mel_pca)
    save_codecs(codecs, tmp_path)
    assert load_codecs(tmp_path, tmp_path / "nowhere").identities == codecs.identities


def test_settings_without_a_location_are_refused_before_a_run() -> None:
    LatentsConfig().check()
    LatentsConfig(VideoCodecConfig("wan_video", weights="hub"), AudioCodecConfig("ltx_audio", weights="hub")).check()
    with pytest.raises(
        InputError, match=r"latents\.video\.weights is ''; it must be where the weights of wan_video are"
    ):
        LatentsConfig(video=VideoCodecConfig("wan_video")).check()
    with pytest.raises(
        InputError, match=r"latents\.audio\.weights is ''; it must be where the weights of ltx_audio are"
    ):
        LatentsConfig(audio=AudioCodecConfig("ltx_audio")).check()
