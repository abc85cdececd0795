"""What can be done to a clip so that a metric must notice, or must not: names, and what they are."""

from __future__ import annotations

PERTURBATIONS = {
    "audio_shifted": "the sound comes 0.4 s late",
    "noise": "white noise at 10 dB below the sound, then 0 dB",
    "speaker_swapped": "the words in the voice of another speaker",
    "text_swapped": "other words in the same voice; for texts, another clip's text",
    "sound_swapped": "the sound of another clip",
    "blur": "Gaussian blur of the picture",
    "frozen": "the first frame, held",
    "flicker": "every second frame darker",
    "subtitles": "text burnt into the picture",
    "silence": "no sound",
    "clipped": "sound driven past full scale",
    "quieter": "the sound 12 dB down",
    "first_frame_swapped": "the picture of another clip",
}
