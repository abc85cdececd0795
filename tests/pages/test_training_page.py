"""The page of a stage's training."""

from pathlib import Path

from nava.pages.training_page import TrainingPage, charts, render_training
from tests.training.small_run import a_row

STATUS = {"recipe": "demo", "stage": 2, "state": "running", "step": 6, "steps": 20, "error": ""}


def page(**changes: object) -> TrainingPage:
    fields = {
        "status": STATUS,
        "tiles": [{"label": "Steps", "value": "6 of 20", "detail": "7 s left"}],
        "rows": [a_row(step) for step in range(1, 7)],
        "events": [(3, "spike", "clips <script>alert(1)</script>")],
        "validation": [(0.0, 4.0), (5.0, 3.5)],
        "facts": {"seed": 0},
        "config": '{"a": 1}',
    }
    return TrainingPage(**{**fields, **changes})


def test_curves_by_task_band_and_more_stand_in_it() -> None:
    titles = [chart.title for chart in charts(page().rows, page().validation) if chart.svg]
    assert titles == [
        "Loss",
        "Loss by modality",
        "Video loss by task",
        "Video loss by noise level",
        "Learning rate",
        "Gradient norm",
        "Speed",
        "Dropped and given",
    ]


def test_tasks_and_bands_are_told_apart() -> None:
    rows = [a_row(1, loss_ti2av_audio=1.0, loss_audio_noise=2.0)]
    legends = {chart.title: [label for label, _ in chart.legend] for chart in charts(rows, [])}
    assert legends["Video loss by task"] == ["T2AV"]
    assert legends["Audio loss by task"] == ["TI2AV"]
    assert legends["Audio loss by noise level"] == ["noise"]


def test_text_from_outside_is_escaped() -> None:
    html = render_training(page(status=STATUS | {"error": "<img src=x>"}))
    assert "<script>alert" not in html
    assert "<img src=x>" not in html
    assert "&lt;img" in html


def test_a_run_without_a_step_says_so() -> None:
    html = render_training(page(rows=[], events=[], validation=[]))
    assert "No step is done yet." in html
    assert "Nothing happened but steps." in html


def test_it_refers_to_nothing_outside_itself(tmp_path: Path) -> None:
    html = render_training(page())
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html
    assert "src=" not in html
