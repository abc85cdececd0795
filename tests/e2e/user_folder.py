"""A folder as users have them: good clips beside files that are broken, or no media at all."""

import shutil
from pathlib import Path

from nava.config.synthetic import DefectCounts, SyntheticConfig
from nava.data.synthetic.generate import generate
from nava.data.synthetic.labels import read_labels
from nava.runtime.progress import Progress

ONE_OF_EACH = DefectCounts(0, 0, 0, 1, 0, 1, 0, 1, 1, 1)


def fill_user_folder(folder: Path, scratch: Path) -> None:
    """Good clips, a truncated file, a text file named .mp4, a video without sound, a silent one and a note."""
    generate(scratch, SyntheticConfig(videos=9, audio_files=2, defects=ONE_OF_EACH), 11, Progress())
    for label in read_labels(scratch):
        name = f"{label.defect or 'clean'}-{Path(label.path).name}"
        shutil.copyfile(scratch / "media" / label.path, folder / name)
    (folder / "words.mp4").write_text("This is a text file that somebody renamed.\n" * 50)
    (folder / "notes.txt").write_text("notes")
