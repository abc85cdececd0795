"""What goes wrong with media in the wild.

Each defect changes a film or a file's bytes, and says in the label what it did.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from nava.data.synthetic.files import Film
from nava.data.synthetic.labels import FileLabel, SubtitleLabel

QUIET_RMS = 0.0011  # about -59 dBFS
CLIP_LEVEL = 0.999
SHIFT_RANGE_S = (0.28, 0.6)

# Fill, outline, and box behind the text: the three common styles.
_SUBTITLE_STYLES = (
    ((255, 255, 255), (0, 0, 0), None),
    ((255, 230, 60), (0, 0, 0), None),
    ((255, 255, 255), None, (0, 0, 0)),
)
_COPIES = ("scaled", "brighter", "coarser")


def burn_subtitles(film: Film, label: FileLabel, variant: int, rng: np.random.Generator) -> Film:
    """Draw what is said into the picture, for as long as the shot lasts."""
    fill, outline, backdrop = _SUBTITLE_STYLES[variant % len(_SUBTITLE_STYLES)]
    _, height, width, _ = film.frames_THWC.shape
    font = ImageFont.load_default(size=max(14, height // 14))
    frames_THWC = film.frames_THWC.copy()
    for shot in label.shots:
        text = " ".join(part.text for part in label.transcript if shot.start_s <= part.start_s < shot.end_s)
        if not text:
            continue
        canvas = ImageDraw.Draw(Image.new("RGB", (width, height)))
        wrapped = _wrap(text, canvas, font, width * 0.94)
        left, top, right, bottom = canvas.multiline_textbbox(
            (0, 0), wrapped, font=font, align="center", stroke_width=2 if outline else 0
        )
        x, y = (width - (right - left)) / 2 - left, height * 0.96 - bottom
        box = (max(0, int(x + left)), int(y + top), min(width, int(x + right) + 1), min(height, int(y + bottom) + 1))
        for frame in frames_THWC[shot.start_frame : shot.end_frame]:
            picture = Image.fromarray(frame)
            pen = ImageDraw.Draw(picture)
            if backdrop is not None:
                pen.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=backdrop)
            pen.multiline_text(
                (x, y),
                wrapped,
                font=font,
                fill=fill,
                align="center",
                stroke_width=2 if outline else 0,
                stroke_fill=outline,
            )
            frame[:] = np.asarray(picture)
        label.subtitles.append(SubtitleLabel(shot.start_s, shot.end_s, wrapped.replace("\n", " "), box))
    label.detail = ("white, outlined", "yellow, outlined", "white on black")[variant % len(_SUBTITLE_STYLES)]
    return replace(film, frames_THWC=frames_THWC)


def _wrap(
    text: str, canvas: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float
) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if canvas.textlength(longer, font=font) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def shift_audio(film: Film, label: FileLabel, variant: int, rng: np.random.Generator) -> Film:
    """Move the sound against the picture and pad with silence: nothing comes round from the other end."""
    assert film.audio_CL is not None
    offset_s = round(float(rng.uniform(*SHIFT_RANGE_S)) * (1 if variant % 2 == 0 else -1), 3)
    shift = round(abs(offset_s) * film.sample_rate_hz)
    padding_CL = np.zeros((len(film.audio_CL), shift), np.float32)
    if offset_s > 0:
        audio_CL = np.concatenate([padding_CL, film.audio_CL[:, :-shift]], axis=1)
    else:
        audio_CL = np.concatenate([film.audio_CL[:, shift:], padding_CL], axis=1)
    label.av_offset_s = offset_s
    label.detail = f"sound {abs(offset_s):.3f} s {'late' if offset_s > 0 else 'early'}"
    for part in label.transcript:
        part.start_s, part.end_s = round(part.start_s + offset_s, 4), round(part.end_s + offset_s, 4)
        for word in part.words:
            word.start_s, word.end_s = round(word.start_s + offset_s, 4), round(word.end_s + offset_s, 4)
    return replace(film, audio_CL=audio_CL)


def make_quiet(film: Film, label: FileLabel, variant: int, rng: np.random.Generator) -> Film:
    """Turn the sound down until it can hardly be heard."""
    assert film.audio_CL is not None
    rms = float(np.sqrt(np.mean(film.audio_CL**2)))
    label.detail = f"turned down by {20 * np.log10(rms / QUIET_RMS):.0f} dB"
    return replace(film, audio_CL=film.audio_CL * np.float32(QUIET_RMS / rms))


def clip_audio(film: Film, label: FileLabel, variant: int, rng: np.random.Generator) -> Film:
    """Turn the sound up far beyond full scale."""
    assert film.audio_CL is not None
    # So far because AAC encoders pull peaks down again: at 20 dB hardly a sample is left at full scale.
    gain = (50.0, 70.0, 90.0)[variant % 3]
    label.detail = f"turned up by {20 * np.log10(gain):.0f} dB"
    return replace(film, audio_CL=np.clip(film.audio_CL * np.float32(gain), -CLIP_LEVEL, CLIP_LEVEL))


def freeze(film: Film, label: FileLabel, variant: int, rng: np.random.Generator) -> Film:
    """Hold one frame of each shot while the sound runs on."""
    frames_THWC = film.frames_THWC.copy()
    for shot in label.shots:
        frames_THWC[shot.start_frame : shot.end_frame] = film.frames_THWC[(shot.start_frame + shot.end_frame) // 2]
    label.detail = "one frame for each shot"
    return replace(film, frames_THWC=frames_THWC)


def blur(film: Film, label: FileLabel, variant: int, rng: np.random.Generator) -> Film:
    """Put the whole film out of focus."""
    _, height, width, _ = film.frames_THWC.shape
    radius = min(height, width) / 18
    focus = ImageFilter.GaussianBlur(radius)
    label.detail = f"Gaussian, {radius:.1f} pixels"
    return replace(
        film, frames_THWC=np.stack([np.asarray(Image.fromarray(frame).filter(focus)) for frame in film.frames_THWC])
    )


def remove_audio(film: Film, label: FileLabel, variant: int, rng: np.random.Generator) -> Film:
    """A video without an audio track."""
    label.detail, label.transcript = "no audio track", []
    return replace(film, audio_CL=None)


FILM_DEFECTS: dict[str, Callable[[Film, FileLabel, int, np.random.Generator], Film]] = {
    "subtitled": burn_subtitles,
    "shifted": shift_audio,
    "quiet": make_quiet,
    "clipped": clip_audio,
    "static": freeze,
    "blurred": blur,
    "without_audio": remove_audio,
}


def re_encode(film: Film, variant: int) -> tuple[Film, int, str]:
    """Change a decoded film as sharing sites do: a smaller picture, a brighter one, or a coarser encoding.

    Returns:
        The film, the crf to encode it with, and the name of the change.
    """
    change = _COPIES[variant % len(_COPIES)]
    if change == "scaled":
        _, height, width, _ = film.frames_THWC.shape
        size = (round(width * 0.375) * 2, round(height * 0.375) * 2)
        frames = [
            np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)) for frame in film.frames_THWC
        ]
        return replace(film, frames_THWC=np.stack(frames)), 20, change
    if change == "brighter":
        brighter = np.clip(film.frames_THWC * np.float32(1.2), 0, 255).astype(np.uint8)
        return replace(film, frames_THWC=brighter), 20, change
    return film, 36, change


def truncate(data: bytes, front_index: bool) -> bytes:
    """An upload that broke off: the last part is missing, and with it the index, unless that stood in front."""
    return data[: len(data) * (60 if front_index else 75) // 100]


def garbage(variant: int, rng: np.random.Generator) -> tuple[bytes, str]:
    """Bytes that are no media, and what they are."""
    forms: tuple[tuple[str, Callable[[], bytes]], ...] = (
        ("plain text", lambda: b"This is a note, not a film.\n" * 40),
        ("random bytes", lambda: rng.bytes(20_000)),
        ("web page", lambda: b"<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1></body></html>\n"),
        ("empty file", lambda: b""),
    )
    name, make = forms[variant % len(forms)]
    return make(), name
