import math

import pytest
import torch

from nava.model.rope import apply_rope, audio_rotations, axis_pairs, joint_rotations, video_rotations


@pytest.mark.parametrize(("head_dim", "pairs"), [(128, (22, 21, 21)), (24, (4, 4, 4)), (16, (4, 2, 2))])
def test_shares_of_the_axes(head_dim, pairs):
    assert axis_pairs(head_dim) == pairs
    assert sum(pairs) == head_dim // 2


def test_odd_head_is_refused():
    with pytest.raises(ValueError, match="head_dim must be even"):
        axis_pairs(9)


def test_video_rotation_of_every_token_by_the_formula():
    rotations = video_rotations(24, (3, 2, 2))
    token = 0
    for t in range(3):
        for h in range(2):
            for w in range(2):
                angles = [position * 10000 ** (-2 * j / 8) for position in (t, h, w) for j in range(4)]
                expected = torch.tensor([complex(math.cos(a), math.sin(a)) for a in angles], dtype=torch.complex64)
                torch.testing.assert_close(rotations[token], expected)
                token += 1


def test_audio_rotates_the_temporal_pairs_alone_at_the_video_rate():
    rotations = audio_rotations(24, 30, 0.24)
    for index in (0, 1, 29):
        angles = [0.24 * index * 10000 ** (-2 * j / 8) for j in range(4)] + [0.0] * 8
        expected = torch.tensor([complex(math.cos(a), math.sin(a)) for a in angles], dtype=torch.complex64)
        torch.testing.assert_close(rotations[index], expected)


def test_audio_of_the_same_second_turns_like_video():
    # 25 audio latents and 6 video latents make one second.
    audio, video = audio_rotations(24, 26, 0.24), video_rotations(24, (7, 1, 1))
    torch.testing.assert_close(audio[25, :4], video[6, :4])


def test_apply_rotates_interleaved_pairs():
    x = torch.randn(2, 5, 3, 8, generator=torch.Generator().manual_seed(0))
    angle = torch.linspace(0, 3, 5)[:, None] * torch.tensor([1.0, 0.5, 0.1, 0.0])
    rotated = apply_rope(x, torch.polar(torch.ones(5, 4), angle))
    for pair in range(4):
        cos, sin = angle[:, pair].cos()[:, None], angle[:, pair].sin()[:, None]
        real, imaginary = x[..., 2 * pair], x[..., 2 * pair + 1]
        torch.testing.assert_close(rotated[..., 2 * pair], real * cos - imaginary * sin)
        torch.testing.assert_close(rotated[..., 2 * pair + 1], real * sin + imaginary * cos)


def test_scores_depend_on_distance_only():
    q, k = torch.randn(2, 1, 1, 1, 24, generator=torch.Generator().manual_seed(1))
    rotations = audio_rotations(24, 20, 0.24)

    def score(i, j):
        return (apply_rope(q, rotations[i : i + 1]) * apply_rope(k, rotations[j : j + 1])).sum()

    torch.testing.assert_close(score(3, 7), score(13, 17))
    assert not torch.isclose(score(3, 7), score(3, 12))


def test_keeps_the_dtype():
    x = torch.randn(1, 4, 2, 24).bfloat16()
    assert apply_rope(x, audio_rotations(24, 4, 0.24)).dtype == torch.bfloat16


@pytest.mark.parametrize(("grid", "length"), [((3, 2, 4), 7), ((3, 2, 4), 0), ((0, 0, 0), 7)])
def test_joint_table_is_video_then_audio(grid, length):
    joint = joint_rotations(24, grid, length, 0.24)
    assert torch.equal(joint, torch.cat([video_rotations(24, grid), audio_rotations(24, length, 0.24)]))


def test_tables_are_made_once_for_each_shape_and_device():
    tables = [
        lambda device: video_rotations(24, (2, 5, 3), device),
        lambda device: audio_rotations(24, 17, 0.24, device),
        lambda device: joint_rotations(24, (2, 5, 3), 17, 0.24, device),
    ]
    for table in tables:
        cpu, meta = torch.device("cpu"), torch.device("meta")
        assert table(cpu) is table(cpu)
        assert table(meta).device.type == "meta"
        assert table(cpu).dtype == torch.complex64


def test_tables_do_not_follow_the_callers_default_device():
    with torch.device("meta"):
        assert video_rotations(24, (2, 7, 3)).device.type == "cpu"


def test_compiled_rotation_is_the_same():
    x = torch.randn(2, 6, 2, 24, generator=torch.Generator().manual_seed(2))
    rotations = video_rotations(24, (3, 2, 1))
    compiled = torch.compile(apply_rope, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, rotations), apply_rope(x, rotations), atol=1e-6, rtol=1e-6)
