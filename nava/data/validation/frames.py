"""The tables that the suites look at: the clip manifest as pandas frames, with the columns that rules need beside
it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nava.artifacts.clip_manifest import Modality, Reason, Status, read_clips

if TYPE_CHECKING:
    import pandas as pd

RECORDS, NOT_KEPT, KEPT, KEPT_VIDEO = "records", "not_kept", "kept", "kept_video"
CONFIDENT, DUPLICATES = "confident", "duplicates"


def load_frames(folder: Path, min_av_confidence: float) -> dict[str, pd.DataFrame]:
    """All records; those not kept; the kept clips, those with pictures, those whose offset is known; the duplicates.

    Derived columns: `missing_files` (how many media files that the row names are not there), `caption_spans` and
    `utterances` (how many spoken spans the caption has, and how many the record), `n_tags`, `dup_of_status` (what
    became of the clip that this one repeats).
    """
    records = read_clips(folder).to_pandas()
    status_of = dict(zip(records["clip_id"], records["status"], strict=True))
    records["dup_of_status"] = records["dup_of"].map(status_of).where(records["dup_of"].notna(), None)
    records.loc[records["dup_of"].notna() & records["dup_of_status"].isna(), "dup_of_status"] = "unknown"
    records["missing_files"] = [
        _missing(folder, row) for row in records[["video_path", "audio_path"]].to_dict("records")
    ]
    records["caption_spans"] = records["caption"].fillna("").str.count("<S>")
    records["utterances"] = [len(speech) if speech is not None else 0 for speech in records["speech"]]
    records["n_tags"] = [len(tags) if tags is not None else 0 for tags in records["tags"]]
    is_kept = records["status"] == Status.KEPT
    is_video = records["modality"] == Modality.AUDIO_VIDEO
    chosen = {
        RECORDS: is_kept | ~is_kept,
        NOT_KEPT: ~is_kept,
        KEPT: is_kept,
        KEPT_VIDEO: is_kept & is_video,
        CONFIDENT: is_kept & is_video & (records["av_confidence"] >= min_av_confidence),
        DUPLICATES: records["drop_reason"] == Reason.NEAR_DUPLICATE,
    }
    return {name: records[mask].reset_index(drop=True) for name, mask in chosen.items()}


def _missing(folder: Path, paths: dict[str, str | None]) -> int:
    return sum(1 for path in paths.values() if isinstance(path, str) and not (folder / path).is_file())
