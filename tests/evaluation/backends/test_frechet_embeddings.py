"""Embeddings for Fréchet distances: preparation and networks against slow definitions, and figures of a run."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from nava.evaluation.backends.avbench_sound import beginning
from nava.evaluation.backends.panns import CHECKPOINT as PANNS
from nava.evaluation.backends.panns import MIN_SAMPLES, PannsCnn14, read_panns
from nava.evaluation.backends.passt_input import log_mel
from nava.evaluation.backends.vggish import CHECKPOINT as VGGISH
from nava.evaluation.backends.vggish import Vggish
from nava.evaluation.backends.vggish_input import examples
from nava.evaluation.benchmark.item import Item
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.extractor import ENTRIES
from nava.evaluation.extraction.feature_cache import FeatureCache
from nava.evaluation.extraction.features import UnmeasurableError
from nava.evaluation.extraction.unit import extract
from nava.evaluation.run import score as run
from nava.evaluation.run.score import ScoringSettings, score_outputs
from nava.evaluation.scoring.frechet import frechet_distance
from nava.generation.media import write_wav
from nava.runtime.errors import InputError
from tests.evaluation.backends.embedding_checkpoints import (
    SmallPanns,
    SmallPasstEmbedding,
    SmallVggish,
    panns_tensors,
    settings_of,
    write_panns,
    write_vggish,
)
from tests.evaluation.backends.sound_checkpoints import write_passt
from tests.evaluation.benchmark_items import a_task

RATE = 16_000
HERE = "tests.evaluation.backends.embedding_checkpoints"
METRICS = ("fd.frechet_panns", "fd.frechet_passt", "fd.frechet_vggish")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    return {
        "panns_cnn14_16k": write_panns(folder / "panns"),
        "vggish": write_vggish(folder / "vggish"),
        "passt_embedding": settings_of(write_passt(folder / "passt")),
    }


def recording(path, seconds, seed=0, offset=0.0, rate=RATE):
    noise_N = 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * rate)) + offset
    write_wav(path, noise_N.astype(np.float32), rate)
    return ClipFile(path)


def test_ten_seconds_without_the_mean_of_all_of_it(tmp_path):
    clip = recording(tmp_path / "long.wav", 12, offset=0.2)
    whole_N = clip.samples_at(RATE)
    found_N = beginning(clip, RATE)
    assert len(found_N) == 10 * RATE
    np.testing.assert_allclose(found_N, whole_N[: 10 * RATE] - whole_N.mean(), atol=1e-6)
    assert len(beginning(recording(tmp_path / "short.wav", 0.5), RATE)) == RATE // 2


def panns_by_the_book(t, samples_N):
    t = {name: tensor.double() for name, tensor in t.items()}
    padded = np.concatenate([samples_N[256:0:-1], samples_N, samples_N[-2:-258:-1]]).astype(np.float64)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    starts = range(0, len(samples_N) + 1, 160)
    power = [np.abs(np.fft.rfft(padded[start : start + 512] * window)) ** 2 for start in starts]
    mel = torch.from_numpy(np.array(power)) @ t["logmel_extractor.melW"]
    x = 10 * torch.log10(mel.clamp_min(1e-10))[None, None]

    def norm(x, name, axis):
        shape = [1] * 4
        shape[axis] = -1
        part = lambda key: t[f"{name}.{key}"].view(shape)  # noqa: E731
        return (x - part("running_mean")) / (part("running_var") + 1e-5).sqrt() * part("weight") + part("bias")

    x = norm(x, "bn0", 3)
    for number in range(1, 7):
        for half in (1, 2):
            x = F.conv2d(x, t[f"conv_block{number}.conv{half}.weight"], padding=1)
            x = norm(x, f"conv_block{number}.bn{half}", 1).relu()
        if number < 6:
            rows, columns = x.shape[2] // 2, x.shape[3] // 2
            x = x[:, :, : 2 * rows, : 2 * columns].reshape(1, -1, rows, 2, columns, 2).mean((3, 5))
    over_time = x[0].mean(2)
    pooled = over_time.max(1).values + over_time.mean(1)
    return (t["fc1.weight"] @ pooled + t["fc1.bias"]).relu()


def test_cnn14_is_what_the_published_structure_gives(settings, tmp_path):
    clip = recording(tmp_path / "a.wav", 0.9, 1)
    found_D = SmallPanns(**settings["panns_cnn14_16k"]).extract(clip).arrays["embedding_D"]
    expected_D = panns_by_the_book(panns_tensors(), beginning(clip, RATE))
    np.testing.assert_allclose(found_D, expected_D.numpy(), rtol=1e-4, atol=1e-4)
    assert (found_D > 0).sum() >= 2


def test_cnn14_says_when_a_sound_is_too_short_for_its_poolings(settings, tmp_path):
    backend = SmallPanns(**settings["panns_cnn14_16k"])
    assert MIN_SAMPLES == 4960
    with pytest.raises(UnmeasurableError, match=r"lasts 0\.25 s; CNN14 needs 0\.31 s"):
        backend.extract(recording(tmp_path / "short.wav", 0.25))
    assert backend.extract(recording(tmp_path / "enough.wav", MIN_SAMPLES / RATE)).arrays["embedding_D"].shape == (8,)


def test_vggish_hears_log_mel_magnitudes_of_whole_examples():
    samples_N, frame = 0.1 * np.random.default_rng(2).standard_normal(2 * RATE), 100
    mel = lambda hertz: 1127 * np.log(1 + hertz / 700)  # noqa: E731
    window = [0.5 - 0.5 * np.cos(2 * np.pi * n / 400) for n in range(400)]
    padded = np.concatenate([samples_N[frame * 160 : frame * 160 + 400] * window, np.zeros(112)])
    magnitude = np.abs(np.fft.fft(padded)[:257])
    corners = np.linspace(mel(125), mel(7500), 66)
    places = mel(np.arange(257) * RATE / 512)
    expected = []
    for low, centre, high in zip(corners, corners[1:], corners[2:], strict=False):
        weight = np.interp(places, [low, centre, high], [0, 1, 0])
        expected.append(np.log(weight @ magnitude + 0.01))
    found = examples(samples_N)
    assert (found.shape, found.dtype) == ((2, 96, 64), np.float32)
    np.testing.assert_allclose(found[1, frame - 96], expected, atol=1e-5)
    # 96 frames of 10 ms, the last of which lasts 25 ms.
    assert [len(examples(samples_N[:count])) for count in (15_600, 15_600 + 15_359, 15_600 + 15_360)] == [1, 1, 2]


def vggish_by_the_book(t, picture_TM):
    x = picture_TM[None, None]
    for layer, halved in ((0, 1), (3, 1), (6, 0), (8, 1), (11, 0), (13, 1)):
        x = F.conv2d(x, t[f"features.{layer}.weight"], t[f"features.{layer}.bias"], padding=1).relu()
        if halved:
            x = torch.stack([x[..., a::2, b::2] for a in (0, 1) for b in (0, 1)]).amax(0)
    x = torch.stack([x[0, :, row, column] for row in range(6) for column in range(4)]).flatten()
    for layer in (0, 2, 4):
        x = t[f"embeddings.{layer}.weight"] @ x + t[f"embeddings.{layer}.bias"]
        x = x.relu() if layer < 4 else x
    return x


def test_vggish_is_what_the_published_structure_gives_without_a_last_relu(settings, tmp_path):
    clip = recording(tmp_path / "a.wav", 2.2, 3)
    found_WD = SmallVggish(**settings["vggish"]).extract(clip).arrays["embeddings_WD"]
    tensors = torch.load(f"{settings['vggish']['weights']}/{VGGISH.file}", weights_only=True)
    pictures = torch.from_numpy(examples(beginning(clip, RATE)))
    assert found_WD.shape == (2, 4)
    for found_D, picture_TM in zip(found_WD, pictures, strict=True):
        np.testing.assert_allclose(found_D, vggish_by_the_book(tensors, picture_TM).numpy(), rtol=1e-4, atol=1e-5)
    assert (found_WD < 0).any()
    with pytest.raises(UnmeasurableError, match=r"VGGish needs 0\.975 s"):
        SmallVggish(**settings["vggish"]).extract(recording(tmp_path / "short.wav", 0.9))


def test_passt_is_asked_before_its_head_about_ten_seconds_as_loud_as_they_are(settings, tmp_path):
    backend = SmallPasstEmbedding(**settings["passt_embedding"])
    clip = recording(tmp_path / "a.wav", 2, 4, rate=32_000)
    found_D = backend.extract(clip).arrays["embedding_D"]
    padded_N = np.zeros(320_000, np.float32)
    padded_N[:64_000] = clip.samples_at(32_000) - clip.samples_at(32_000).mean()
    with torch.inference_mode():
        picture_MT = torch.from_numpy(log_mel(padded_N))
        logits_K = backend._network(picture_MT)
        head_K = backend._network.head(torch.from_numpy(found_D))
    assert found_D.shape == (16,)
    np.testing.assert_allclose(head_K.numpy(), logits_K.numpy(), rtol=1e-4, atol=1e-5)


def test_the_published_layouts():
    with torch.device("meta"):
        cnn14 = {name: tuple(tensor.shape) for name, tensor in PannsCnn14.build().state_dict().items()}
        vggish = {name: tuple(tensor.shape) for name, tensor in Vggish.build().state_dict().items()}
    assert len(cnn14) == 3 + 5 + 6 * (2 + 2 * 5) + 4
    shapes = {
        "spectrogram_extractor.stft.conv_real.weight": (257, 1, 512),
        "spectrogram_extractor.stft.conv_imag.weight": (257, 1, 512),
        "logmel_extractor.melW": (257, 64),
        "bn0.running_mean": (64,),
        "bn0.num_batches_tracked": (),
        "conv_block1.conv1.weight": (64, 1, 3, 3),
        "conv_block2.conv1.weight": (128, 64, 3, 3),
        "conv_block6.conv2.weight": (2048, 2048, 3, 3),
        "conv_block6.bn2.running_var": (2048,),
        "fc1.weight": (2048, 2048),
        "fc_audioset.weight": (527, 2048),
    }
    assert {name: cnn14.get(name) for name in shapes} == shapes
    expected = {}
    channels = {0: (64, 1), 3: (128, 64), 6: (256, 128), 8: (256, 256), 11: (512, 256), 13: (512, 512)}
    for layer, (target, source) in channels.items():
        expected |= {f"features.{layer}.weight": (target, source, 3, 3), f"features.{layer}.bias": (target,)}
    for layer, (target, source) in {0: (4096, 12_288), 2: (4096, 4096), 4: (128, 4096)}.items():
        expected |= {f"embeddings.{layer}.weight": (target, source), f"embeddings.{layer}.bias": (target,)}
    assert vggish == expected


def test_arrays_beside_the_tensors_of_panns_are_let_pass_and_code_is_not(tmp_path):
    class Surprise:
        def __reduce__(self):
            return (print, ("opened",))

    torch.save({"model": panns_tensors(), "sampler": Surprise()}, tmp_path / "code.pth")
    with pytest.raises(InputError, match="code or objects besides tensors"):
        read_panns(tmp_path / "code.pth")
    torch.save(panns_tensors(), tmp_path / "plain.pth")
    with pytest.raises(InputError, match="no tensors under 'model'"):
        read_panns(tmp_path / "plain.pth")
    fewer = write_panns(tmp_path / "fewer", lambda tensors: tensors.pop("conv_block6.bn2.running_var"))
    with pytest.raises(InputError, match=r"lacks tensor 'conv_block6\.bn2\.running_var'"):
        SmallPanns(**fewer)
    with pytest.raises(InputError, match=r"Cnn14_16k_mAP=0\.438\.pth .*zenodo"):
        PannsCnn14(str(tmp_path / "nothing"), "0" * 64)
    assert PANNS.file in str(next((tmp_path / "fewer").iterdir()))


def test_figures_are_frechet_distances_of_the_rows_of_all_files(settings, tmp_path, monkeypatch):
    """VGGish has several rows for a file, and not as many for each: all of them are in its sets."""
    small = {"panns_cnn14_16k": "SmallPanns", "vggish": "SmallVggish", "passt_embedding": "SmallPasstEmbedding"}
    for name, kind in small.items():
        monkeypatch.setitem(ENTRIES, name, replace(ENTRIES[name], place=f"{HERE}:{kind}"))
    monkeypatch.setattr(run, "extract_all", lambda units, *_: ((unit, extract(unit)) for unit in units))
    items, outputs, rows = [], {}, ([], [])
    judge = SmallVggish(**settings["vggish"])
    for number in range(4):
        paths = tmp_path / f"made{number}.wav", tmp_path / f"true{number}.wav"
        for side, (path, seconds) in enumerate(zip(paths, (1.2 + number, 2.2), strict=True)):
            rows[side].append(judge.extract(recording(path, seconds, 10 * side + number)).arrays["embeddings_WD"])
        items.append(Item(f"item{number}", "one", "noise", reference_audio=paths[1]))
        outputs[f"item{number}"] = paths[0]
    cache, quietly = FeatureCache(tmp_path / "cache", settings), lambda things, *_: things
    found = score_outputs(a_task(*METRICS), items, outputs, cache, ScoringSettings(workers=1), quietly)
    figures = {figure.metric: figure for figure in found.figures}
    assert set(figures) == set(METRICS)
    made_ND, true_ND = (np.concatenate(side) for side in rows)
    assert (len(made_ND), len(true_ND)) == (1 + 2 + 3 + 4, 8)
    assert figures["fd.frechet_vggish"].value == pytest.approx(frechet_distance(made_ND, true_ND).score.value)
    for figure in figures.values():
        assert figure.value > 0
        assert (figure.n, figure.eligible, figure.tier, figure.unproven) == (4, 4, "paper", True)
        assert figure.ci_low < figure.ci_high
    outputs = {item.item_id: item.reference_audio for item in items}
    same = score_outputs(a_task(*METRICS), items, outputs, cache, ScoringSettings(workers=1), quietly)
    for figure in same.figures:
        assert figure.value == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("first", "second"), [(5, 4), (3, 11), (2, 2)])
def test_few_rows_give_the_distance_that_covariances_give(first, second):
    """Fewer rows than dimensions are computed another way: by hand from covariances and the root of their product."""
    rng = np.random.default_rng(0)
    first_ND, second_MD = rng.standard_normal((first, 12)), 2 * rng.standard_normal((second, 12)) + 1
    product = np.cov(first_ND.T) @ np.cov(second_MD.T)
    shared = np.sqrt(np.maximum(np.linalg.eigvals(product).real, 0)).sum()
    difference = first_ND.mean(0) - second_MD.mean(0)
    expected = difference @ difference + first_ND.var(0, ddof=1).sum() + second_MD.var(0, ddof=1).sum() - 2 * shared
    assert frechet_distance(first_ND, second_MD).score.value == pytest.approx(expected, rel=1e-5)
