"""One suite of Great Expectations per stage of curation, from the sources to the subsets."""

from __future__ import annotations

import pandas as pd

from nava.artifacts.clip_manifest import Modality, Reason, Split, Status
from nava.conditioning.prompt import CAPTION_PATTERN
from nava.config.curation import CurationConfig
from nava.config.validation import ValidationConfig
from nava.data.curation.subsets import STAGE1, STAGE2, STAGE3
from nava.data.speech.audio_tags import AudioTag
from nava.data.validation.derived import with_derived_columns
from nava.data.validation.rules import (
    SHA256_PATTERN,
    Rule,
    Suite,
    absent,
    between,
    equal,
    greater,
    lengths,
    matching,
    one_of,
    present,
    row_count,
    unique,
)

# A prompt has several lines.
_PROMPT_PATTERN = f"(?s){CAPTION_PATTERN}"
_SUBSETS = (STAGE1, STAGE2, STAGE3)


def source_suite(sources: pd.DataFrame) -> Suite:
    """The source manifest: what was ingested."""
    rules = [
        row_count("sources", 1),
        unique("every source has an id of its own", "source_id"),
        unique("no content is there twice", "sha256"),
        matching("every source has its hash", "sha256", SHA256_PATTERN),
        present("every source names its file", "path"),
        present("every source says its licence, if only that none was stated", "licence"),
    ]
    return Suite("sources", sources, rules, id_column="source_id")


def clip_suites(manifest: pd.DataFrame, validation: ValidationConfig, curation: CurationConfig) -> list[Suite]:
    """The suites over a clip manifest, one per stage."""
    rows = with_derived_columns(manifest, curation)
    kept = rows[rows["status"] == Status.KEPT]
    pictured = kept[kept["modality"] == Modality.AUDIO_VIDEO]
    in_words = kept
    return [
        Suite("integrity", rows, _record_rules()),
        Suite("integrity of records not kept", rows[rows["status"] != Status.KEPT], _reason_rules()),
        Suite("scenes", rows[rows["scene"].notna()], _scene_rules()),
        Suite("clips", kept, _clip_rules(curation)),
        Suite("clips with a picture", pictured, _picture_form_rules(curation)),
        Suite("text", pictured, _text_rules()),
        Suite("picture", pictured, _picture_rules(curation)),
        Suite("sound", kept, _sound_rules(curation)),
        Suite("synchrony of clips whose offset is known", kept[_offset_is_known(kept, curation)], _synchrony(curation)),
        Suite("duplicates", kept, _duplicate_rules()),
        Suite("speech and audio tags", in_words, _speech_rules()),
        Suite("captions", in_words, _caption_rules(validation)),
        Suite("subsets", kept, _subset_rules(validation)),
        *(
            Suite(f"subsets, {split} split", kept[kept["split"] == split], [row_count(f"clips to {split}", least)])
            for split, least in (
                (Split.TRAIN, validation.min_train_clips),
                (Split.HELDOUT, validation.min_heldout_clips),
            )
        ),
    ]


def _offset_is_known(kept: pd.DataFrame, curation: CurationConfig) -> pd.Series:
    return kept["av_conf"].ge(curation.filters.min_av_conf).fillna(False).astype(bool)


def _record_rules() -> list[Rule]:
    return [
        unique("every record has an id of its own", "clip_id"),
        present("every record names its source", "src_sha256"),
        one_of("every record has a status from the list", "status", [str(status) for status in Status]),
        between("packet errors are counts", "packet_errors", 0, None),
    ]


def _reason_rules() -> list[Rule]:
    return [
        present("every record not kept has a reason", "drop_reason"),
        one_of("every reason is from the fixed list", "drop_reason", [str(reason) for reason in Reason]),
        present("every record not kept says why in a sentence", "detail"),
    ]


def _scene_rules() -> list[Rule]:
    return [
        between("scenes are numbered from 0", "scene", 0, None),
        greater("scenes end after they begin", "scene_t1_us", "scene_t0_us"),
        equal("clips lie within their scene", "outside_scene", 0),
        equal("scenes of a source do not overlap", "overlaps_scene_before", 0),
    ]


def _clip_rules(curation: CurationConfig) -> list[Rule]:
    files = ("audio_path", "audio_sha256", "audio_48k_path", "audio_sr", "n_samples_16k", "n_samples_48k")
    return [
        one_of("every kept clip has a modality", "modality", [str(Modality.AUDIO_VIDEO), str(Modality.AUDIO)]),
        greater("clips end after they begin", "t1_us", "t0_us"),
        *(present(f"{column} is there", column) for column in files),
        equal("sound is of the model's rate", "audio_sr", curation.clip.sample_rate_hz),
        equal("sound has the exact number of samples", "samples_off", 0),
        matching("sound has its hash", "audio_sha256", SHA256_PATTERN),
        between("sound is kept with one channel or two", "audio_channels", 1, 2),
    ]


def _picture_form_rules(curation: CurationConfig) -> list[Rule]:
    clip = curation.clip
    sizes = [f"{width}x{height}" for width, height in clip.sizes()]
    return [
        *(present(f"{column} is there", column) for column in ("video_path", "video_sha256", "n_frames", "fps")),
        one_of("pictures have a length of the recipe", "n_frames", clip.frame_counts),
        equal("pictures have the model's frame rate", "fps", float(clip.fps)),
        between("the duration is that of the frames", "duration_off_s", 0.0, 1 / 48),
        one_of("pictures have the size of a bucket", "size", sizes),
        matching("pictures have their hash", "video_sha256", SHA256_PATTERN),
    ]


def _text_rules() -> list[Rule]:
    return [
        present("every clip with a picture says how it was looked at for text", "text_check"),
        equal("no subtitle is left in what is kept of the picture", "subtitles_left", 0),
        equal("a crop lies inside the picture", "crop_outside", 0),
    ]


def _picture_rules(curation: CurationConfig) -> list[Rule]:
    filters = curation.filters
    return [
        present("static_ratio was measured", "static_ratio"),
        between("pictures are sharp enough", "sharpness", filters.min_sharpness, None),
        between("pictures move", "static_ratio", None, filters.max_static_ratio),
        between("pictures are neither black nor white", "exposure", filters.min_exposure, None),
        between("pictures are not coded to blocks", "blockiness", None, filters.max_blockiness),
    ]


def _sound_rules(curation: CurationConfig) -> list[Rule]:
    filters = curation.filters
    return [
        present("lufs was measured", "lufs"),
        between("sound is loud enough", "lufs", filters.min_lufs, None),
        between("sound is not clipped", "clip_ratio", None, filters.max_clip_ratio),
        between("sound is not silence", "silence_ratio", None, filters.max_silence_ratio),
    ]


def _synchrony(curation: CurationConfig) -> list[Rule]:
    limit_s = curation.filters.max_av_offset_s
    return [between("sound and picture go together", "av_offset_s", -limit_s, limit_s)]


def _duplicate_rules() -> list[Rule]:
    return [
        absent("no kept clip has a reason to be dropped", "drop_reason"),
        absent("no kept clip is a near-duplicate of another", "dup_of"),
        present("every kept clip has been compared", "embedding_backend"),
    ]


def _speech_rules() -> list[Rule]:
    tags = ", ".join(str(tag) for tag in AudioTag)
    return [
        present("every kept clip has audio tags", "audio_tags"),
        equal(f"audio tags are of the list ({tags})", "foreign_audio_tags", 0),
        equal("one speaker is what single_speaker says, and no other clip", "speaker_tags_off", 0),
        present("every kept clip says who recognised its speech, or that nobody did", "asr_backend"),
        equal("spans lie within the kept duration", "spans_outside", 0),
        equal("without recognition there are no spans", "spans_without_recognition", 0),
    ]


def _caption_rules(validation: ValidationConfig) -> list[Rule]:
    low, high = validation.min_caption_characters, validation.max_caption_characters
    return [
        present("every kept clip has a caption", "caption"),
        present("every kept clip has a prompt", "prompt"),
        present("every caption says what made it", "caption_backend"),
        lengths("captions are of a sensible length", "caption", low, high),
        matching("speech spans in captions are closed and not nested", "caption", CAPTION_PATTERN),
        matching("speech spans in prompts are closed and not nested", "prompt", _PROMPT_PATTERN),
        equal("captions have one span per utterance", "spans_off", 0),
        equal("no caption that says nobody speaks has a span", "silent_caption_with_span", 0),
    ]


def _subset_rules(validation: ValidationConfig) -> list[Rule]:
    return [
        row_count("kept clips", validation.min_kept_clips),
        present("every kept clip is in a split", "split"),
        one_of("every kept clip is in a known split", "split", [str(split) for split in Split]),
        present("every kept clip is in a subset", "subsets"),
        equal(f"subsets are of the list ({', '.join(_SUBSETS)})", "foreign_subsets", 0),
    ]
