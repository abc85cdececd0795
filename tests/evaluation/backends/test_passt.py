"""PaSST: windows, log-mel, and the network, against slow definitions over the names of its file."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from nava.evaluation.backends.passt import CHECKPOINT, Passt
from nava.evaluation.backends.passt_input import HOP, TRANSFORM, log_mel, windows
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import UnmeasurableError
from nava.generation.media import write_wav
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_path
from tests.evaluation.backends.sound_checkpoints import SmallPasst, write_passt

RATE = 32_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_passt(tmp_path_factory.mktemp("passt"))


@pytest.fixture(scope="module")
def backend(folder):
    return SmallPasst(str(folder), sha256_path(folder))


def noise(seconds, seed=0, gain=1.0):
    return (gain * 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


def recording(path, seconds, **arguments):
    write_wav(path, noise(seconds, **arguments), RATE)
    return ClipFile(path)


@pytest.mark.parametrize(("seconds", "starts"), [(1, [0]), (4, [0]), (10, [0]), (12, [0, 5]), (15.5, [0, 5, 10])])
def test_windows_of_ten_seconds_begin_every_five(seconds, starts):
    samples_N = noise(seconds)
    found = list(windows(samples_N))
    levelled_N = samples_N * (10 ** (-1 / 20) / np.abs(samples_N).max())
    assert len(found) == len(starts)
    for window_N, start in zip(found, starts, strict=True):
        part_N = levelled_N[start * RATE : (start + 10) * RATE]
        np.testing.assert_allclose(window_N[: len(part_N)], part_N, rtol=1e-6)
        assert not window_N[len(part_N) :].any()
        assert len(window_N) == (10 * RATE if seconds > 1.5 else len(part_N)), "very short ones are not filled up"


def test_a_frame_is_a_windowed_spectrum_in_kaldis_mel_bands():
    samples_N, frame = noise(0.2).astype(np.float64), 4
    emphasised = np.array([samples_N[i] - 0.97 * samples_N[i - 1] for i in range(1, len(samples_N))])
    mirrored = np.concatenate([emphasised[512:0:-1], emphasised, emphasised[-2:-514:-1]])
    window = np.zeros(TRANSFORM)
    window[112:912] = [0.5 - 0.5 * np.cos(2 * np.pi * n / 799) for n in range(800)]
    power = np.abs(np.fft.fft(mirrored[frame * HOP : frame * HOP + TRANSFORM] * window)[:512]) ** 2
    mel = lambda hertz: 1127 * np.log(1 + hertz / 700)  # noqa: E731
    corners = np.linspace(mel(0), mel(15_000), 130)
    expected = []
    for low, centre, high in zip(corners, corners[1:], corners[2:], strict=False):
        place = mel(np.arange(512) * RATE / TRANSFORM)
        weight = np.maximum(0, np.minimum((place - low) / (centre - low), (high - place) / (high - centre)))
        expected.append((np.log(weight @ power + 1e-5) + 4.5) / 5)
    found_MT = log_mel(samples_N)
    assert found_MT.shape == (128, 1 + (len(samples_N) - 1) // HOP)
    np.testing.assert_allclose(found_MT[:, frame], expected, atol=1e-4)
    assert log_mel(noise(10)).shape == (128, 1_000)


def by_the_book(t, mel_MT):
    weight, bias = t["patch_embed.proj.weight"], t["patch_embed.proj.bias"]
    tokens = [t["cls_token"][0, 0] + t["new_pos_embed"][0, 0], t["dist_token"][0, 0] + t["new_pos_embed"][0, 1]]
    for row in range(12):
        for column in range((mel_MT.shape[1] - 16) // 10 + 1):
            patch = mel_MT[row * 10 : row * 10 + 16, column * 10 : column * 10 + 16]
            token = (weight[:, 0] * patch).sum((1, 2)) + bias
            tokens.append(token + t["freq_new_pos_embed"][0, :, row, 0] + t["time_new_pos_embed"][0, :, 0, column])
    x = torch.stack(tokens)
    for layer in ("blocks.0.", "blocks.1."):
        p = lambda name, layer=layer: (t[f"{layer}{name}.weight"], t[f"{layer}{name}.bias"])  # noqa: E731
        q, k, v = F.linear(F.layer_norm(x, (16,), *p("norm1"), eps=1e-6), *p("attn.qkv")).chunk(3, dim=1)
        heads = []
        for head in range(2):
            part = slice(head * 8, head * 8 + 8)
            heads.append(torch.softmax(q[:, part] @ k[:, part].T / 8**0.5, dim=1) @ v[:, part])
        x = x + F.linear(torch.cat(heads, dim=1), *p("attn.proj"))
        x = x + F.linear(F.gelu(F.linear(F.layer_norm(x, (16,), *p("norm2"), eps=1e-6), *p("mlp.fc1"))), *p("mlp.fc2"))
    x = F.layer_norm(x, (16,), t["norm.weight"], t["norm.bias"], eps=1e-6)
    both = F.layer_norm((x[0] + x[1]) / 2, (16,), t["head.0.weight"], t["head.0.bias"])
    return F.linear(both, t["head.1.weight"], t["head.1.bias"])


def test_logits_are_what_the_published_structure_gives(backend, folder, tmp_path):
    clip = recording(tmp_path / "a.wav", 0.5)
    tensors = torch.load(folder / CHECKPOINT.file, weights_only=True)
    (window_N,) = windows(clip.samples_at(RATE))
    expected_K = by_the_book(tensors, torch.from_numpy(log_mel(window_N)))
    found_WK = backend.extract(clip).arrays["logits_WK"]
    assert found_WK.shape == (1, 7)
    np.testing.assert_allclose(found_WK[0], expected_K.numpy(), rtol=1e-4, atol=1e-4)


def test_the_published_layout():
    with torch.device("meta"):
        names = {name: tuple(tensor.shape) for name, tensor in Passt.build().state_dict().items()}
    assert len(names) == 5 + 2 + 12 * 12 + 2 + 4 + 2
    shapes = {
        "new_pos_embed": (1, 2, 768),
        "freq_new_pos_embed": (1, 768, 12, 1),
        "time_new_pos_embed": (1, 768, 1, 99),
        "patch_embed.proj.weight": (768, 1, 16, 16),
        "blocks.11.attn.qkv.weight": (2304, 768),
        "blocks.0.mlp.fc1.bias": (3072,),
        "head.1.weight": (527, 768),
        "head_dist.bias": (527,),
    }
    assert {name: names.get(name) for name in shapes} == shapes


def test_a_long_recording_has_a_row_for_each_window_and_silence_has_none(backend, tmp_path):
    clip = recording(tmp_path / "long.wav", 12)
    found_WK = backend.extract(clip).arrays["logits_WK"]
    assert found_WK.shape == (2, 7)
    assert np.array_equal(found_WK, backend.extract(clip).arrays["logits_WK"])
    with pytest.raises(UnmeasurableError, match="silent"):
        backend.extract(recording(tmp_path / "silent.wav", 1, gain=0.0))
    with pytest.raises(UnmeasurableError, match="lasts"):
        backend.extract(recording(tmp_path / "blip.wav", 0.1))


def test_wrong_files_are_refused_by_name(tmp_path):
    folder = write_passt(tmp_path / "fewer", lambda tensors: tensors.pop("head_dist.bias"))
    with pytest.raises(InputError, match=r"lacks tensor 'head_dist\.bias'"):
        SmallPasst(str(folder), sha256_path(folder))
    with pytest.raises(InputError, match=r"v0\.0\.1-audioset"):
        Passt(str(tmp_path / "nothing"), "0" * 64)


def test_divergence_is_that_of_the_reference_from_the_clip():
    """Verse-Bench: p_ref log(p_ref / (p_gen + 1e-6)); a class that the clip lost costs much, one it added little."""
    from nava.evaluation.catalogue.scorers import SCORERS
    from nava.evaluation.extraction.features import Features

    def probabilities(*values):
        return Features(arrays={"logits_WK": np.log(np.array([values]))})

    generated, reference = probabilities(0.5, 0.25, 0.25), probabilities(0.9, 0.05, 0.05)
    found = SCORERS["kl"]({"generated": generated, "reference_audio": reference}, None)
    expected = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.05 / 0.25)
    assert found.value == pytest.approx(expected, abs=1e-5)
