"""Timbre encoders by name, and what their folder may not hold."""

import json
from pathlib import Path

import pytest

from nava.conditioning.mel_statistics import MelStatisticsEncoder
from nava.conditioning.timbre import build_timbre_encoder, load_timbre_encoder
from nava.config.conditioning import TIMBRE_ENCODERS, ConditioningConfig
from nava.runtime.errors import InputError


def test_build_by_name() -> None:
    assert build_timbre_encoder(ConditioningConfig()) is None
    built = build_timbre_encoder(ConditioningConfig(timbre_encoder="mel_statistics"))
    assert isinstance(built, MelStatisticsEncoder)
    with pytest.raises(InputError, match="unknown timbre encoder 'x'; known encoders: mel_statistics, redimnet"):
        build_timbre_encoder(ConditioningConfig(timbre_encoder="x"))
    assert TIMBRE_ENCODERS == ("none", "mel_statistics", "redimnet")


def test_load_refuses_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no timbre encoder in .*: config\.json is missing"):
        load_timbre_encoder(tmp_path)
    path = tmp_path / "config.json"
    MelStatisticsEncoder().save(tmp_path)
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"identity": "0" * 64}))
    with pytest.raises(InputError, match="was edited"):
        load_timbre_encoder(tmp_path)
    path.write_text(json.dumps(config | {"type": "x"}))
    with pytest.raises(InputError, match="unknown timbre encoder 'x'"):
        load_timbre_encoder(tmp_path)
    for broken in ("{}", "[]", "{"):
        path.write_text(broken)
        with pytest.raises(InputError, match="not a timbre encoder description"):
            load_timbre_encoder(tmp_path)
