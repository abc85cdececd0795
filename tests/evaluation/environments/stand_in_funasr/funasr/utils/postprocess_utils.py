"""Of the stand-in for FunASR: takes the tags of SenseVoice away."""

import re


def rich_transcription_postprocess(text):
    """Without `<|tags|>`."""
    return re.sub(r"<\|[^|]*\|>", "", text).strip()
