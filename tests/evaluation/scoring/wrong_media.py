"""Mistakes in scores of pictures and sounds without a network, and in the overall score."""

import numpy as np

from nava.evaluation.scoring import av_alignment, picture_quality, sound_quality, versebench_overall
from tests.evaluation.scoring.trial import Trial, close


def align_cases(score):
    close(score([1.0, 2.0], [1.03, 2.5]), 1 / 3)
    close(score([1.0, 1.02], [1.01]), 1 / 2)
    close(score([1.0], [1.04]), 0.0)


def align_many_to_one(heard, seen):
    hits = sum(any(abs(a - b) < 1 / 25 for b in seen) for a in heard)
    return hits / (len(heard) + len(seen) - hits)


def lag_cases(lag):
    noise = np.random.default_rng(0).normal(size=200)
    assert [lag(noise[50:150], noise[50 - k : 150 - k]) for k in (-4, 0, 3)] == [-4, 0, 3]


def lag_of(motion, energy):
    return round(25 * av_alignment.correlation_offset(motion[:, None], energy, 25.0).offset_s.value)


def lag_of_raw_product(motion, energy):
    """Without taking the mean off."""
    products = [
        (motion[max(0, -k) : 100 - max(0, k)] + 9) @ (energy[max(0, k) : 100 - max(0, -k)] + 9) for k in range(-15, 16)
    ]
    return int(np.argmax(products)) - 15


def flicker_cases(score):
    close(score([10, 20, 30, 40]), 0.0)
    close(score([50, 70, 50, 70, 50]), 20.0)


def flicker(levels):
    frames = np.broadcast_to(np.array(levels, np.uint8)[:, None, None, None], (len(levels), 4, 4, 3))
    return picture_quality.flicker(frames).value


def colour_cases(score):
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[:, :2], frame[:, 2:] = (255, 0, 0), (0, 255, 0)
    close(score(frame), 255 + 0.3 * 127.5)


def colour_without_mean(frame):
    red, green, blue = np.moveaxis(frame.astype(float), 2, 0)
    return np.hypot((red - green).std(), ((red + green) / 2 - blue).std())


def colour_wrapping(frame):
    red, green, blue = np.moveaxis(frame, 2, 0)
    rg, yb = (red - green).astype(float), (((red + green) // 2) - blue).astype(float)
    return np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())


def sharp_cases(score):
    y, x = np.mgrid[:10, :10]
    close(score(((y + x) % 2) * 100), 400.0**2)
    close(score(x * 20), 0.0)


def sharpness(levels_HW):
    return picture_quality.sharpness(np.repeat(levels_HW.astype(np.uint8)[None, ..., None], 3, axis=3))[0]


def clip_cases(score):
    close(score(np.array([1.0, -1.0, 0.985, 0.98, 0.0, -0.99, 0.2, 0.0])), 0.5)


def overall_cases(score):
    worst = {name: bounds[0] for name, bounds in versebench_overall.BOUNDS.items()}
    close(score(worst | {"CS": 0.5, "AV-A": 0.75}), 0.2 * 0.5 / 7 + 0.5 / 3)  # 1/3 is the harmonic mean of 1/2, 1/4
    close(score(worst | {"PC": 1.0, "FD": -2.0}), 0.2 * 2 / 7)
    assert score({name: value for name, value in worst.items() if name != "KL"}) is None


def overall(values):
    return versebench_overall.overall_score(values).overall.value


def overall_arithmetic(values):
    if len(values) < len(versebench_overall.BOUNDS):
        return None
    normal = {name: versebench_overall.normalised(name, value) for name, value in values.items()}
    parts = {"video": versebench_overall.VIDEO, "audio": versebench_overall.AUDIO, "other": versebench_overall.OTHER}
    parts["joint"] = ("CS", "AV-A")
    return sum(
        versebench_overall.WEIGHTS[key] * np.mean([normal[one] for one in names]) for key, names in parts.items()
    )


TRIALS = {
    "av-align": Trial(
        align_cases,
        lambda a, b: av_alignment.av_align(np.array(a), np.array(b), 25.0).value,
        {
            "many to one": align_many_to_one,
            "F1": lambda a, b: av_alignment.onset_f1(np.array(a), np.array(b), 1 / 25.001),
            "two frames": lambda a, b: av_alignment.av_align(np.array(a), np.array(b), 12.5).value,
        },
    ),
    "lag": Trial(
        lag_cases,
        lag_of,
        {"sign": lambda m, e: -lag_of(m, e), "no mean taken off": lag_of_raw_product},
    ),
    "flicker": Trial(
        flicker_cases,
        flicker,
        {
            "mean step": lambda levels: np.abs(np.diff(levels)).mean(),
            "deviation": np.std,
            "second difference": lambda levels: np.abs(np.diff(levels, n=2)).mean(),
        },
    ),
    "colourfulness": Trial(
        colour_cases,
        lambda frame: picture_quality.colourfulness(frame[None])[0],
        {
            "no mean": colour_without_mean,
            "bytes wrap": colour_wrapping,
            "red and blue swapped": lambda f: picture_quality.colourfulness(f[None, ..., ::-1])[0],
        },
    ),
    "sharpness": Trial(
        sharp_cases,
        sharpness,
        {
            "deviation": lambda levels: np.sqrt(sharpness(levels)),
            "gradient": lambda levels: np.diff(levels, axis=1).var(),
            "mean square of steps": lambda levels: (np.diff(levels, axis=1) ** 2).mean(),
        },
    ),
    "clipping": Trial(
        clip_cases,
        lambda samples: sound_quality.clipping_share(samples).value,
        {"one sign": lambda s: (s >= 0.985).mean(), "beyond only": lambda s: (np.abs(s) > 1.0).mean()},
    ),
    "overall": Trial(
        overall_cases,
        overall,
        {
            "arithmetic mean of both": overall_arithmetic,
            "mean over what is there": lambda v: overall({"KL": 4.0, **v}),
            "not cut off": lambda v: overall(v) and overall(v) + 0.2 / 7 * max(0.0, -v["FD"] / 3),
        },
    ),
}
