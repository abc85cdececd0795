"""Settings of rewriting: the defaults need nobody, an endpoint in use must be whole, secrets are refused unseen."""

import pytest

from nava.config.annotation import AnnotationConfig, EndpointConfig
from nava.config.rewriting import RewritingConfig
from nava.runtime.errors import InputError

LOCAL = EndpointConfig("openai", "m", base_url="http://host/v1")


def test_the_defaults_ask_nobody():
    config = RewritingConfig()
    config.check()
    assert config.rewriter == "rules"
    assert config.endpoint == AnnotationConfig().rewriter


@pytest.mark.parametrize("endpoint", [LOCAL, EndpointConfig("gemini", "g", api_key_variable="GEMINI_API_KEY")])
def test_an_endpoint_that_is_whole_may_be_used(endpoint):
    RewritingConfig("endpoint", endpoint, cache_dir="/c").check()


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (RewritingConfig("model"), r"rewriting\.rewriter is 'model'; it must be rules or endpoint"),
        (RewritingConfig(on_failure="hope"), r"rewriting\.on_failure is 'hope'"),
        (RewritingConfig(max_questions=0), r"rewriting\.max_questions is 0; it must be at least 1"),
        (RewritingConfig(max_in_flight=0), r"rewriting\.max_in_flight is 0"),
        (RewritingConfig(max_cost_usd=-1.0), r"rewriting\.max_cost_usd is -1"),
        (RewritingConfig(endpoint=EndpointConfig("else")), r"rewriting\.endpoint\.provider is 'else'"),
        (RewritingConfig("endpoint", EndpointConfig("openai", "m")), r"rewriting\.endpoint\.base_url is ''"),
        (RewritingConfig("endpoint", LOCAL), r"rewriting\.cache_dir is ''; it must be a folder"),
        (
            RewritingConfig("endpoint", EndpointConfig("gemini", "g"), cache_dir="/c", max_cost_usd=1.0),
            r"rewriting\.endpoint\.input_price_usd is 0\.0; it must be above 0",
        ),
    ],
)
def test_what_no_run_could_use_is_refused(config, problem):
    with pytest.raises(InputError, match=problem):
        config.check()


@pytest.mark.parametrize(
    "endpoint",
    [
        EndpointConfig("openai", "m", base_url="http://host/v1", api_key_variable="sk-12345-hidden"),
        EndpointConfig("openai", "m", base_url="http://user:hidden@host/v1"),
    ],
)
def test_a_secret_where_a_reference_belongs_is_refused_and_not_repeated(endpoint):
    with pytest.raises(InputError, match=r"rewriting\.endpoint\.(api_key_variable|base_url)") as caught:
        RewritingConfig("endpoint", endpoint, cache_dir="/c").check()
    assert "hidden" not in str(caught.value)
