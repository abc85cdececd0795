"""The signature stage reads clip files alone, and can be run again."""

import av
import numpy as np
import pytest

from nava.artifacts.clip_manifest import Reason
from nava.artifacts.source_manifest import Source
from nava.data.curation.stage import Clip, SourceTask
from nava.data.curation.transcode import write_wav
from nava.data.duplicates.decision import find_duplicates
from nava.data.duplicates.signature import SOUND_BACKEND
from nava.data.duplicates.signature_shards import SHARD_NAME, SignatureShards
from nava.data.duplicates.signature_stage import SignatureStage
from nava.runtime.hashing import sha256_file
from tests.data.curation.conftest import RATE_HZ, write_media
from tests.data.duplicates.conftest import draw_clip

SOURCE = Source("src-1", "a.mp4", "0" * 64, 1, None, "", "")


def write_clip(folder, clip_id, frames, audio):
    """A clip's files, as the transcode stage leaves them."""
    row = {"clip_id": clip_id, "audio_path": f"media/{clip_id}.wav", "audio_sr": RATE_HZ}
    (folder / "media").mkdir(parents=True, exist_ok=True)
    write_wav(folder / row["audio_path"], audio, RATE_HZ)
    row |= {"modality": "audio", "audio_sha256": sha256_file(folder / row["audio_path"])}
    if frames is not None:
        row |= {"modality": "av", "video_path": f"media/{clip_id}.mp4"}
        write_media(folder / row["video_path"], frames, audio)
        row["video_sha256"] = sha256_file(folder / row["video_path"])
    return Clip(row)


@pytest.fixture
def stage(config):
    built = SignatureStage(config)
    built.setup()
    return built


@pytest.fixture
def task(tmp_path):
    frames, audio = draw_clip()
    clips = [write_clip(tmp_path, "film", frames, audio), write_clip(tmp_path, "sound", None, audio)]
    return SourceTask(SOURCE, "nowhere", tmp_path, clips=clips)


def test_every_open_clip_is_signed(stage, task):
    assert stage.process([task]) == [task]
    rows = [clip.row for clip in task.clips]
    assert [row["embedding_backend"] for row in rows] == ["dct3d/2", SOUND_BACKEND]
    assert [row["embedding_ref"] for row in rows] == [SHARD_NAME, SHARD_NAME]
    signatures = SignatureShards([task.folder / SHARD_NAME])
    assert sorted(signatures) == ["film", "sound"]
    np.testing.assert_array_equal(signatures["film"].sound, signatures["sound"].sound)


def test_a_second_run_writes_the_same_bytes(stage, task):
    stage.process([task])
    first = (task.folder / SHARD_NAME).read_bytes()
    stage.process([task])
    assert (task.folder / SHARD_NAME).read_bytes() == first
    assert sorted(path.name for path in task.folder.iterdir()) == ["media", SHARD_NAME]


def test_closed_clips_are_left_alone(stage, task):
    task.clips[0].close(Reason.BLURRED, "blurred", "filters")
    stage.process([task])
    assert "embedding_ref" not in task.clips[0].row
    assert list(SignatureShards([task.folder / SHARD_NAME])) == ["sound"]


def test_a_source_without_open_clips_has_no_shard(stage, task):
    task.reject(Reason.UNDECODABLE, "not media", "integrity")
    stage.process([task])
    assert not (task.folder / SHARD_NAME).exists()


def test_what_it_declares_is_what_it_does(stage, task):
    before = {name for clip in task.clips for name in clip.row}
    stage.process([task])
    assert {name for clip in task.clips for name in clip.row} - before == set(stage.adds)
    assert set(stage.reads) <= before


def re_encoded(tmp_path, frames, audio, crf):
    """The frames after a lossy round trip."""
    path = tmp_path / f"crf{crf}.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize("form", ["smaller", "brighter", "recompressed"])
def test_a_decoded_and_re_encoded_copy_is_found(stage, tmp_path, form, config):
    frames, audio = draw_clip(size=(128, 160))
    changed = {
        "smaller": lambda: frames[:, ::2, ::2],
        "brighter": lambda: (frames * 1.2).clip(0, 255).astype(np.uint8),
        "recompressed": lambda: re_encoded(tmp_path, frames, audio, 38),
    }[form]()
    other = draw_clip(size=(128, 160), seed=8)
    clips = [
        write_clip(tmp_path, "first", frames, audio),
        write_clip(tmp_path, "second", changed, audio * 0.8),
        write_clip(tmp_path, "third", *other),
    ]
    stage.process([SourceTask(SOURCE, "nowhere", tmp_path, clips=clips)])
    signatures = SignatureShards([tmp_path / SHARD_NAME])
    findings = find_duplicates(signatures, dict.fromkeys(signatures, (0.0,)), config)
    assert [(pair.clip_id, pair.keeper_id) for pair in findings.pairs] == [("second", "first")]
