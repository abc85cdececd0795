"""The page of an ablation: every figure with its interval, and plain words where there is none."""

from typing import Any

from nava.pages.ablation_page import estimate_words, render_ablation

LABELS = {"align_then_fuse": "HAL + UFL", "hal_only": "HAL only", "trimodal": "fully <unified>"}


def estimate(value: float | None, half: float | None = None, n: int = 3) -> dict[str, Any]:
    if value is None or half is None:
        return {"value": value, "ci_low": None, "ci_high": None, "n": n}
    return {"value": value, "ci_low": value - half, "ci_high": value + half, "n": n}


def table_of(half: float | None = 0.05, gap: float | None = 0.004) -> dict[str, Any]:
    variants = {}
    for number, (name, label) in enumerate(LABELS.items()):
        figures = {
            "video_loss": estimate(1.2344 + number, half),
            "audio_loss": estimate(0.8, half),
            "synchrony_gap": estimate(gap, half),
        }
        differences: dict[str, Any] = dict.fromkeys(figures, None)
        if number:
            # Worse for certain, better for certain, and nothing to say.
            differences = {
                "video_loss": estimate(0.2, half),
                "audio_loss": estimate(-0.2, half),
                "synchrony_gap": estimate(gap, half),
            }
        variants[name] = {
            "label": label,
            "architecture": "align_then_fuse",
            "layers": {"num_hal_layers": 2, "num_final_hal_layers": 0},
            "parameters": 1_062_016 - 50_000 * number,
            "figures": figures,
            "differences": differences,
        }
    return {
        "reference": "align_then_fuse",
        "seeds": [0, 1, 2] if half else [0],
        "n": 3 if half else 1,
        "shared": {"steps": [160, 350, 700], "sigmas": [0.2, 0.5]},
        "clips": 48,
        "split": "heldout",
        "variants": variants,
    }


SPEED = {name: estimate(0.25, 0.01) for name in LABELS}


def test_the_table_has_every_figure_with_its_interval() -> None:
    html = render_ablation(table_of(), SPEED)
    for text in (
        "1.234",
        "[1.184, 1.284]",
        "1,062,016",
        "−4.7 %",
        "250 ms",
        "2 hal layers",
        "n = 3",
        "160 + 350 + 700",
    ):
        assert text in html, text
    assert "0 final hal layers" not in html
    assert "fully &lt;unified&gt;" in html
    assert "fully <unified>" not in html


def test_a_difference_is_coloured_only_where_it_leaves_out_zero() -> None:
    html = render_ablation(table_of(), SPEED)
    assert html.count('class="dot tone-bad"') == 2, "video: higher is worse"
    assert html.count('class="dot tone-good"') == 2, "audio: lower is better"
    assert html.count('class="dot tone-neutral"') == 2, "the gap's interval holds zero"


def test_a_larger_gap_is_better() -> None:
    assert render_ablation(table_of(gap=0.4), SPEED).count('class="dot tone-good"') == 4


def test_one_seed_is_said_to_have_no_interval() -> None:
    html = render_ablation(table_of(half=None), SPEED)
    assert "one seed: no interval" in html
    assert html.count("No intervals: it takes at least two seeds") == 3
    assert "n = 1 seed with" in html


def test_what_was_not_measured_is_said() -> None:
    html = render_ablation(table_of(gap=None), SPEED)
    assert "not measured" in html
    assert estimate_words(estimate(None)) == ("–", "not measured")


def test_training_clips_are_not_called_held_out() -> None:
    table = table_of() | {"split": "train"}
    assert "of training: the corpus holds none out" in render_ablation(table, SPEED)


def test_digits_follow_the_width_of_the_interval() -> None:
    assert estimate_words(estimate(0.00404, 0.000088)) == ("0.004040", "[0.003952, 0.004128]")
    assert estimate_words(estimate(123.4, 25.0)) == ("123", "[98, 148]")
    assert estimate_words(estimate(0.0, 2e-13)) == ("0.000000", "[0.000000, 0.000000]")
    assert estimate_words(estimate(0.5, 0.0)) == ("0.5000", "[0.5000, 0.5000]")
