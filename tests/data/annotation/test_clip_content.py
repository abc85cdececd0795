"""A clip's files as parts of a request."""

import pytest

from nava.config.annotation import EndpointConfig
from nava.data.annotation.clip_content import frame_numbers, picture_parts, sound_parts
from nava.data.annotation.request import Media, MediaKind
from tests.data.annotation.contract_stub import decode_media
from tests.data.annotation.kept_clips import write_clip


@pytest.mark.parametrize(
    ("n_frames", "count", "numbers"),
    [(49, 1, [24]), (48, 4, [6, 18, 30, 42]), (3, 8, [0, 1, 2]), (8, 8, list(range(8)))],
)
def test_frames_are_spread_evenly(n_frames, count, numbers):
    assert frame_numbers(n_frames, count) == numbers


def test_the_files_go_as_they_are(tmp_path):
    row = write_clip(tmp_path).row
    (video,) = picture_parts(tmp_path, row, EndpointConfig())
    (sound,) = sound_parts(tmp_path, row)
    assert video == Media(MediaKind.VIDEO, "video/mp4", (tmp_path / row["video_path"]).read_bytes())
    assert sound == Media(MediaKind.AUDIO, "audio/wav", (tmp_path / row["audio_path"]).read_bytes())
    assert video.sha256 == row["video_sha256"]


def test_frames_go_as_jpeg_images_behind_their_times(tmp_path):
    parts = picture_parts(tmp_path, write_clip(tmp_path).row, EndpointConfig(picture_input="frames", frames=2))
    assert parts[::2] == ["At 0.50 s:", "At 1.50 s:"]
    assert [decode_media("image", part.data) for part in parts[1::2]] == [(64, 64)] * 2
    assert {part.mime_type for part in parts[1::2]} == {"image/jpeg"}
    assert parts[1].data_uri.startswith("data:image/jpeg;base64,/9j/")
