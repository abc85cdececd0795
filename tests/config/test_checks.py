"""Values that no run could use are refused when a recipe is composed, before anything is written."""

import re

import pytest

from nava.config.composition import compose
from nava.runtime.errors import InputError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("promotion.policy=sometimes", "promotion.policy is 'sometimes'; it must be auto or manual"),
        ("promotion.min_n=0", "promotion.min_n is 0; it must be at least 1"),
        ("generation.steps=0", "generation.steps is 0; it must be at least 1"),
        ("generation.solver=heun", "generation.solver is 'heun'; it must be unipc or euler"),
        ("generation.guidance_base=none", "generation.guidance_base is 'none'"),
        ("generation.shift=0", "generation.shift is 0.0; it must be above 0"),
        ("latents.video.type=vae", "latents.video.type is 'vae'; it must be block_pca or block_dct"),
        ("latents.audio.type=vae", "latents.audio.type is 'vae'; it must be mel_pca"),
        ("curation.heldout_share=1.5", "curation.heldout_share is 1.5; it must be between 0 and 1"),
        ("curation.execution.workers=0", "curation.execution.workers is 0"),
        ("curation.clip.fps=12", "curation.clip.fps is 12; it must be 24"),
        ("curation.clip.frame_counts=[0]", "curation.clip.frame_counts is [0]"),
        ("curation.clip.buckets=[64]", "curation.clip.buckets is"),
        ("curation.clip.kept_sample_rate_hz=44100", "curation.clip.kept_sample_rate_hz is 44100"),
        ("curation.execution.executor=spark", "curation.execution.executor is"),
        ("curation.filters.max_static_ratio=-1", "curation.filters.max_static_ratio is -1.0"),
        ("synthetic.videos=-1", "synthetic.videos is -1; it must be at least 0"),
        ("synthetic.defects.quiet=-2", "synthetic.defects.quiet is -2"),
        ("synthetic.max_shots=1", "synthetic.max_shots is 1; it must be at least synthetic.min_shots, 3"),
        ("synthetic.flash_share=2", "synthetic.flash_share is 2.0"),
        ("synthetic.other_kinds=[]", "synthetic.other_kinds is []; it must be one or more of flash, impact"),
        ("synthetic.other_kinds=[impacts]", "synthetic.other_kinds is ['impacts']"),
        ("validation.max_not_kept_share=1.1", "validation.max_not_kept_share is 1.1"),
        ("validation.max_caption_characters=2", "validation.max_caption_characters is 2; it must be at least"),
        ("training.micro_batch_size=0", "training.micro_batch_size is 0; it must be at least 1"),
        ("evaluation.min_clips=1", "evaluation.min_clips is 1; it must be at least 2"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(override: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        compose("demo", [override])


def test_the_bounds_themselves_are_accepted() -> None:
    edges = [
        "curation.heldout_share=1",
        "synthetic.videos=0",
        "promotion.policy=manual",
        "latents.video.type=block_dct",
    ]
    assert compose("demo", edges).config["synthetic"]["videos"] == 0
