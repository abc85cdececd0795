import pytest
import torch

from nava.diffusion.guidance import ClassifierFreeGuider, FactorizedGuider, Pass

VELOCITIES = {kind: torch.tensor([value]) for kind, value in zip(Pass, (1.0, 0.5, 3.0, -1.0))}


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ((0, 0, 0), 1.0),
        ((1, 0, 0), 1.0 + 1 * 0.5),
        ((0, 2, 0), 1.0 + 2 * -2.0),
        ((1, 2, 0), 1.0 + 0.5 - 4.0),
        ((3, 3, 3), 1.0 + 1.5 - 6.0 + 6.0),
    ],
)
def test_factorized_formula(scales, expected):
    assert FactorizedGuider(*scales).combine(VELOCITIES).item() == expected


@pytest.mark.parametrize(
    ("scales", "passes"),
    [
        ((0, 0, 0), [Pass.CONDITIONAL]),
        ((1, 0, 0), [Pass.CONDITIONAL, Pass.NO_TEXT]),
        ((0, 2, 0), [Pass.CONDITIONAL, Pass.NO_ALIGNMENT]),
        ((1, 2, 3), list(Pass)),
    ],
)
def test_a_scale_of_zero_costs_no_pass(scales, passes):
    guider = FactorizedGuider(*scales)
    assert list(guider.passes) == passes
    guider.combine({kind: VELOCITIES[kind] for kind in passes})


def test_classifier_free_formula():
    assert ClassifierFreeGuider(3.0).combine(VELOCITIES).item() == 0.5 + 3 * 0.5
    assert ClassifierFreeGuider(0.0).combine(VELOCITIES).item() == 0.5
    assert ClassifierFreeGuider(3.0).passes == (Pass.CONDITIONAL, Pass.NO_TEXT)


@pytest.mark.parametrize(("scale", "alone"), [(1, Pass.CONDITIONAL), (0, Pass.NO_TEXT), (-0.0, Pass.NO_TEXT)])
def test_classifier_free_scales_one_and_zero_are_one_pass_alone(scale, alone):
    guider = ClassifierFreeGuider(scale)
    assert guider.passes == (alone,)
    assert torch.equal(guider.combine({alone: VELOCITIES[alone]}), VELOCITIES[alone])


def test_the_two_bases_differ_by_one_unit_of_text():
    for scale in (0.5, 2.0):
        factorized, classic = FactorizedGuider(text=scale), ClassifierFreeGuider(scale + 1)
        torch.testing.assert_close(factorized.combine(VELOCITIES), classic.combine(VELOCITIES))


def test_guidance_works_on_any_shape():
    generator = torch.Generator().manual_seed(0)
    velocities = {kind: torch.randn(2, 3, 4, generator=generator) for kind in Pass}
    c, u, m, z = velocities.values()
    torch.testing.assert_close(FactorizedGuider(1, 2, 3).combine(velocities), c + (c - u) + 2 * (c - m) + 3 * (c - z))
