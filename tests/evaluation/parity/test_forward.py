"""Model arguments from golden files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nava.evaluation.parity.comparison import compare
from nava.evaluation.parity.forward import (
    forward_inputs,
    pad_text,
    recognise,
    speaker_slots,
    stack_padded,
    velocity_pairs,
)
from nava.evaluation.parity.golden_set import Case, GoldenSet

GOLDENS = GoldenSet(Path(__file__).parents[2] / "data" / "goldens")
TEXT_LEN = GOLDENS.config["text_len"]


def arguments(name: str) -> dict[str, torch.Tensor]:
    return forward_inputs(GOLDENS.case(name), TEXT_LEN).arguments


def context(case: Case, prefix: str) -> torch.Tensor:
    return pad_text(case.samples(prefix), TEXT_LEN)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("a2_joint_diffctx", "in.ctx_vid"),
        ("c_audio_only_t2a", "in.ctx_audio"),
        ("e_joint_timbre", "in.ctx_audio"),
        ("e3_joint_timbre_nopos", "in.ctx_audio"),
    ],
)
def test_which_context_the_release_uses(name: str, prefix: str) -> None:
    assert arguments(name)["text_BND"].equal(context(GOLDENS.case(name), prefix))


def test_single_modalities_leave_the_other_out() -> None:
    assert arguments("c_audio_only_t2a")["video_BCTHW"] is None
    assert arguments("d_video_only_t2v")["audio_BLC"] is None


def test_unequal_samples_are_padded_and_their_sizes_given() -> None:
    given = arguments("g_batch2")
    assert given["video_BCTHW"].shape == (2, 12, 3, 6, 6)
    assert given["video_size_B3"].tolist() == [[3, 4, 6], [2, 6, 4]]
    assert given["audio_length_B"].tolist() == [9, 14]
    assert arguments("a_joint_t2av")["video_size_B3"] is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("f2_joint_masked_i2v", (True, True)),
        ("b_joint_ti2av", (False, True)),
        ("g3_batch2_masked", (True, False)),
        ("a_joint_t2av", (False, False)),
    ],
)
def test_flags(name: str, expected: tuple[bool, bool]) -> None:
    given = arguments(name)
    assert (given["mask_modality"], given["first_frame_clean"]) == expected


def test_speakers_go_to_rows_counted_over_the_batch() -> None:
    assert arguments("g2_batch2_timbre_i2v")["speaker_slot_S"].tolist() == [2, TEXT_LEN + 1, TEXT_LEN + 4]
    assert "speaker_SE" not in arguments("e3_joint_timbre_nopos")
    assert speaker_slots([[0], [], [3, 4]], 10).tolist() == [0, 23, 24]


@torch.no_grad()
@pytest.mark.parametrize("name", [case.name for case in GOLDENS.cases if recognise(case)])
def test_a_prepared_context_gives_what_the_released_code_gives(name: str) -> None:
    case = GOLDENS.case(name)
    model, given = GOLDENS.model(case), arguments(name)
    text_BND, speakers, slots = (given.pop(key, None) for key in ("text_BND", "speaker_SE", "speaker_slot_S"))
    assert text_BND is not None
    video, audio = model(text_BND=model.prepare(text_BND, speakers, slots), **given)
    errors = [compare(pair) for pair in velocity_pairs(case, video, audio)]
    assert {error.name for error in errors} == {name for name in case.tensors if name.startswith("out.")}
    assert [error for error in errors if not error.within] == []


def test_padding_is_zero_and_after_each_sample() -> None:
    stacked, sizes = stack_padded([torch.ones(2, 3), torch.ones(1, 4)])
    assert stacked.tolist() == [[[1, 1, 1, 0], [1, 1, 1, 0]], [[1, 1, 1, 1], [0, 0, 0, 0]]]
    assert sizes.tolist() == [[2, 3], [1, 4]]
    assert pad_text([torch.ones(1, 2)], 3).tolist() == [[[1, 1], [0, 0], [0, 0]]]


@pytest.mark.parametrize("part", ["own", "padding"])
def test_hidden_states_count_where_a_sample_has_tokens(
    part: str, subset: Callable[..., Path], changed: Callable[..., None]
) -> None:
    """Sample 1 of g_batch2 has 12 of 18 video tokens: token 3 is its own, token 15 is padding."""
    from nava.evaluation.parity.comparison import Verdict
    from nava.evaluation.parity.runner import run_set

    folder = subset("g_batch2")

    def disturb(tokens_BLD: torch.Tensor) -> None:
        tokens_BLD[1, 3 if part == "own" else 15] += 1.0

    changed(folder, "g_batch2", "mid.single_blocks.0.out", disturb)
    (result,) = run_set(folder)
    assert result.verdict is (Verdict.FAILED if part == "own" else Verdict.PASSED)


def test_a_wrong_time_embedding_of_one_token_is_seen(subset: Callable[..., Path], changed: Callable[..., None]) -> None:
    from nava.evaluation.parity.runner import run_set

    folder = subset("b_joint_ti2av")

    def disturb(e0_BLKD: torch.Tensor) -> None:
        e0_BLKD[0, 0] *= 1.01

    changed(folder, "b_joint_ti2av", "mid.e0_vid", disturb)
    (result,) = run_set(folder)
    assert result.reason == "1 of 10 tensors differ, mid.e0_vid most"
