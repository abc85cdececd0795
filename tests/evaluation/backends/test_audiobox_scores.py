"""AudioBox-Aesthetics: windows, weights by length, heads and scales, against a slow definition."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F  # noqa: N812

from nava.evaluation.backends import audiobox
from nava.evaluation.backends.aesthetics import AXES
from nava.evaluation.backends.audiobox import windows
from nava.evaluation.extraction.clip_file import ClipFile
from nava.generation.media import write_wav
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_path
from tests.evaluation.backends.sound_checkpoints import RATINGS, SmallAudiobox, write_aesthetics

RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_aesthetics(tmp_path_factory.mktemp("audiobox"))


@pytest.fixture(scope="module")
def backend(folder):
    return SmallAudiobox(str(folder), sha256_path(folder))


@pytest.fixture
def short_windows(monkeypatch):
    monkeypatch.setattr(audiobox, "WINDOW_S", 1)


def noise(path, seconds, seed=0):
    samples = 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))
    write_wav(path, samples.astype(np.float32), RATE)
    return ClipFile(path)


def test_windows_lie_one_after_another_and_the_last_is_filled_up():
    samples_N = np.arange(23 * RATE + 5, dtype=np.float32)
    found = list(windows(samples_N))
    assert [sound for _, sound in found] == [10 * RATE, 10 * RATE, 3 * RATE + 5]
    assert {len(window_N) for window_N, _ in found} == {10 * RATE}
    assert np.array_equal(np.concatenate([window_N for window_N, _ in found])[: len(samples_N)], samples_N)
    assert not found[-1][0][3 * RATE + 5 :].any()
    assert len(list(windows(samples_N[: 10 * RATE]))) == 1


def by_the_book(network, tensors, samples_N, length=RATE):
    """Scores by axis: frames of padding masked as published, every window by its share of sound."""
    sums, shares = dict.fromkeys(AXES, 0.0), 0.0
    for start in range(0, len(samples_N), length):
        part_N = torch.from_numpy(samples_N[start : start + length])
        window_1N = F.pad(part_N, (0, length - len(part_N)))[None]
        wavlm = network.wavlm
        hidden_1TD, _ = wavlm.feature_projection(wavlm.feature_extractor(window_1N).transpose(1, 2))
        frames = hidden_1TD.shape[1]
        padded_N = torch.arange(length) >= len(part_N)
        # As published: the mask is cut to a whole number of samples per frame, and a frame is padding if all of it is.
        grouped_TN = padded_N[: length - length % frames].reshape(frames, -1)
        heard_1T = ~grouped_TN.all(dim=1)[None]
        hidden_1TD[~heard_1T] = 0
        hidden_1TD = wavlm.encoder.layer_norm(hidden_1TD + wavlm.encoder.pos_conv_embed(hidden_1TD))
        states, bias = [hidden_1TD], None
        for layer in wavlm.encoder.layers:
            hidden_1TD, bias = layer(hidden_1TD, attention_mask=heard_1T, position_bias=bias)
            states.append(hidden_1TD)
        share = len(part_N) / length
        shares += share
        for axis in AXES:
            weight_L = torch.softmax(tensors[f"layer_weights.{axis}"], 0)
            mixed_TD = sum(weight * state[0] for weight, state in zip(weight_L, states, strict=True))
            x_D = mixed_TD[heard_1T[0]].mean(0)
            x_D = x_D / x_D.norm()
            for index in (0, 3, 6, 9):
                name = f"proj_layer.{axis}."
                x_D = F.linear(x_D, tensors[f"{name}{index}.weight"], tensors[f"{name}{index}.bias"])
                norm = (tensors[f"{name}{index + 1}.weight"], tensors[f"{name}{index + 1}.bias"])
                x_D = F.gelu(F.layer_norm(x_D, x_D.shape, *norm))
            raw = float(F.linear(x_D, tensors[f"proj_layer.{axis}.12.weight"], tensors[f"proj_layer.{axis}.12.bias"]))
            sums[axis] += share * (raw * RATINGS[axis]["std"] + RATINGS[axis]["mean"])
    return {axis: value / shares for axis, value in sums.items()}


@pytest.mark.parametrize("seconds", [0.4, 1.0, 2.3])
def test_scores_are_what_the_published_structure_gives(backend, folder, tmp_path, short_windows, seconds):
    clip = noise(tmp_path / "a.wav", seconds)
    found = backend.extract(clip).values
    tensors = load_file(folder / "model.safetensors")
    with torch.inference_mode():
        expected = by_the_book(backend._network, tensors, clip.samples_at(RATE))
    assert found == pytest.approx(expected, rel=1e-3)
    assert len({round(value, 6) for value in found.values()}) == 4, "each axis has a head and a scale of its own"


def test_a_window_counts_by_its_share_of_sound(backend, tmp_path, short_windows):
    clip = noise(tmp_path / "a.wav", 1.25)
    samples_N = clip.samples_at(RATE)
    parts = []
    for name, part_N in (("first", samples_N[:RATE]), ("last", samples_N[RATE:])):
        write_wav(tmp_path / f"{name}.wav", part_N, RATE)
        parts.append(backend.extract(ClipFile(tmp_path / f"{name}.wav")).values["PQ"])
    assert backend.extract(clip).values["PQ"] == pytest.approx((parts[0] + parts[1] / 4) / 1.25, abs=1e-3)


def test_ten_seconds_are_heard_at_once_and_silence_has_scores_too(backend, tmp_path):
    write_wav(tmp_path / "silent.wav", np.zeros(3 * RATE, np.float32), RATE)
    values = backend.extract(ClipFile(tmp_path / "silent.wav")).values
    assert set(values) == set(AXES)
    assert all(np.isfinite(value) for value in values.values())


def test_both_published_formats_give_the_same(backend, tmp_path):
    legacy = write_aesthetics(tmp_path / "legacy", legacy=True)
    old = SmallAudiobox(str(legacy / "checkpoint.pt"), sha256_path(legacy / "checkpoint.pt"))
    clip = noise(tmp_path / "a.wav", 0.5)
    assert old.extract(clip).values == backend.extract(clip).values
    assert SmallAudiobox(str(legacy), sha256_path(legacy)).extract(clip).values == backend.extract(clip).values


@pytest.mark.parametrize("legacy", [False, True])
def test_wrong_files_are_refused_by_name(tmp_path, legacy):
    def opened(name, **arguments):
        folder = write_aesthetics(tmp_path / name, legacy=legacy, **arguments)
        return SmallAudiobox(str(folder), sha256_path(folder))

    with pytest.raises(InputError, match=r"lacks tensor 'proj_layer.PC.12.bias'"):
        opened("fewer", change=lambda tensors: tensors.pop("proj_layer.PC.12.bias"))
    with pytest.raises(InputError, match=r"unknown tensor 'extra'"):
        opened("more", change=lambda tensors: tensors.update(extra=torch.zeros(1)))
    with pytest.raises(InputError, match="proj_num_layer 3; only 5 is known"):
        opened("other", proj_num_layer=3)
    with pytest.raises(InputError, match=r"facebook/audiobox-aesthetics"):
        SmallAudiobox(str(tmp_path / "nothing"), "0" * 64)


def test_a_configuration_without_scales_is_refused(folder, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="has no target_transform"):
        SmallAudiobox(str(tmp_path), sha256_path(tmp_path))
    with pytest.raises(InputError, match="is a file: give its folder"):
        SmallAudiobox(str(tmp_path / "model.safetensors"), sha256_path(tmp_path / "model.safetensors"))
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json"):
        SmallAudiobox(str(tmp_path), sha256_path(tmp_path))
