"""`nava generate` from the outside: files opened as a stranger would, bad input told in one line."""

import json
from fractions import Fraction
from pathlib import Path

import av
import pytest
from click.testing import CliRunner, Result

from nava.cli import main
from tests.generation.voice_package import (
    DIALOGUE,
    PROMPT,
    VoicePackage,
    write_image,
    write_requests,
    write_voice,
    write_voice_package,
)

AUDIO_LATENT_S = Fraction(1, 25)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> VoicePackage:
    return write_voice_package(tmp_path_factory.mktemp("generate"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Everything that a request may name, good and bad."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "text.png").write_text("not a picture")
    return {
        "image": str(write_image(folder / "red.png")),
        "voice": str(write_voice(folder / "anna.wav")),
        "other": str(write_voice(folder / "ben.wav", hertz=330.0)),
        "short": str(write_voice(folder / "short.wav", seconds=0.1)),
        "text": str(folder / "text.png"),
    }


def run(package: VoicePackage, *arguments: str) -> Result:
    given = ["generate", "--package", str(package.folder), "--public-key", str(package.key.public), *arguments]
    return CliRunner().invoke(main, given)


def streams(path: Path) -> dict[str, dict]:
    """What PyAV finds in a file; lengths in seconds."""
    found = {}
    with av.open(str(path)) as container:
        for stream in container.streams:
            length = stream.duration * stream.time_base
            if stream.type == "video":
                frames = sum(1 for _ in container.decode(stream))
                size = (stream.width, stream.height)
                found["video"] = {"s": length, "rate": stream.average_rate, "frames": frames, "size": size}
            else:
                found["audio"] = {"s": length, "rate": stream.rate, "channels": stream.channels}
    return found


TASKS = {
    "T2AV": ("a.mp4", ["--prompt", "It rains."]),
    "TI2AV": ("a.mp4", ["--prompt", "It rains.", "--image", "image"]),
    "TIA2AV": ("a.mp4", ["--prompt", DIALOGUE, "--image", "image", "--voice", "voice", "--voice", "other"]),
    "T2V": ("a.mp4", ["--prompt", "It rains.", "--task", "T2V"]),
    "T2A": ("a.wav", ["--prompt", PROMPT, "--voice", "voice"]),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_makes_a_file_of_the_right_kind(package, files, tmp_path, task):
    name, arguments = TASKS[task]
    path = tmp_path / name
    arguments = [files.get(argument, argument) for argument in arguments]
    result = run(package, *arguments, "--seconds", "1", "--seed", "7", "-o", str(path))
    assert result.exit_code == 0, result.output
    found = streams(path)
    assert set(found) == {"T2V": {"video"}, "T2A": {"audio"}}.get(task, {"video", "audio"})
    if "video" in found:
        assert found["video"] == {"s": Fraction(25, 24), "rate": 24, "frames": 25, "size": (32, 32)}
    if "audio" in found:
        assert (found["audio"]["rate"], found["audio"]["channels"]) == (16_000, 1)
    if len(found) == 2:
        assert abs(found["audio"]["s"] - found["video"]["s"]) < AUDIO_LATENT_S
    if task == "T2A":
        assert found["audio"]["s"] == 1
    sidecar = json.loads(path.with_name(f"{name}.json").read_text())
    assert (sidecar["task"], sidecar["seed"], sidecar["prompt"]) == (task, 7, arguments[1])
    assert sidecar["model"]["package_sha256"] == package.sha256
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted(["in", name, f"{name}.json"])


def test_the_same_request_gives_the_same_bytes(package, tmp_path):
    for name in ("a", "b"):
        assert run(package, "--prompt", "It rains.", "--seed", "7", "-o", str(tmp_path / f"{name}.mp4")).exit_code == 0
    assert run(package, "--prompt", "It rains.", "--seed", "8", "-o", str(tmp_path / "c.mp4")).exit_code == 0
    one, two, three = ((tmp_path / f"{name}.mp4").read_bytes() for name in "abc")
    assert one == two != three


def test_options_change_the_settings(package, tmp_path):
    path = tmp_path / "a.mp4"
    options = ["--steps", "3", "--mode", "release", "--guidance-video", "4", "--guidance-audio-align", "0"]
    result = run(package, "--prompt", "It rains.", *options, "--size", "64x48", "--frames", "5", "-o", str(path))
    assert result.exit_code == 0, result.output
    sampler = json.loads((tmp_path / "a.mp4.json").read_text())["sampler"]
    assert (sampler["steps"], sampler["mode"]) == (3, "release")
    assert (sampler["video"]["text"], sampler["audio"]["align"]) == (4.0, 0.0)
    assert streams(path)["video"]["size"] == (64, 48)
    assert "steps: 3 in" in result.output


BAD = {
    "an unbalanced <S>": (["--prompt", "<S>hello"], "prompt: "),
    "an image that is not one": (["--prompt", "x", "--image", "text"], "image: "),
    "a voice of 0.1 s": (["--prompt", PROMPT, "--voice", "short"], "voices: "),
    "a voice that is no sound": (["--prompt", PROMPT, "--voice", "text"], "voices: "),
    "a voice without a span": (["--prompt", "It rains.", "--voice", "voice"], "voices: "),
    "a seed of -1": (["--prompt", "x", "--seed", "-1"], "seed: "),
    "100 seconds": (["--prompt", "x", "--seconds", "100"], "seconds: "),
    "an image for T2A": (["--prompt", "x", "--task", "T2A", "--image", "image"], "image: "),
    "a size off the grid": (["--prompt", "x", "--size", "40x32"], "size: "),
    "a size that is none": (["--prompt", "x", "--size", "big"], "size: "),
    "an unknown task": (["--prompt", "x", "--task", "T2X"], "task: "),
    "an unknown mode": (["--prompt", "x", "--mode", "fast"], "generation.mode"),
    "no steps": (["--prompt", "x", "--steps", "0"], "generation.steps"),
    "negative guidance": (["--prompt", "x", "--guidance-video", "-1"], "guidance of video by text: "),
    "an unknown number format": (["--prompt", "x", "--dtype", "int3"], "dtype: "),
    "a device that is not there": (["--prompt", "x", "--device", "cuda:99"], "device: "),
    "a device that holds no values": (["--prompt", "x", "--device", "meta"], "device: "),
    "fewer than no blocks": (["--prompt", "x", "--offload", "-1"], "offload: "),
    "both kinds of work": (["--prompt", "x", "--requests", "r.jsonl"], "give either --prompt"),
    "a folder for one clip": (["--prompt", "x", "--output-dir", "out"], "output: "),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(package, files, tmp_path, case):
    arguments, reason = BAD[case]
    out = tmp_path / "out"
    result = run(package, *[files.get(argument, argument) for argument in arguments], "-o", str(out / "a.mp4"))
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"nava: {reason}")
    assert result.stderr.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--prompt", "x"], "output: name the file"),
        (["--prompt", "x", "-o", "a.avi"], "output: 'a.avi' must end in .mp4"),
        (["--prompt", "x", "--task", "T2AV", "-o", "a.wav"], "output: 'a.wav' is a WAV file"),
        (["--requests", "missing.jsonl", "--output-dir", "out"], "requests: missing.jsonl cannot be read"),
        (["--requests", "r.jsonl"], "output-dir: name the folder"),
        (["--requests", "r.jsonl", "--output-dir", "out", "--image", "a.png"], "image and voices of a batch"),
    ],
)
def test_where_to_write_must_be_said(package, tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    result = run(package, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"nava: {reason}")
    assert list(tmp_path.iterdir()) == []


def test_a_package_is_verified_unless_it_is_said_that_it_is_not(package, tmp_path):
    wanted = ["generate", "--package", str(package.folder), "--prompt", "x", "-o", str(tmp_path / "a.mp4")]
    (tmp_path / "no.pub").write_text("no key")
    refused = CliRunner().invoke(main, [*wanted, "--public-key", str(tmp_path / "no.pub")])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("nava: ")
    assert not (tmp_path / "a.mp4").exists()
    choice = "nava: package: give --public-key FILE to verify its signature, or --unsigned to load it unverified"
    neither = CliRunner().invoke(main, wanted)
    assert (neither.exit_code, neither.stderr) == (2, f"{choice}\n")
    both = run(package, *wanted[3:], "--unsigned")
    assert (both.exit_code, both.stderr) == (2, f"{choice}, not both\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "no.pub"]
    unverified = CliRunner().invoke(main, [*wanted, "--unsigned"])
    assert unverified.exit_code == 0, unverified.output


@pytest.mark.parametrize("option", [["--unsigned"], ["--public-key", "k.pub"]])
def test_how_a_package_is_verified_belongs_to_a_package(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["generate", "--prompt", "x", "-o", "a.mp4", *option])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"nava: {option[0].removeprefix('--')}: it belongs to --package")


def test_without_a_run_and_without_a_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["generate", "--prompt", "x", "-o", "a.mp4"])
    assert result.exit_code == 2
    assert result.stderr.startswith("nava: no run in runs/demo; `nava pipeline run lifecycle` makes one")
    both = CliRunner().invoke(main, ["generate", "--prompt", "x", "-o", "a.mp4", "--run-dir", "r", "--package", "p"])
    assert both.stderr == "nava: package: give --package or --run-dir, not both\n"


def test_a_batch_is_made_restarted_and_its_bad_lines_listed(package, files, tmp_path):
    lines = [
        {"prompt": "It rains.", "id": "rain"},
        {"prompt": PROMPT, "spk_wavs": [files["voice"]], "image_path": files["image"], "id": "voice"},
        {"prompt": "<S>unfinished", "id": "bad"},
        {"text": "wind", "task": "T2A", "id": "wind"},
    ]
    requests, out = write_requests(tmp_path / "requests.jsonl", lines), tmp_path / "out"
    arguments = ["--requests", str(requests), "--output-dir", str(out), "--seconds", "0.2"]
    first = run(package, *arguments)
    assert first.exit_code == 2, first.output
    assert first.stderr.startswith("line 3 (bad): refused: prompt: ")
    assert first.stderr.count("\n") == 1
    assert first.stdout.splitlines()[-1] == f"{out}: 3 written, 1 refused"
    made = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(path for path in made if not path.endswith(".json")) == ["rain.mp4", "voice.mp4", "wind.wav"]

    write_requests(requests, [*lines[:2], lines[3]])
    (out / "voice.mp4").unlink()
    again = run(package, *arguments)
    assert again.exit_code == 0, again.output
    assert again.stdout.splitlines()[-1] == f"{out}: 1 written, 2 finished already"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == made

    other = run(package, *arguments, "--seed", "1")
    assert other.stdout.splitlines()[-1] == f"{out}: 3 written"
