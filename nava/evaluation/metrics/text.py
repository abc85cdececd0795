"""Does the clip show and sound what the caption says, and does it follow when one word of the caption is changed?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from nava.artifacts import evaluation_result as names
from nava.evaluation.attributes import COLOUR_PROTOCOL, PITCH_PROTOCOL
from nava.evaluation.captions import Attribute
from nava.evaluation.evidence import Evidence, Sample
from nava.evaluation.metric import ClipValues, Metric
from nava.evaluation.plan import CODEC, GUIDED, REAL, UNTRAINED, Family
from nava.evaluation.vocabulary import COLOUR, PITCH

_ACCURACY = {COLOUR: names.TEXT_COLOUR, PITCH: names.TEXT_PITCH}
_SWAP = {COLOUR: names.SWAP_COLOUR, PITCH: names.SWAP_PITCH}
_PROTOCOL = {COLOUR: COLOUR_PROTOCOL, PITCH: PITCH_PROTOCOL}


def text_metrics(evidence: Evidence, family: Family) -> list[Metric]:
    """Accuracy and word swap of each attribute that captions of the family name."""
    return [
        metric
        for attribute in evidence.vocabulary.attributes
        for metric in (_accuracy(evidence, family, attribute), _swap(evidence, family, attribute))
    ]


def _accuracy(evidence: Evidence, family: Family, attribute: Attribute) -> Metric:
    def correct(variant: str) -> ClipValues:
        return _shares(evidence, attribute, evidence.of(variant, family.name).values())

    return _metric(
        family,
        attribute,
        name=_ACCURACY[attribute.name],
        label=f"{attribute.name.capitalize()} as the caption says",
        description=f"Share of clips whose {attribute.name} is the one that the caption names.",
        values=partial(correct, GUIDED),
        untrained=partial(correct, UNTRAINED),
        codec=partial(correct, CODEC),
        real=partial(correct, REAL),
    )


def _swap(evidence: Evidence, family: Family, attribute: Attribute) -> Metric:
    return _metric(
        family,
        attribute,
        name=_SWAP[attribute.name],
        label=f"{attribute.name.capitalize()} follows a changed word",
        description=f"Only the word for the {attribute.name} is changed, not the noise: share that shows the new one.",
        values=lambda: _shares(evidence, attribute, evidence.swaps(attribute.name)),
    )


def _metric(
    family: Family,
    attribute: Attribute,
    *,
    name: str,
    label: str,
    description: str,
    values: Callable[[], ClipValues],
    untrained: Callable[[], ClipValues] | None = None,
    codec: Callable[[], ClipValues] | None = None,
    real: Callable[[], ClipValues] | None = None,
) -> Metric:
    return Metric(
        name=name,
        label=label,
        description=description,
        protocol=_PROTOCOL[attribute.name],
        backend="nava.evaluation.attributes",
        unit="share",
        values=values,
        needs=f"held-out captions of the family '{family.name}' that name a {attribute.name}",
        family=family.name,
        variant=GUIDED,
        share=True,
        chance=attribute.chance if attribute.words else None,
        untrained=untrained,
        codec=codec,
        real=real,
    )


def _shares(evidence: Evidence, attribute: Attribute, samples: Iterable[Sample]) -> ClipValues:
    """1 or 0 for each prompt that names the attribute: does the clip come nearest to that word?

    A clip in which nothing can be measured does not show it.
    """
    shares = {}
    for sample in samples:
        word = dict(sample.request.words).get(attribute.name)
        if word is not None:
            shown = evidence.vocabulary.measured_word(attribute.name, sample.measures)
            shares[sample.request.clip_id] = float(shown == word)
    return shares
