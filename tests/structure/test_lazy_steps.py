"""A step that finds its work done costs a process that imports little: heavy packages wait until there is work."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "deepspeed", "mlflow", "scipy", "transformers", "diffusers", "av", "pandas", "bentoml")
STEP = re.compile(r'(?:execute|open_loop)\(\s*"(nava\.[\w.]+)\.\w+"')


def step_modules() -> list[str]:
    """The modules of the functions that components run."""
    return sorted({name for path in ROOT.glob("components/*/component.py") for name in STEP.findall(path.read_text())})


def test_modules_of_steps_import_nothing_heavy() -> None:
    modules = step_modules()
    assert {"nava.registry.gate_step", "nava.training.step", "nava.evaluation.run.steps"} <= set(modules)
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    before = set(sys.modules)\n"
        "    importlib.import_module(name)\n"
        f"    heavy = set({HEAVY!r}) & set(sys.modules) - before\n"
        "    print(name, *sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == modules
