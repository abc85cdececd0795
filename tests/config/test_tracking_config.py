"""Settings of live logging."""

import pytest

from nava.config.composition import compose
from nava.config.tracking import TrackingConfig
from nava.runtime.errors import InputError


def test_it_is_off_and_no_part_of_what_is_trained() -> None:
    resolved = compose("demo", ["tracking.uri=http://host:5000"])
    assert compose("demo").config["tracking"]["uri"] == ""
    assert resolved.identity["tracking"] == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"uri": "https://me:secret@host"}, "MLFLOW_TRACKING_PASSWORD"),
        ({"experiment": ""}, "tracking.experiment"),
        ({"every_s": 0.0}, "tracking.every_s"),
        ({"drain_s": -1.0}, "tracking.drain_s"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        TrackingConfig(**changes).check()
    assert "secret" not in str(refused.value)
