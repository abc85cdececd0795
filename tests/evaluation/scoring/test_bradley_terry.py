import numpy as np
import pytest

from nava.evaluation.scoring.bradley_terry import fit_counts, fit_judgements
from nava.evaluation.scoring.judgements import Judgement
from nava.runtime.errors import InputError

NO_TIES = np.zeros((2, 2))


def expected_counts(log_strength, nu, each=1000.0):
    """Wins and ties that Davidson's model expects: its maximum likelihood is at the truth."""
    n = len(log_strength)
    wins, ties = np.zeros((2, n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                p, q = np.exp(log_strength[i]), np.exp(log_strength[j])
                total = p + q + nu * np.sqrt(p * q)
                wins[i, j] = each * p / total
                if i < j:
                    ties[i, j] = each * nu * np.sqrt(p * q) / total
    return wins, ties


def test_two_models_without_ties_are_the_log_odds():
    fit = fit_counts(("a", "b"), np.array([[0, 30], [10, 0]]), NO_TIES)
    assert fit.log_strength_M[0] - fit.log_strength_M[1] == pytest.approx(np.log(3))
    assert fit.log_strength_M.sum() == pytest.approx(0)
    assert fit.tie_weight == 0
    # The log odds have the variance 1/30 + 1/10, each strength is half of them.
    np.testing.assert_allclose(fit.stderr_M, np.sqrt(1 / 30 + 1 / 10) / 2)
    assert fit.elo_M[0] - fit.elo_M[1] == pytest.approx(400 * np.log10(3))


def test_two_models_with_ties_in_closed_form():
    # W = 120, T = 50, L = 80: p / q = W / L and nu = T / sqrt(W L).
    ties = np.array([[0, 50], [0, 0]])
    fit = fit_counts(("a", "b"), np.array([[0, 120], [80, 0]]), ties)
    assert fit.log_strength_M[0] - fit.log_strength_M[1] == pytest.approx(np.log(120 / 80))
    assert fit.tie_weight == pytest.approx(50 / np.sqrt(120 * 80))


@pytest.mark.parametrize("nu", [0.0, 0.3, 2.5])
def test_strengths_that_made_the_counts_are_found(nu):
    truth = np.array([1.2, -0.3, 0.1, -1.0])
    fit = fit_counts(tuple("abcd"), *expected_counts(truth, nu))
    np.testing.assert_allclose(fit.log_strength_M, truth, atol=1e-8)
    assert fit.tie_weight == pytest.approx(nu, abs=1e-8)


def test_models_that_never_met_are_compared_through_a_third():
    wins = np.array([[0, 20, 0], [10, 0, 30], [0, 10, 0]])
    fit = fit_counts(("a", "b", "c"), wins, np.zeros((3, 3)))
    assert fit.log_strength_M[0] - fit.log_strength_M[2] == pytest.approx(np.log(2) + np.log(3))


def test_standard_errors_are_the_spread_of_repeated_studies():
    truth, draw, found = np.array([0.5, 0.0, -0.5]), np.random.default_rng(0), []
    pairs = [(0, 1), (0, 2), (1, 2)]
    wins, ties = expected_counts(truth, 0.5, each=1.0)
    for _ in range(200):
        won, tied = np.zeros((2, 3, 3))
        for i, j in pairs:
            won[i, j], tied[i, j], won[j, i] = draw.multinomial(150, [wins[i, j], ties[i, j], wins[j, i]])
        found.append(fit_counts(("a", "b", "c"), won, tied))
    spread = np.std([fit.log_strength_M for fit in found], axis=0)
    np.testing.assert_allclose(np.mean([fit.stderr_M for fit in found], axis=0), spread, rtol=0.15)


@pytest.mark.parametrize(
    ("wins", "ties", "reason"),
    [
        (np.array([[0, 9], [0, 0]]), NO_TIES, "never lost"),
        (np.array([[0, 9], [0, 0]]), np.array([[0, 5], [0, 0]]), "nobody lost without ties"),
        (NO_TIES, np.array([[0, 5], [0, 0]]), "only ties"),
        (NO_TIES, NO_TIES, "only ties, or no judgements"),
    ],
)
def test_counts_without_a_maximum_give_a_reason(wins, ties, reason):
    fit = fit_counts(("a", "b"), wins, ties)
    assert fit.log_strength_M.size == 0
    assert fit.tie_weight is None
    assert reason in fit.reason


def test_a_model_nobody_beat_or_met_among_three():
    unbeaten = np.array([[0, 5, 5], [0, 0, 3], [0, 4, 0]])
    assert "never lost" in fit_counts(("a", "b", "c"), unbeaten, np.zeros((3, 3))).reason
    unmet = np.array([[0, 5, 0], [3, 0, 0], [0, 0, 0]])
    assert "never compared" in fit_counts(("a", "b", "c"), unmet, np.zeros((3, 3))).reason
    assert "two models" in fit_counts(("a",), np.zeros((1, 1)), np.zeros((1, 1))).reason


def test_judgements_are_counted_whichever_side_a_model_was_on():
    sides = [("a", "b"), ("b", "a")]
    votes = [
        *(Judgement("r", f"w{i}", *sides[i % 2], ("left", "right")[i % 2]) for i in range(12)),
        *(Judgement("r", f"l{i}", "b", "a", "left") for i in range(8)),
        *(Judgement("r", f"t{i}", *sides[i % 2], "tie") for i in range(5)),
    ]
    fit = fit_judgements(votes)
    assert fit.models == ("a", "b")
    assert fit.log_strength_M[0] - fit.log_strength_M[1] == pytest.approx(np.log(12 / 8))
    assert fit.tie_weight == pytest.approx(5 / np.sqrt(96))
    assert fit_judgements([]).reason


@pytest.mark.parametrize(
    ("wins", "ties"),
    [(np.zeros((3, 3)), NO_TIES), (np.eye(2), NO_TIES), (np.array([[0, -1], [1, 0]]), NO_TIES)],
)
def test_impossible_counts_are_refused(wins, ties):
    with pytest.raises(InputError):
        fit_counts(("a", "b"), wins, ties)
