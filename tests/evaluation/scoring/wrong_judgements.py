"""Mistakes in what is made of votes."""

import numpy as np

from nava.evaluation.scoring import agreement, bradley_terry, judgements
from nava.evaluation.statistics import wilson
from tests.evaluation.scoring.trial import Trial, close


def gsb_cases(score):
    close([score(120, 50, 80), score(140, 30, 80), score(100, 50, 100)], [0.16, 0.24, 0.0])


def win_cases(interval):
    close(interval(120, 50, 80), (0.60, 0.5308, 0.6654), 2e-4)
    close(interval(140, 30, 80), (0.6364, 0.5710, 0.6971), 2e-4)


def win_rate(wins, ties, losses):
    found = judgements.win_rate(judgements.Tally(wins, ties, losses)).interval
    return found.value, found.ci_low, found.ci_high


def normal_interval(wins, ties, losses):
    n = wins + losses
    half = 1.96 * np.sqrt(wins * losses / n**3)
    return wins / n, wins / n - half, wins / n + half


def wilson_of(wins, n):
    found = wilson(wins, n)
    return found.value, found.ci_low, found.ci_high


def sign_cases(p):
    close([p(120, 50, 80), p(140, 30, 80), p(100, 50, 100)], [5.685e-3, 6.315e-5, 1.0], 1e-6)


def sign_one_sided(wins, ties, losses):
    return judgements._two_sided(min(wins, losses), wins + losses) / 2


def sign_normal(wins, ties, losses):
    from scipy.stats import norm

    return 2 * norm.sf(abs(wins - losses) / np.sqrt(wins + losses))


def strength_cases(fit):
    gap, tie_weight = fit(np.array([[0, 120], [80, 0]]), np.array([[0, 50], [0, 0]]))
    close(gap, np.log(1.5))
    close(tie_weight, 50 / np.sqrt(9600))


def strengths(wins, ties):
    found = bradley_terry.fit_counts(("a", "b"), wins, ties)
    return found.log_strength_M[0] - found.log_strength_M[1], found.tie_weight


def alpha_cases(alpha):
    pairs = {unit: list(pair) for unit, pair in enumerate(zip("0100000010", "1110010000"))}
    close(alpha(pairs), 0.095, 5e-3)
    close(alpha(pairs | {"alone": ["1"]}), 0.095, 5e-3)


def share_that_agree(units):
    return np.mean([len(set(answers)) == 1 for answers in units.values() if len(answers) > 1])


TRIALS = {
    "gsb": Trial(
        gsb_cases,
        lambda w, t, n: judgements.gsb(judgements.Tally(w, t, n)).value,
        {
            "ties not in the denominator": lambda w, t, n: (w - n) / (w + n),
            "ties as losses": lambda w, t, n: (w - n - t) / (w + t + n),
            "win share": lambda w, t, n: w / (w + t + n),
            "loss minus win": lambda w, t, n: (n - w) / (w + t + n),
        },
    ),
    "win rate": Trial(
        win_cases,
        win_rate,
        {
            "ties as losses": lambda w, t, n: wilson_of(w, w + t + n),
            "half ties": lambda w, t, n: wilson_of(w + t // 2, w + t + n),
            "normal interval": normal_interval,
        },
    ),
    "sign test": Trial(
        sign_cases,
        lambda w, t, n: judgements.sign_test(judgements.Tally(w, t, n)).value,
        {
            "one-sided": sign_one_sided,
            "normal": sign_normal,
            "ties as losses": lambda w, t, n: judgements._two_sided(min(w, n + t), w + t + n),
            "above 1": lambda w, t, n: 2 * sign_one_sided(w, t, n) + (w == n) * 0.05,
        },
    ),
    "strengths": Trial(
        strength_cases,
        strengths,
        {
            "ties ignored": lambda w, t: strengths(w, 0 * t),
            "ties as half a win each": lambda w, t: strengths(w + (t + t.T) / 2, 0 * t),
            "ties counted twice": lambda w, t: strengths(w, t + t.T),
            "losses as wins": lambda w, t: strengths(w.T, t),
        },
    ),
    "alpha": Trial(
        alpha_cases,
        lambda units: agreement.krippendorff_alpha(units).value,
        {"share that agree": share_that_agree, "distance to half": lambda u: 2 * share_that_agree(u) - 1},
    ),
}
