import pytest

from nava.config.composition import compose
from nava.config.source import CollectionConfig, SourceConfig
from nava.runtime.errors import InputError


def part(name="a", uri="/a", share=0.5, **values):
    return CollectionConfig(name=name, uri=uri, share=share, **values)


def test_one_uri_is_a_collection_without_a_name():
    config = SourceConfig(
        uri="s3://b", kind="ted", media="/m", licence="MIT", origin="me", endpoint_url="http://h", read_threads=2
    )
    assert config.collections() == [CollectionConfig("", "s3://b", "ted", "/m", 1.0, "MIT", "me", "http://h")]


def test_a_mixture_is_its_collections_and_nothing_is_none():
    assert SourceConfig(mixture=[part(), part("b")]).collections() == [part(), part("b")]
    assert SourceConfig().collections() == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SourceConfig(kind="video"), r"source\.kind is 'video'; it must be auto or folder or manifest or koala or ted"),
        (SourceConfig(read_threads=0), r"source\.read_threads is 0"),
        (SourceConfig(uri="/x", mixture=[part(share=1.0)]), r"source\.uri is '/x'; it must be empty where"),
        (SourceConfig(mixture=[part(), part(name=" ")]), r"source\.mixture\[1\]\.name"),
        (SourceConfig(mixture=[part(uri=""), part("b")]), r"source\.mixture\[0\]\.uri"),
        (SourceConfig(mixture=[part(kind="x"), part("b")]), r"source\.mixture\[0\]\.kind"),
        (SourceConfig(mixture=[part(share=0), part("b")]), r"source\.mixture\[0\]\.share is 0; it must be above 0"),
        (SourceConfig(mixture=[part(share=1.5), part("b")]), r"source\.mixture\[0\]\.share is 1\.5"),
        (SourceConfig(mixture=[part(), part()]), "a list whose names differ"),
        (SourceConfig(mixture=[part(share=0.2), part("b")]), r"the sum of source\.mixture\[\*\]\.share is 0\.7"),
    ],
)
def test_what_no_run_could_use_is_refused(config, message):
    with pytest.raises(InputError, match=message):
        config.check()


def test_shares_add_up_to_one_within_rounding():
    SourceConfig(mixture=[part(name, share=1 / 3) for name in "abc"]).check()


def test_a_mixture_is_given_as_one_setting():
    setting = "source.mixture=[{name:koala,uri:/k,kind:koala,share:0.2},{name:own,uri:/o,share:0.8}]"
    config = compose("demo", [setting]).config["source"]
    assert [(item["name"], item["kind"], item["share"]) for item in config["mixture"]] == [
        ("koala", "koala", 0.2),
        ("own", "auto", 0.8),
    ]
    with pytest.raises(InputError, match="the sum of"):
        compose("demo", [setting.replace("0.8", "0.7")])


def test_where_the_store_answers_and_how_fast_is_no_identity():
    one, two = (
        compose("demo", ["source.uri=s3://b", f"source.endpoint_url=http://{host}", f"source.read_threads={threads}"])
        for host, threads in (("h", 1), ("i", 9))
    )
    assert one.identity["source"] == two.identity["source"]
