"""Seeds that depend on what they are for."""

import subprocess
import sys

from nava.runtime.seeding import derived_seed, generator_for


def test_derived_seeds_are_fixed_for_ever() -> None:
    assert derived_seed(0, 1, "modality", 2) == 9078129861467683827
    assert derived_seed(1, 11) != derived_seed(11, 1)
    assert 0 <= derived_seed("x") < 2**63
    assert generator_for("x").initial_seed() == derived_seed("x")


def test_seeds_need_no_torch() -> None:
    code = (
        "import sys; from nava.runtime.seeding import derived_seed; derived_seed(1); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
