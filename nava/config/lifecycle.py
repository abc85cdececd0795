"""The whole configuration of the life cycle, by section; every section has a module of its own."""

from dataclasses import dataclass, field

from nava.config.ablation import AblationConfig
from nava.config.annotation import AnnotationConfig
from nava.config.benchmark import BenchmarkConfig
from nava.config.checks import require
from nava.config.cluster import ClusterConfig
from nava.config.conditioning import ConditioningConfig
from nava.config.corpus import CorpusConfig
from nava.config.curation import CurationConfig
from nava.config.diffusion import DiffusionConfig
from nava.config.encoding import EncodingConfig
from nava.config.evaluation import EvaluationConfig
from nava.config.generation import GenerationConfig
from nava.config.latents import LatentsConfig
from nava.config.launch import LaunchConfig
from nava.config.loader import LoaderConfig
from nava.config.model import ModelConfig
from nava.config.promotion import PromotionConfig
from nava.config.registry import RegistryConfig
from nava.config.serving import ServingConfig
from nava.config.source import SourceConfig
from nava.config.speech import SpeechConfig
from nava.config.synthetic import SyntheticConfig
from nava.config.tracking import TrackingConfig
from nava.config.training import TrainingConfig
from nava.config.validation import ValidationConfig

# numpy's generators take no larger ones.
MAX_SEED = 2**32


@dataclass
class LifecycleConfig:
    """Every setting of the life cycle."""

    seed: int = 0
    source: SourceConfig = field(default_factory=SourceConfig)
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    curation: CurationConfig = field(default_factory=CurationConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    annotation: AnnotationConfig = field(default_factory=AnnotationConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    latents: LatentsConfig = field(default_factory=LatentsConfig)
    conditioning: ConditioningConfig = field(default_factory=ConditioningConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    loader: LoaderConfig = field(default_factory=LoaderConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    ablation: AblationConfig = field(default_factory=AblationConfig)
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    serving: ServingConfig = field(default_factory=ServingConfig)
    promotion: PromotionConfig = field(default_factory=PromotionConfig)

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require(0 <= self.seed < MAX_SEED, "seed", self.seed, "a whole number from 0 to 2**32 - 1")
        self.annotation.check_paid(self.speech.used_endpoints())
