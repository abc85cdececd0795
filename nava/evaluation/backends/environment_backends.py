"""Backends whose libraries clash with ours: each has its worker in `nava/evaluation/environments`."""

from __future__ import annotations

from typing import ClassVar

from nava.evaluation.extraction.environment_worker import EnvironmentBackend


class Resemblyzer(EnvironmentBackend):
    """GE2E embeddings of voices, `embedding_D` [256], by the weights that lie in Resemblyzer's wheel."""

    environment: ClassVar[str] = "resemblyzer"
    backend: ClassVar[str] = "resemblyzer"
    version = 1
    weights_sha256: str | None = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"


class ParaformerZh(EnvironmentBackend):
    """`text` of Chinese speech as Seed-TTS-eval has it: Paraformer large, simplified characters, no punctuation."""

    environment: ClassVar[str] = "funasr"
    backend: ClassVar[str] = "paraformer_zh"
    needs_weights: ClassVar[bool] = True
    version = 1


class SensevoiceSmall(EnvironmentBackend):
    """`text` as Verse-Bench has it: SenseVoiceSmall behind fsmn-vad, any language, numbers and punctuation written."""

    environment: ClassVar[str] = "funasr"
    backend: ClassVar[str] = "sensevoice_small"
    needs_weights: ClassVar[bool] = True
    version = 1
