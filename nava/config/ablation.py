"""What the architecture ablation compares: five arrangements of layers at about as many parameters each."""

from dataclasses import dataclass, replace

from nava.config.checks import require, require_at_least
from nava.config.model import ModelConfig

REFERENCE = "align_then_fuse"
# The variants, and what each is to a reader.
VARIANTS = {
    REFERENCE: "HAL + UFL",
    "hal_only": "HAL only",
    "ufl_only": "UFL only",
    "dual_tower": "dual tower",
    "trimodal": "fully unified",
}


@dataclass
class AblationConfig:
    """Seeds and layer counts; the defaults go with the tiny model of the demo.

    The reference has the recipe's own layers, and so have `dual_tower` and `trimodal` (`model.num_tower_layers`,
    `model.num_trimodal_layers`). The two that lack one kind of layer get more of the other.
    """

    # Runs of each variant, from the run's seed on; of them the intervals are.
    seeds: int = 3
    hal_only_layers: int = 3
    ufl_only_layers: int = 5

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_at_least(self, "ablation", ("seeds", "hal_only_layers", "ufl_only_layers"), 1)

    def model_of(self, variant: str, model: ModelConfig) -> ModelConfig:
        """The recipe's model as a variant of the ablation; all but architecture and layers stays as it is.

        Raises:
            InputError: there is no such variant, or the recipe's model does not both align and fuse.
        """
        require(variant in VARIANTS, "the ablation's variant", variant, " or ".join(VARIANTS))
        if variant in ("dual_tower", "trimodal"):
            return replace(model, architecture=variant)
        nava = replace(model, architecture=REFERENCE)
        if variant == "hal_only":
            return replace(nava, num_hal_layers=self.hal_only_layers, num_ufl_layers=0, num_final_hal_layers=0)
        if variant == "ufl_only":
            return replace(nava, num_hal_layers=0, num_ufl_layers=self.ufl_only_layers, num_final_hal_layers=0)
        require_at_least(nava, "model", ("num_hal_layers", "num_ufl_layers"), 1)
        return nava
