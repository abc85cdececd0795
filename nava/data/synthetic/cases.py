"""Renders the files of the labelled corpus."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from nava.data.synthetic import defects, subtitles
from nava.data.synthetic.assembly import assemble, describe_film
from nava.data.synthetic.case_plan import CasePlan
from nava.data.synthetic.copies import re_encode
from nava.data.synthetic.damage import DAMAGE_KINDS, damage, make_undecodable
from nava.data.synthetic.encodings import write_form
from nava.data.synthetic.files import Film, read_film, write_mp4
from nava.data.synthetic.labels import FileLabel
from nava.runtime.storage import atomic_file, write_bytes


def write_case(path: Path, plan: CasePlan, rng: np.random.Generator) -> FileLabel:
    """Make a video file that is no copy, or one that is no media.

    Returns:
        Its label, without the hash.
    """
    if plan.case == "undecodable":
        return _write_undecodable(path, plan, rng)
    film, label = assemble(plan, rng, plan.joins)
    film = _change(film, label, plan, rng)
    describe_film(label, film)
    with atomic_file(path) as partial:
        if plan.case == "forms":
            label.detail = plan.form
            write_form(partial, film, plan.form, label, rng)
        else:
            write_mp4(partial, film)
        if plan.case in ("damaged", "slightly_damaged"):
            kind = DAMAGE_KINDS[plan.variant % len(DAMAGE_KINDS)]
            label.detail = damage(partial, kind, plan.case == "slightly_damaged", rng)
    return label


def _change(film: Film, label: FileLabel, plan: CasePlan, rng: np.random.Generator) -> Film:
    if plan.case == "subtitled":
        return subtitles.burn(film, label, subtitles.STYLES[plan.variant % len(subtitles.STYLES)], rng)
    if plan.defect in defects.FILM_DEFECTS:
        return defects.FILM_DEFECTS[plan.defect](film, label, plan.variant, rng)
    return film


def write_copy(path: Path, plan: CasePlan, original: Path, label: FileLabel) -> FileLabel:
    """Decode the original, change it and encode it again.

    Args:
        label: of the original; what the change leaves true of it is the copy's label.
    """
    film, crf = re_encode(read_film(original), plan.form, plan.variant)
    label.path, label.defect, label.detail, label.duplicate_of, label.sidecar = (
        plan.path,
        plan.defect,
        plan.form,
        plan.copy_of,
        "",
    )
    if plan.form == "mirrored":
        for shot in label.shots:
            shot.side = {"left": "right", "right": "left"}.get(shot.side, shot.side)
    describe_film(label, film)
    with atomic_file(path) as partial:
        write_mp4(partial, film, crf)
    return label


def _write_undecodable(path: Path, plan: CasePlan, rng: np.random.Generator) -> FileLabel:
    def film_bytes(front_index: bool) -> bytes:
        film, _ = assemble(plan, rng)
        with TemporaryDirectory() as folder:
            whole = Path(folder) / "whole.mp4"
            write_mp4(whole, film, front_index=front_index)
            return whole.read_bytes()

    data, form = make_undecodable(plan.variant, film_bytes, rng)
    write_bytes(path, data)
    return FileLabel(plan.path, "none", defect=plan.defect, detail=form)
