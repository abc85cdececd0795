"""The speaker network against the published structure, written down once more over the names of its file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from nava.evaluation.backends import wavlm
from nava.evaluation.backends.wavlm_ecapa import WavlmEcapa
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import UnmeasurableError
from nava.generation.media import write_wav
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_path
from tests.evaluation.backends.sound_checkpoints import SmallWavlmEcapa, write_speaker

RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_speaker(tmp_path_factory.mktemp("speaker"))


@pytest.fixture(scope="module")
def backend(folder):
    return SmallWavlmEcapa(str(folder), sha256_path(folder))


def voice(path, seconds=0.7, seed=0, gain=1.0):
    samples = gain * 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))
    write_wav(path, samples.astype(np.float32), RATE)
    return ClipFile(path)


def embedding(backend, clip):
    return backend.extract(clip).arrays["embedding_D"]


def norm(tensors, name, x_BCT):
    mean, variance = tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"]
    scale = tensors[f"{name}.weight"] / (variance + 1e-5).sqrt()
    shape = (1, -1, *[1] * (x_BCT.ndim - 2))
    return (x_BCT - mean.view(shape)) * scale.view(shape) + tensors[f"{name}.bias"].view(shape)


def conv(tensors, name, x_BCT, dilation=1):
    weight = tensors[f"{name}.weight"]
    return F.conv1d(
        x_BCT, weight, tensors[f"{name}.bias"], padding=dilation * (weight.shape[2] // 2), dilation=dilation
    )


def block(t, layer, x, dilation):
    y = norm(t, f"{layer}.Conv1dReluBn1.bn", conv(t, f"{layer}.Conv1dReluBn1.conv", x).relu())
    width, parts = y.shape[1] // 8, []
    for index in range(7):
        part = y[:, index * width : (index + 1) * width]
        part = part + parts[-1] if parts else part
        part = conv(t, f"{layer}.Res2Conv1dReluBn.convs.{index}", part, dilation).relu()
        parts.append(norm(t, f"{layer}.Res2Conv1dReluBn.bns.{index}", part))
    y = torch.cat([*parts, y[:, 7 * width :]], dim=1)
    y = norm(t, f"{layer}.Conv1dReluBn2.bn", conv(t, f"{layer}.Conv1dReluBn2.conv", y).relu())
    gate = F.linear(y.mean(2), t[f"{layer}.SE_Connect.linear1.weight"], t[f"{layer}.SE_Connect.linear1.bias"]).relu()
    gate = F.linear(gate, t[f"{layer}.SE_Connect.linear2.weight"], t[f"{layer}.SE_Connect.linear2.bias"]).sigmoid()
    return x + y * gate[:, :, None]


def by_the_book(t, states_LTD):
    weights = torch.exp(t["feature_weight"]) / torch.exp(t["feature_weight"]).sum()
    x = sum(weight * state for weight, state in zip(weights, states_LTD, strict=True)).T[None] + 1e-6
    x = (x - x.mean(2, keepdim=True)) / (x.var(2, unbiased=False, keepdim=True) + 1e-5).sqrt()
    outputs = [norm(t, "layer1.bn", conv(t, "layer1.conv", x).relu())]
    for number in (2, 3, 4):
        outputs.append(block(t, f"layer{number}", outputs[-1], dilation=number))
    x = conv(t, "conv", torch.cat(outputs[1:], dim=1)).relu()
    attention = torch.softmax(conv(t, "pooling.linear2", torch.tanh(conv(t, "pooling.linear1", x))), dim=2)
    mean = (attention * x).sum(2)
    deviation = ((attention * x**2).sum(2) - mean**2).clamp(min=1e-9).sqrt()
    pooled = norm(t, "bn", torch.cat([mean, deviation], dim=1))
    return F.linear(pooled, t["linear.weight"], t["linear.bias"])[0]


def test_the_embedding_is_what_the_published_structure_gives(backend, folder, tmp_path):
    clip = voice(tmp_path / "a.wav")
    tensors = torch.load(folder / "wavlm_large_finetune.pth", weights_only=True)["model"]
    samples_N = torch.from_numpy(clip.samples_at(RATE)).double()
    normal_N = ((samples_N - samples_N.mean()) / (samples_N.var(unbiased=False) + 1e-5).sqrt()).float()
    states_LTD = wavlm.hidden_states(backend._network.wavlm, normal_N[None])
    expected_D = by_the_book(tensors, states_LTD).numpy()
    assert expected_D.shape == (12,)
    np.testing.assert_allclose(embedding(backend, clip), expected_D, rtol=1e-3, atol=1e-4)


def test_it_repeats_hears_no_loudness_and_tells_sounds_apart(backend, tmp_path):
    one, louder, other = (
        embedding(backend, voice(tmp_path / f"{name}.wav", seed=seed, gain=gain))
        for name, seed, gain in (("one", 0, 1.0), ("louder", 0, 2.0), ("other", 1, 1.0))
    )
    assert np.array_equal(one, embedding(backend, voice(tmp_path / "again.wav")))
    cosine = lambda a, b: float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))  # noqa: E731
    assert cosine(one, louder) > 0.999
    assert cosine(one, other) < cosine(one, louder)


def test_silence_has_no_voice_and_a_blip_is_too_short(backend, tmp_path):
    write_wav(tmp_path / "silent.wav", np.zeros(RATE, np.float32), RATE)
    with pytest.raises(UnmeasurableError, match="silent: there is no voice"):
        backend.extract(ClipFile(tmp_path / "silent.wav"))
    with pytest.raises(UnmeasurableError, match=r"lasts 0\.10 s"):
        backend.extract(voice(tmp_path / "blip.wav", seconds=0.1))


def test_the_file_itself_may_be_named(folder):
    path = folder / "wavlm_large_finetune.pth"
    assert SmallWavlmEcapa(str(path), sha256_path(path)).weights_sha256 == sha256_path(path)


def remove(name):
    return lambda tensors: tensors.pop(name)


def add(name):
    return lambda tensors: tensors.update({name: torch.zeros(1)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("layer3.SE_Connect.linear1.bias"), "lacks tensor 'layer3.SE_Connect.linear1.bias'"),
        (
            remove("feature_extract.model.encoder.layers.1.fc1.weight"),
            "lacks tensor 'feature_extract.model.encoder.layers.1.fc1.weight'",
        ),
        (add("feature_extract.model.final_proj.bias"), "unknown tensor 'feature_extract.model.final_proj.bias'"),
        (add("linear.bias"), r"'linear.bias' has shape \[1\], expected \[12\]"),
    ],
)
def test_a_tensor_too_few_too_many_or_of_another_shape_is_named(tmp_path, change, message):
    folder = write_speaker(tmp_path, change=change)
    with pytest.raises(InputError, match=message):
        SmallWavlmEcapa(str(folder), sha256_path(folder))


def test_wrong_files_are_refused_with_what_to_do(folder, tmp_path):
    with pytest.raises(InputError, match=r"wavlm_large_finetune\.pth \(1\.3 GB.*seed-tts-eval"):
        WavlmEcapa(str(tmp_path), "0" * 64)
    with pytest.raises(InputError, match=f"has sha256 {sha256_path(folder)}"):
        SmallWavlmEcapa(str(folder), "0" * 64)
    # The file of a small network is not the published one.
    with pytest.raises(InputError, match="lacks tensor"):
        WavlmEcapa(str(folder), sha256_path(folder))
    torch.save({"weights": {}}, tmp_path / "wavlm_large_finetune.pth")
    with pytest.raises(InputError, match="no tensors under 'model'"):
        SmallWavlmEcapa(str(tmp_path), sha256_path(tmp_path))
    (tmp_path / "wavlm_large_finetune.pth").write_bytes(Path(folder / "wavlm_large_finetune.pth").read_bytes()[:4_000])
    with pytest.raises(InputError, match="cut short"):
        SmallWavlmEcapa(str(tmp_path), sha256_path(tmp_path))
