"""The estimate beside the published figure: every explanation, put into the recipe, gives what it says."""

from dataclasses import replace

import pytest

from nava.config.composition import compose
from nava.training.estimate.parameters import Parameters, count_parameters
from nava.training.estimate.published import PUBLISHED, Comparison, compare, total_hours
from nava.training.estimate.settings import RunSettings
from tests.training.estimate.small_run import small_run


@pytest.fixture(scope="module")
def paper() -> tuple[RunSettings, Parameters, Comparison]:
    settings = RunSettings.of(compose("paper").config)
    parameters = count_parameters(settings.model, settings.training.lora)
    found = compare("paper", settings, parameters)
    assert found is not None
    return settings, parameters, found


def test_the_published_figure_is_that_of_the_paper() -> None:
    assert (PUBLISHED["paper"].gpu_hours, PUBLISHED["paper"].gpus) == (107_520, 160)
    # 28 days, to the hour.
    assert 107_520 / 160 == 28 * 24


def test_nothing_was_published_of_the_demo() -> None:
    settings = small_run()
    assert compare("demo", settings, count_parameters(settings.model, settings.training.lora)) is None


def test_the_implied_utilisation_gives_the_published_hours(paper: tuple[RunSettings, Parameters, Comparison]) -> None:
    settings, parameters, found = paper
    cluster = replace(settings.cluster, assumed_mfu=found.implied_hardware_utilisation)
    hours = total_hours(replace(settings, cluster=cluster), parameters)
    # Communication comes on top of what is computed.
    assert hours == pytest.approx(found.published.gpu_hours, rel=0.01)
    assert found.implied_mfu == pytest.approx(found.implied_hardware_utilisation * 3 / 4, rel=0.01)


def test_the_clips_that_explain_the_difference_do(paper: tuple[RunSettings, Parameters, Comparison]) -> None:
    settings, parameters, found = paper
    assert found.seconds_that_explain is not None
    frames = round(found.seconds_that_explain * settings.clip.fps)

    def hours(count: int) -> float:
        return total_hours(replace(settings, clip=replace(settings.clip, frame_counts=[count])), parameters)

    assert hours(frames - 4) < found.published.gpu_hours <= hours(frames)


def test_parts_of_the_difference(paper: tuple[RunSettings, Parameters, Comparison]) -> None:
    settings, parameters, found = paper
    assert found.estimated_hours == total_hours(settings, parameters)
    assert found.hours_without_recomputation < found.estimated_hours < found.hours_all_audio_video
    assert found.ratio == found.estimated_hours / 107_520
    trained = 107_520 * 128 / 160
    assert found.utilisation_if_both == pytest.approx(0.4 * found.hours_all_audio_video / trained)


def test_no_clip_explains_a_figure_that_is_out_of_reach() -> None:
    settings = small_run()
    parameters = count_parameters(settings.model, settings.training.lora)
    found = compare("paper", settings, parameters)
    assert found is not None
    assert (found.seconds_that_explain, found.tokens_that_explain) == (None, None)
