import json

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
    assert sidecar == json.loads((tmp_path / "out" / "clip.json").read_text())
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
    for file in ("clip.mp4", "clip.json"):
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
    for broken in ("", "[]", "{}", '{"request_sha256": 1}'):
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
    for other in ('{"my": "notes"}', "[1]", "text"):
        sidecar_path(path).write_text(other)
        with pytest.raises(InputError, match=r"^output: .*clip\.json would be replaced"):
            check_overwriting(path, Request(PROMPT))
        assert sidecar_path(path).read_text() == other


def test_an_input_is_never_replaced(tmp_path):
    voice, image = tmp_path / "a.wav", tmp_path / "b.png"
    request = Request(PROMPT, image=image, voices=(parse_voice(str(voice)),))
    for path in (voice, tmp_path / "x" / ".." / "b.png"):
        with pytest.raises(InputError, match=r"^output: .* is an input of the same request"):
            check_overwriting(path, request)
    check_overwriting(tmp_path / "c.wav", request)


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
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path / "folder.mp4", pictures=True)
