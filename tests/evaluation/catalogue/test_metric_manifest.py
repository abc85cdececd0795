"""Manifests: whole, in agreement with the code, and refused where they are wrong."""

import pytest

from nava.evaluation.catalogue.manifest import catalogue, parse_manifest
from nava.evaluation.catalogue.scorers import SCORERS, SET_SCORERS
from nava.evaluation.extraction.extractor import ENTRIES, make_extractor
from nava.runtime.errors import InputError

ENTRY = {
    "id": "shine",
    "protocol": "shine.v1",
    "label": "Shine",
    "about": "how it shines",
    "unit": "lm",
    "direction": "higher",
    "level": "sample",
    "subjects": ["generated"],
    "scorer": "flicker",
    "needs": ["video"],
    "citation": "nobody",
    "backends": [{"backend": "frames", "tier": "embedded", "licence": "ours"}],
}


def test_every_metric_that_can_be_computed_here_has_a_scorer() -> None:
    for metric in catalogue().values():
        scorers = SET_SCORERS if metric.level == "set" else SCORERS
        for backend in metric.backends:
            if backend.backend in ENTRIES:
                assert metric.scorer in scorers, metric.metric_id
        assert len({backend.backend for backend in metric.backends}) == len(metric.backends)


def test_an_embedded_backend_is_at_hand_and_a_paper_one_that_never_ran_says_so() -> None:
    for metric in catalogue().values():
        for backend in metric.backends:
            if backend.tier == "embedded":
                assert backend.backend in ENTRIES, f"{metric.metric_id}: {backend.backend}"
                if ENTRIES[backend.backend].environment:
                    continue  # at hand once `nava eval environment make` was asked for it
                assert make_extractor(backend.backend).version >= 1
            else:
                assert not backend.proven, f"{metric.metric_id}: {backend.backend} has met no real weights here"


def test_an_embedded_backend_never_borrows_a_paper_grade_name() -> None:
    """Sync-C, IB, DeSync and the like have no stand-in; a column always names its backend."""
    for name in ("sync_c.official", "sync_c.mova", "imagebind.official", "desync", "audiobox_pq", "fd.frechet_clap"):
        assert {backend.tier for backend in catalogue()[name].backends} == {"paper"}
    assert catalogue()["wer.seed_tts"].column("pocketsphinx") == "wer.seed_tts[pocketsphinx]"


def test_protocols_are_unique_to_what_they_define() -> None:
    protocols = [metric.protocol for metric in catalogue().values() if not metric.protocol.startswith("audiobox")]
    assert len(set(protocols)) == len(protocols)


def test_a_right_manifest_is_taken() -> None:
    assert parse_manifest(ENTRY, "x.yaml").metric_id == "shine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"direction": "up"}, "x.yaml: shine: direction names up"),
        ({"level": "clip"}, "level names clip"),
        ({"needs": ["taste"]}, "needs names taste"),
        ({"subjects": ["moon"]}, "subjects names moon"),
        ({"sensitive_to": ["moonlight"]}, "sensitive_to names moonlight"),
        ({"sensitive_to": ["blur"], "insensitive_to": ["blur"]}, "both sensitive and insensitive to blur"),
        ({"backends": []}, "no backend"),
        ({"backends": [{"backend": "x", "tier": "best", "licence": ""}]}, "backends.tier names best"),
        ({"colour": "red"}, "unknown field colour"),
        ({"backends": [{"backend": "x", "tier": "paper"}]}, "backends: field licence is missing"),
    ],
)
def test_a_wrong_manifest_is_refused_by_field(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_manifest({**ENTRY, **changes}, "x.yaml")
