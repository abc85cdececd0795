"""What the compared models' own scripts do with files: read what they are given, write under their own naming.

Written against what the scripts were seen to do, without the code under test. Each output holds the text that the model
got, so that a test sees whose it is.
"""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

# A command line that takes the arguments of the three scripts that make one clip per call.
ONE_CLIP = """
import argparse, sys
parser = argparse.ArgumentParser()
for name in ("--prompt", "--seed", "--ref_path", "--image_path", "--output_path", "--output-path", "--extra"):
    parser.add_argument(name)
parser.add_argument("--image", nargs=3)
given = parser.parse_args()
path = given.output_path + TAIL
picture = given.ref_path or given.image_path or (given.image and given.image[0])
if picture is None and NEEDS_PICTURE:
    sys.exit("no picture")
open(path, "w").write(given.prompt)
"""


def ovi(inputs: Path, outputs: Path, ranks: int = 1, seeds: int = 1) -> None:
    """inference.py: lines go to the ranks in turn, each rank counts what it writes."""
    for file in sorted(inputs.glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as opened:
            lines = list(csv.DictReader(opened))
        mode = file.stem
        assert all(Path(line["image_path"]).is_file() for line in lines if mode == "i2v")
        (outputs / mode).mkdir(parents=True, exist_ok=True)
        for rank in range(ranks):
            counter = 0
            for line in lines[rank::ranks]:
                text = line["text_prompt"]
                short = re.sub(r"<.*?>", "", text).replace(" ", "_").replace("/", "_")[:50]
                for seed in range(100, 100 + seeds):
                    (outputs / mode / f"{short}_704x1280_{seed}_{rank}_{counter}.mp4").write_text(text)
                    counter += 1


def nava_release(inputs: Path, outputs: Path, turns: int = 1) -> None:
    """inference_nava.py with the JSONL data set."""
    outputs.mkdir(parents=True, exist_ok=True)
    for number, line in enumerate((inputs / "prompts.jsonl").read_text().splitlines()):
        value = json.loads(line)
        assert all(Path(path).is_file() for path in [value.get("image_path", __file__), *value.get("spk_wavs", [])])
        path = f"idx{number}_" + value["prompt"][:20].replace(" ", "_").replace("/", "_")
        for turn in range(turns):
            (outputs / f"{path.rsplit('.', 1)[0]}-av-{turn}.mp4").write_text(value["prompt"])


def dreamid_omni(inputs: Path, outputs: Path) -> None:
    """inference_r2av.py: a folder of cases, found by their pictures."""
    outputs.mkdir(parents=True, exist_ok=True)
    root = inputs / "test_case" / "oneip"
    for case in (root / "imgs").iterdir():
        name = case.name
        assert (case / f"{name}.png").exists()
        assert (root / "audios" / name / f"{name}.wav").exists()
        text = json.loads((root / "captions" / f"{name}.json").read_text())
        (outputs / f"oneip_{name}_704x1280_100_3.mp4").write_text(text)


def seed_tts(inputs: Path, outputs: Path) -> None:
    """Whoever runs a speech model on meta.lst."""
    outputs.mkdir(parents=True, exist_ok=True)
    for line in (inputs / "meta.lst").read_text().splitlines():
        utterance, said, voice, text = line.split("|")
        assert said
        assert Path(voice).is_absolute()
        assert Path(voice).is_file()
        (outputs / f"{utterance}.wav").write_text(text)


def nava(inputs: Path, outputs: Path) -> None:
    """nava generate --requests."""
    outputs.mkdir(parents=True, exist_ok=True)
    for line in (inputs / "requests.jsonl").read_text().splitlines():
        value = json.loads(line)
        (outputs / f"{value['id']}.mp4").write_text(value["prompt"])


def item_by_item(inputs: Path, outputs: Path, tail: str = "", needs_picture: bool = False) -> int:
    """run.sh with a script that makes one clip per call; its exit code."""
    code = ONE_CLIP.replace("TAIL", repr(tail)).replace("NEEDS_PICTURE", repr(needs_picture))
    command = ["sh", str(inputs / "run.sh"), str(outputs), sys.executable, "-S", "-E", "-c", code, "--extra", "a b"]
    return subprocess.run(command, check=False, capture_output=True).returncode


def run(model: str, inputs: Path, outputs: Path) -> None:
    """The script of a model."""
    if model in ("mova", "ltx-2.3"):
        assert item_by_item(inputs, outputs, needs_picture=model == "mova") == 0
    elif model == "davinci-magihuman":
        assert item_by_item(inputs, outputs, "_4s_448x256.mp4") == 0
    elif model.startswith("ovi"):
        ovi(inputs, outputs)
    elif model in ("nava-release", "nava", "dreamid-omni"):
        {"nava-release": nava_release, "nava": nava, "dreamid-omni": dreamid_omni}[model](inputs, outputs)
    else:
        seed_tts(inputs, outputs)
