import json
from pathlib import Path

import av
import pytest

from nava.generation.output import check_output, check_overwriting, is_finished, sidecar_path, write_output
from nava.generation.request import Request, Task, parse_voice
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file
from tests.generation.voice_package import PROMPT, RATE, SIZE


def written(generator, path, **given):
    request = Request(**({"prompt": PROMPT, "seed": 7} | given))
    (clip,) = generator.generate([request])
    return write_output(clip, path, generator), generator.plan(request)


def test_a_clip_lies_beside_what_says_how_it_was_made(generator, tmp_path):
    path = tmp_path / "out" / "clip.mp4"
    sidecar, plan = written(generator, path)
    assert sidecar == json.loads((tmp_path / "out" / "clip.mp4.json").read_text())
    assert (sidecar["file"], sidecar["sha256"]) == ("clip.mp4", sha256_file(path))
    assert sidecar["clip"] == {
        "frames": 9,
        "height": SIZE,
        "width": SIZE,
        "fps": 24.0,
        "samples": 6_000,
        "sample_rate_hz": RATE,
        "channels": 1,
    }
    assert sidecar["model"]["parts"].keys() == {"video", "audio", "text", "timbre"}
    with av.open(str(path)) as container:
        assert container.metadata["title"] == PROMPT
        assert json.loads(container.metadata["comment"])["request_sha256"] == sidecar["request_sha256"]
    assert is_finished(path, plan, generator)


def test_equal_requests_give_equal_files(generator, tmp_path):
    for name in ("a", "b"):
        written(generator, tmp_path / name / "clip.mp4")
    for file in ("clip.mp4", "clip.mp4.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_what_is_not_whole_or_of_another_request_is_not_finished(generator, tmp_path):
    path = tmp_path / "clip.mp4"
    _, plan = written(generator, path)
    assert not is_finished(path, generator.plan(Request(PROMPT, 8)), generator)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert not is_finished(path, plan, generator)
    path.unlink()
    assert not is_finished(path, plan, generator)
    path.write_bytes(content)
    assert is_finished(path, plan, generator)
    described = json.loads(sidecar_path(path).read_text())
    for broken in ("", "[]", "{}", '{"request_sha256": 1}', json.dumps(described | {"file": "other.mp4"})):
        sidecar_path(path).write_text(broken)
        assert not is_finished(path, plan, generator)
    sidecar_path(path).unlink()
    assert not is_finished(path, plan, generator)


def test_sound_alone_is_a_wav(generator, tmp_path):
    sidecar, _ = written(generator, tmp_path / "a.wav", task=Task.T2A, seconds=0.5)
    assert sidecar["clip"] == {"samples": 8_000, "sample_rate_hz": RATE, "channels": 1}
    with av.open(str(tmp_path / "a.wav")) as container:
        assert container.metadata["title"] == PROMPT


def test_only_an_earlier_output_is_replaced(generator, tmp_path):
    path = tmp_path / "clip.mp4"
    check_overwriting(path, Request(PROMPT))
    written(generator, path)
    check_overwriting(path, Request(PROMPT, 8))
    described = json.loads(sidecar_path(path).read_text())
    for other in ('{"my": "notes"}', "[1]", "text", json.dumps(described | {"file": "other.mp4"})):
        sidecar_path(path).write_text(other)
        with pytest.raises(InputError, match=r"^output: .*clip\.mp4\.json would be replaced.*; move it away, or name"):
            check_overwriting(path, Request(PROMPT))
        assert sidecar_path(path).read_text() == other


def test_a_file_that_is_not_ours_is_never_replaced(generator, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"a stranger's film")
    refusal = (
        r"^output: .*clip\.mp4 would be replaced, and no clip\.mp4\.json says .*; move it away, or name another file"
    )
    with pytest.raises(InputError, match=refusal):
        check_overwriting(path, Request(PROMPT))
    with pytest.raises(InputError, match=refusal):
        written(generator, path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("clip.mp4", b"a stranger's film")]

    path.unlink()
    written(generator, path)
    path.write_bytes(path.read_bytes() + b"edited")
    with pytest.raises(InputError, match=refusal):
        check_overwriting(path, Request(PROMPT))


def test_film_and_sound_of_one_name_keep_a_sidecar_each(generator, tmp_path):
    film, _ = written(generator, tmp_path / "same.mp4")
    sound, _ = written(generator, tmp_path / "same.wav", task=Task.T2A)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "same.mp4",
        "same.mp4.json",
        "same.wav",
        "same.wav.json",
    ]
    for name, sidecar in (("same.mp4", film), ("same.wav", sound)):
        assert json.loads(sidecar_path(tmp_path / name).read_text()) == sidecar
        assert sidecar["sha256"] == sha256_file(tmp_path / name)


@pytest.mark.parametrize("seed", [7, 8])
def test_a_kill_between_media_file_and_sidecar_leaves_what_may_be_replaced(generator, tmp_path, monkeypatch, seed):
    path = tmp_path / "clip.mp4"
    if seed == 8:
        written(generator, path)

    def killed(clip):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("nava.generation.output._measures", killed)
        with pytest.raises(KeyboardInterrupt):
            written(generator, path, seed=seed)
    assert path.is_file()
    assert not is_finished(path, generator.plan(Request(PROMPT, seed)), generator)
    sidecar, plan = written(generator, path, seed=seed)
    assert is_finished(path, plan, generator)
    assert "unfinished" not in sidecar


def test_a_clip_that_cannot_be_written_leaves_what_was_there(generator, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("no space left on device")

    path = tmp_path / "clip.mp4"
    with monkeypatch.context() as patched:
        patched.setattr("nava.generation.pipeline.write_mp4", full)
        with pytest.raises(OSError, match="no space"):
            written(generator, path)
    assert list(tmp_path.iterdir()) == []
    written(generator, path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr("nava.generation.pipeline.write_mp4", full)
        with pytest.raises(OSError, match="no space"):
            written(generator, path, seed=8)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_input_is_never_replaced(tmp_path):
    voice, image = tmp_path / "a.wav", tmp_path / "b.png"
    request = Request(PROMPT, image=image, voices=(parse_voice(str(voice)),))
    for path in (voice, tmp_path / "x" / ".." / "b.png"):
        with pytest.raises(InputError, match=r"^output: .* is an input of the same request"):
            check_overwriting(path, request)
    check_overwriting(tmp_path / "c.wav", request)
    check_overwriting(tmp_path / "c.wav", Request(PROMPT, image=Path("a\0b")))


def test_the_longest_name_can_be_written(generator, tmp_path):
    path = tmp_path / ("a" * 231 + ".mp4")
    sidecar, plan = written(generator, path)
    assert sidecar["file"] == path.name
    assert is_finished(path, plan, generator)


def test_the_name_says_the_format(tmp_path):
    check_output(tmp_path / "a.mp4", pictures=True)
    check_output(tmp_path / "a.MP4", pictures=False)
    check_output(tmp_path / "a.wav", pictures=False)
    for name, pictures, message in (
        ("a.avi", True, r"must end in \.mp4"),
        ("a", False, r"must end in \.mp4"),
        ("a.json", False, r"must end in \.mp4"),
        ("a.wav", True, "holds no pictures"),
    ):
        with pytest.raises(InputError, match=f"^output: .*{message}"):
            check_output(tmp_path / name, pictures=pictures)
    for name, message in (
        ("a" * 300 + ".mp4", "longer than 235 bytes"),
        ("a" * 232 + ".mp4", "longer than 235 bytes"),
        ("a\0b.mp4", "NUL"),
        ("a\ud800.mp4", "no text in UTF-8"),
        ("a" * 300 + "/a.mp4", "name too long"),
    ):
        with pytest.raises(InputError, match=f"^output: .*(?i:{message}).*; name another file"):
            check_output(tmp_path / name, pictures=True)
    check_output(tmp_path / ("a" * 231 + ".mp4"), pictures=True)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path / "folder.mp4", pictures=True)
