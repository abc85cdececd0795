"""What can be done to a clip so that a metric must notice, or must not: names, and what they are."""

from __future__ import annotations

PERTURBATIONS = {
    "audio_shifted": "the sound comes 0.4 s late",
    "noise_20db": "white noise 20 dB below the sound",
    "noise_10db": "white noise 10 dB below the sound",
    "noise": "white noise as loud as the sound",
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
# What is done in several strengths, weakest first: who notices the strongest must notice each more than the one before.
GRADES = {"noise": ("noise_20db", "noise_10db", "noise")}
