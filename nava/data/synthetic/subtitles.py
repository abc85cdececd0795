"""Burnt-in text as films carry it: many looks, two bands, lines that stay and lines that change."""

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nava.data.synthetic.files import Film
from nava.data.synthetic.labels import FileLabel, ShotLabel, SubtitleLabel
from nava.data.synthetic.speech import SENTENCES
from nava.runtime.errors import InputError

Colour = tuple[int, int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
WHITE, BLACK, YELLOW, CYAN, GREEN = (
    (255, 255, 255, 255),
    (0, 0, 0, 255),
    (255, 230, 60, 255),
    (90, 230, 255, 255),
    (110, 255, 120, 255),
)
NO_COLOUR: Colour = (0, 0, 0, 0)
SHORT_LINES = ("Wait for me!", "Come on.", "Stop it!", "Thank you.", "Over there.", "Never mind.")
_GAP_S = 0.08
_SIDE_MARGIN = 0.03  # of the width


@dataclass(frozen=True)
class Style:
    """How text looks.

    Attributes:
        font: `default` (the one Pillow carries) or a file of matplotlib's fonts.
        size: height of a line, as a share of the picture's height.
        outline: stroke around the letters, as a share of the font's size; 0 is none.
        backdrop: colour of the box behind the text; transparent is none.
        bottom: where the text's lower edge stands, as a share of the picture's height; or its upper edge, in the upper
            half.
        timing: `persistent` for the whole shot, `partial` for its middle, `lines` one after the other, `words` a few at
            a time, `karaoke` with the words coloured in turn.
        length: `spoken` (what is said in the shot, or a sentence), `short`, or `long` (two sentences).
    """

    name: str
    font: str = "default"
    size: float = 0.065
    fill: Colour = WHITE
    outline_colour: Colour = BLACK
    outline: float = 0.1
    backdrop: Colour = NO_COLOUR
    bottom: float = 0.95
    timing: str = "persistent"
    length: str = "spoken"
    shadow: bool = False
    slanted: bool = False


STYLES = (
    Style("white, outlined"),
    Style("yellow, outlined, changing lines", fill=YELLOW, timing="lines", length="long"),
    Style("white on black", backdrop=BLACK, outline=0.0, font="DejaVuSansMono.ttf", size=0.055),
    Style("white on grey, top", backdrop=(30, 30, 30, 150), outline=0.0, bottom=0.05),
    Style("karaoke", font="DejaVuSans-Bold.ttf", size=0.08, timing="karaoke"),
    Style("few words, large", font="DejaVuSans-Bold.ttf", size=0.1, bottom=0.82, outline=0.12, timing="words"),
    Style("short line", length="short"),
    Style("serif, shadow", font="DejaVuSerif.ttf", outline=0.0, shadow=True),
    Style("small, two lines", size=0.045, outline=0.08, length="long"),
    Style("cyan, slanted", fill=CYAN, slanted=True, length="long", bottom=0.92),
    Style("top, yellow", fill=YELLOW, bottom=0.04, size=0.06),
    Style("black on white box", fill=BLACK, backdrop=WHITE, outline=0.0, size=0.055, timing="lines"),
    Style("part of the shot", timing="partial"),
    Style("thin, no outline", outline=0.0, size=0.06, length="long"),
    Style("short line on a box", backdrop=(0, 0, 0, 190), outline=0.0, length="short", font="DejaVuSans.ttf"),
    Style("green, typewriter", font="DejaVuSansMono-Bold.ttf", fill=GREEN, size=0.05, timing="words", bottom=0.9),
)


@dataclass(frozen=True)
class Line:
    """Words that are seen together for a time, in seconds of the file; `lit` of them are coloured."""

    text: str
    start_s: float
    end_s: float
    lit: int = 0


def burn(film: Film, label: FileLabel, style: Style, rng: np.random.Generator) -> Film:
    """Draw a line of text, or several, into every shot, and label them."""
    frames_THWC = film.frames_THWC.copy()
    fps = float(film.fps)
    for shot in label.shots:
        for line in _lines(_text(shot, label, style, rng), shot, style):
            overlay = _draw(line, style, frames_THWC.shape[2], frames_THWC.shape[1])
            first, last = (int(np.ceil(time_s * fps - 1e-3)) for time_s in (line.start_s, line.end_s))
            _blend(frames_THWC[first:last], overlay)
            _label_line(label, line, overlay)
    label.detail = style.name
    return replace(film, frames_THWC=frames_THWC)


def _label_line(label: FileLabel, line: Line, overlay: "Overlay") -> None:
    """A line whose colours change while it stands is one subtitle."""
    before = label.subtitles[-1] if label.subtitles else None
    if line.lit and before is not None and before.text == line.text:
        before.end_s = round(line.end_s, 4)
        return
    box = (*overlay.corner, overlay.corner[0] + overlay.width, overlay.corner[1] + overlay.height)
    label.subtitles.append(SubtitleLabel(round(line.start_s, 4), round(line.end_s, 4), line.text, box))


def _text(shot: ShotLabel, label: FileLabel, style: Style, rng: np.random.Generator) -> str:
    if style.length == "short":
        return str(rng.choice(SHORT_LINES))
    said = [part.text for part in label.transcript if shot.start_s <= part.start_s < shot.end_s]
    wanted = 2 if style.length == "long" else 1
    said += [SENTENCES[int(i)] for i in rng.permutation(len(SENTENCES))[: max(0, wanted - len(said))]]
    return " ".join(said[:2])


def _lines(text: str, shot: ShotLabel, style: Style) -> list[Line]:
    start_s, end_s = shot.start_s, shot.end_s
    words, length_s = text.split(), end_s - start_s
    if style.timing == "partial":
        return [Line(text, start_s + 0.25 * length_s, start_s + 0.8 * length_s)]
    if style.timing == "karaoke":
        step_s = length_s / len(words)
        return [Line(text, start_s + i * step_s, start_s + (i + 1) * step_s, i + 1) for i in range(len(words))]
    if style.timing in ("lines", "words"):
        size = 4 if style.timing == "lines" else 2
        groups = [" ".join(words[i : i + size]) for i in range(0, len(words), size)]
        step_s = length_s / len(groups)
        return [
            Line(group, start_s + i * step_s, start_s + (i + 1) * step_s - _GAP_S) for i, group in enumerate(groups)
        ]
    return [Line(text, start_s, end_s)]


@dataclass(frozen=True)
class Overlay:
    """Text ready to be laid over a picture: RGBA of its box, and the box's left and top in pixels."""

    pixels_HWC: NDArray[np.uint8]  # noqa: N815
    corner: tuple[int, int]

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels_HWC.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels_HWC.shape[1])


def _draw(line: Line, style: Style, width: int, height: int) -> Overlay:
    size = max(12, round(style.size * height))
    font, stroke = load_font(style.font, size), round(style.outline * size)
    canvas = Image.new("RGBA", (width, height), NO_COLOUR)
    pen = ImageDraw.Draw(canvas)
    space = (1.0 - 2.0 * _SIDE_MARGIN) * width - 2 * stroke - (0.5 * size if style.backdrop[3] else 0)
    rows = wrap(line.text, pen, font, space)
    pitch, pad = round(1.25 * size), round(0.25 * size) if style.backdrop[3] else 0
    block = pitch * len(rows)
    top = round(style.bottom * height) if style.bottom < 0.5 else round(style.bottom * height) - block
    if style.backdrop[3]:
        widest = max(pen.textlength(row, font=font) for row in rows)
        left = (width - widest) / 2 - pad
        pen.rectangle((left, top - pad, left + widest + 2 * pad, top + block + pad), fill=style.backdrop)
    lit = line.lit
    for number, row in enumerate(rows):
        corner = ((width - pen.textlength(row, font=font)) / 2, top + number * pitch)
        _write_row(pen, corner, row, font, style, stroke, lit)
        lit = max(0, lit - len(row.split()))
    if style.slanted:
        shear = 0.2
        canvas = canvas.transform(
            canvas.size,
            Image.Transform.AFFINE,
            (1, shear, -shear * (top + block / 2), 0, 1, 0),
            Image.Resampling.BILINEAR,
        )
    box = canvas.getbbox()
    assert box is not None, f"nothing was drawn of {line.text!r}"
    return Overlay(np.asarray(canvas.crop(box)), (box[0], box[1]))


def _write_row(
    pen: ImageDraw.ImageDraw, corner: tuple[float, float], row: str, font: Font, style: Style, stroke: int, lit: int
) -> None:
    """One row; its first `lit` words in yellow."""
    if style.shadow:
        pen.text((corner[0] + 2, corner[1] + 2), row, font=font, fill=(0, 0, 0, 200))
    pen.text(corner, row, font=font, fill=style.fill, stroke_width=stroke, stroke_fill=style.outline_colour)
    if lit:
        coloured = " ".join(row.split()[:lit])
        pen.text(corner, coloured, font=font, fill=YELLOW, stroke_width=stroke, stroke_fill=style.outline_colour)


def wrap(text: str, pen: ImageDraw.ImageDraw, font: Font, width: float) -> list[str]:
    """Text in rows that are at most `width` pixels wide, as long as no single word is wider."""
    rows = [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if pen.textlength(longer, font=font) <= width or not rows[-1]:
            rows[-1] = longer
        else:
            rows.append(word)
    return rows


def _blend(frames_THWC: NDArray[np.uint8], overlay: Overlay) -> None:
    left, top = overlay.corner
    view_THWC = frames_THWC[:, top : top + overlay.height, left : left + overlay.width]
    alpha_HW1 = overlay.pixels_HWC[..., 3:].astype(np.float32) / 255.0
    colour_HWC = overlay.pixels_HWC[..., :3] * alpha_HW1
    view_THWC[:] = (view_THWC * (1.0 - alpha_HW1) + colour_HWC + 0.5).astype(np.uint8)


@functools.cache
def load_font(name: str, size: int) -> Font:
    """A font by file name, at a size in pixels.

    Raises:
        InputError: matplotlib, which carries it, is not installed.
    """
    if name == "default":
        return ImageFont.load_default(size=size)
    spec = importlib.util.find_spec("matplotlib")
    roots: Sequence[str] = (spec.submodule_search_locations if spec else None) or ()
    if not roots:
        raise InputError("subtitles of the labelled corpus need the fonts of matplotlib: pip install 'nava[demo]'")
    return ImageFont.truetype(str(Path(roots[0]) / "mpl-data" / "fonts" / "ttf" / name), size)
