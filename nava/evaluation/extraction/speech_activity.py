"""When somebody speaks."""

from __future__ import annotations

from nava.evaluation.extraction.clip_file import SPEECH_RATE_HZ, ClipFile
from nava.evaluation.extraction.features import Features


class SileroVad:
    """Silero VAD, whose weights lie in its package."""

    version = 1
    weights_sha256 = None

    def __init__(self) -> None:
        from nava.config.speech import VoiceActivityConfig
        from nava.data.speech.voice_activity import VoiceActivity

        self._vad = VoiceActivity(VoiceActivityConfig())

    def extract(self, clip: ClipFile) -> Features:
        """`speech_s`, `seconds`, and the `segments` as pairs of seconds."""
        samples_N = clip.samples_at(SPEECH_RATE_HZ)
        found = self._vad.segments(samples_N)
        return Features(
            {
                "seconds": len(samples_N) / SPEECH_RATE_HZ,
                "speech_s": sum(segment.duration_s for segment in found),
                "segments": [[round(segment.t0_s, 3), round(segment.t1_s, 3)] for segment in found],
            }
        )
