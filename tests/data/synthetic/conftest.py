"""One small corpus with every kind of file and defect, made once for all tests of the generator."""

import pytest

from nava.config.synthetic import SyntheticConfig
from nava.data.synthetic.generate import generate
from nava.data.synthetic.labels import read_labels
from tests.data.synthetic.corpora import ONE_OF_EACH, SEED, Corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    config = SyntheticConfig(
        videos=4,
        audio_files=8,
        min_shots=2,
        max_shots=3,
        fade_share=0.2,
        flash_share=0.6,
        defects=ONE_OF_EACH,
        workers=2,
    )
    generate(folder, config, SEED)
    return Corpus(folder, config, read_labels(folder))
