"""Codecs by name: build, save both, load both, unknown names."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from torch import Tensor

from nava.config.latents import AudioCodecConfig, VideoCodecConfig
from nava.latents.block_dct import BlockDctCodec
from nava.latents.block_pca import BlockPcaCodec
from nava.latents.mel_pca import MelPcaCodec
from nava.latents.registry import Codecs, build_audio_codec, build_video_codec, load_codecs, save_codecs
from nava.runtime.errors import InputError
from tests.latents.conftest import FIT_CLIPS, FlashSet


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
    with pytest.raises(InputError, match="unknown video codec type 'wan'; known types: block_dct, block_pca"):
        build_video_codec(VideoCodecConfig(type="wan"), refuse_to_read, 0, seed=0)
    with pytest.raises(InputError, match="unknown audio codec type 'mdct'; known types: mel_pca"):
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
