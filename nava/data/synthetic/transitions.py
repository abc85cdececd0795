"""How one shot gives way to the next in the picture."""

import numpy as np

from nava.data.synthetic.drawing import Frames

KINDS = ("hard", "fade", "fade_white", "dissolve")
_LEVELS = {"fade": 0.0, "fade_white": 255.0}


def join(kind: str, before_THWC: Frames, after_THWC: Frames, tail: int, lead: int) -> None:
    """Paint a transition into the last `tail` frames of one shot and the first `lead` frames of the next, in place.

    Raises:
        ValueError: no such kind, or a dissolve whose halves differ in length.
    """
    if kind == "hard":
        return
    if kind == "dissolve":
        _dissolve(before_THWC, after_THWC, tail, lead)
    elif kind in _LEVELS:
        _fade(before_THWC[::-1], tail, _LEVELS[kind])
        _fade(after_THWC, lead, _LEVELS[kind])
    else:
        raise ValueError(f"no transition {kind!r}; there are {', '.join(KINDS)}")


def _fade(frames_THWC: Frames, count: int, level: float) -> None:
    """The first frame is all `level` (0 black, 255 white), the following ones show more and more."""
    gain_T = np.linspace(0.0, 1.0, count, endpoint=False, dtype=np.float32)
    view_THWC = frames_THWC[:count]
    faded = view_THWC * gain_T[:, None, None, None]
    if level:
        faded += np.float32(level) * (1.0 - gain_T[:, None, None, None])
    view_THWC[:] = faded.astype(np.uint8)


def _dissolve(before_THWC: Frames, after_THWC: Frames, tail: int, lead: int) -> None:
    """Both shots at once: each holds its edge frame for the half in which it has no frames of its own."""
    if tail != lead:
        raise ValueError(f"a dissolve has halves of one length, not {tail} and {lead} frames")
    last, first = before_THWC[-1].astype(np.float32), after_THWC[0].astype(np.float32)
    for number in range(lead):
        for frame, weight, outgoing, incoming in (
            (before_THWC[number - tail], (number + 1) / (2 * lead + 1), None, first),
            (after_THWC[number], (lead + number + 1) / (2 * lead + 1), last, None),
        ):
            own = frame.astype(np.float32)
            start, end = own if outgoing is None else outgoing, own if incoming is None else incoming
            frame[:] = ((1.0 - weight) * start + weight * end).astype(np.uint8)
