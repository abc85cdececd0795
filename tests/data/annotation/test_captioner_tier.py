"""Which clips go to the model with temporal grounding."""

import pytest

from nava.config.annotation import GroundingConfig
from nava.data.annotation.captioner import Captioner, TieredCaptioner, is_of_tier
from tests.data.annotation.kept_clips import task_of, write_clip

GOOD = {"sharpness": 20.0, "source_height": 1080}


@pytest.mark.parametrize(
    ("config", "row", "expected"),
    [
        (GroundingConfig(), {"speakers": 3, **GOOD}, False),
        (GroundingConfig(multi_speaker=True), {"speakers": 2}, True),
        (GroundingConfig(multi_speaker=True), {"speakers": 1, **GOOD}, False),
        (GroundingConfig(multi_speaker=True), {"speakers": None}, False),
        (GroundingConfig(high_quality=True), {"speakers": 2}, False),
        (GroundingConfig(high_quality=True), GOOD, True),
        (GroundingConfig(high_quality=True), GOOD | {"sharpness": 11.9}, False),
        (GroundingConfig(high_quality=True), GOOD | {"source_height": 719}, False),
        (GroundingConfig(high_quality=True), {"sharpness": None, "source_height": None}, False),
        (GroundingConfig(multi_speaker=True, high_quality=True), {"speakers": 2}, True),
    ],
)
def test_tier(config, row, expected):
    assert is_of_tier(row, config) is expected


class Named(Captioner):
    def __init__(self, name):
        self.name = name

    def caption(self, task, clip):
        return self.name


def test_each_clip_goes_to_its_own_captioner(tmp_path):
    tiered = TieredCaptioner(Named("usual"), Named("grounded"), GroundingConfig(multi_speaker=True))
    clips = [write_clip(tmp_path, f"c{speakers}", has_picture=False, speakers=speakers) for speakers in (1, 2)]
    assert [tiered.caption(task_of(tmp_path), clip) for clip in clips] == ["usual", "grounded"]
