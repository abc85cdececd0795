import hashlib
import json

import pytest

from nava.artifacts.model_package import (
    assemble_package,
    load_package,
    load_unsigned,
    package_sha256,
    read_description,
    sign_package,
    write_package,
)
from nava.artifacts.signature import SignatureRefused, ensure_signing_key
from nava.artifacts.weight_files import shard_map
from nava.runtime.errors import InputError

SOURCES = {"checkpoint": "c" * 64, "shards": "s" * 64}
GENERATION = {"fps": 24.0, "video_shape": [48, 13, 4, 4], "audio_shape": [52, 64], "sampler": {"steps": 20}}


@pytest.fixture
def key(tmp_path):
    return ensure_signing_key(tmp_path / "keys")


@pytest.fixture
def made_from(tmp_path):
    checkpoint, codec = tmp_path / "checkpoint", tmp_path / "codec"
    checkpoint.mkdir()
    (codec / "video").mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    (checkpoint / "model_config.json").write_text('{"dim": 8}')
    (checkpoint / "training_weights.safetensors").write_bytes(b"not part of a package")
    (codec / "video" / "config.json").write_text("{}")
    return {"checkpoint": checkpoint, "codec": codec}


def build(folder, made_from, **changes):
    folder.mkdir()
    arguments = {
        **made_from,
        "card": "# card",
        "model_name": "nava",
        "licence": "MIT",
        "sources": SOURCES,
        "generation": GENERATION,
    }
    return write_package(folder, **{**arguments, **changes})


@pytest.fixture
def package(tmp_path, made_from, key):
    build(tmp_path / "package", made_from)
    sign_package(tmp_path / "package", key)
    return tmp_path / "package"


def test_a_package_holds_what_is_needed_and_nothing_else(package, key):
    loaded = load_package(package, key.public)
    names = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert names == {
        "model.safetensors",
        "config.json",
        "codec/video/config.json",
        "generation.json",
        "README.md",
        "package.json",
        "signature.json",
    }
    assert loaded.weights.read_bytes() == b"weights"
    assert json.loads(loaded.model_config.read_text()) == {"dim": 8}
    assert loaded.description.sources == SOURCES
    assert loaded.description.licence == "MIT"
    assert set(loaded.description.files) == names - {"package.json", "signature.json"}


def test_the_hash_is_of_the_content_and_leaves_the_signature_out(tmp_path, made_from, key, package):
    first = package_sha256(package)
    assert build(tmp_path / "again", made_from) == first
    sign_package(tmp_path / "again", key)
    assert (tmp_path / "again" / "signature.json").read_bytes() != (package / "signature.json").read_bytes()
    assert package_sha256(tmp_path / "again") == first
    assert build(tmp_path / "other", made_from, card="# another card") != first


def test_a_good_signature_is_kept_and_a_bad_one_replaced(package, key):
    signature = package / "signature.json"
    before = signature.read_bytes()
    sign_package(package, key)
    assert signature.read_bytes() == before
    signature.write_text("{}")
    sign_package(package, key)
    load_package(package, key.public)


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "config.json", "codec/video/config.json", "generation.json", "README.md", "package.json"],
)
def test_tampering_with_any_file_is_refused_by_name(package, key, name):
    (package / name).write_bytes((package / name).read_bytes() + b" ")
    with pytest.raises(SignatureRefused, match=name):
        load_package(package, key.public)


def test_nothing_is_read_before_the_signature_is_good(package, key):
    (package / "package.json").write_text("this is not JSON")
    with pytest.raises(SignatureRefused, match=r"package\.json"):
        load_package(package, key.public)


def test_another_signed_package_does_not_pass_for_the_wanted_one(package, key):
    assert load_package(package, key.public, package_sha256(package)).sha256 == package_sha256(package)
    with pytest.raises(SignatureRefused, match="is wanted"):
        load_package(package, key.public, "0" * 64)


def test_a_missing_package_is_said(tmp_path, key):
    with pytest.raises(InputError, match="no model package"):
        load_package(tmp_path / "nowhere", key.public)


@pytest.mark.parametrize("name", ["model.safetensors", "model_config.json"])
def test_an_incomplete_checkpoint_is_refused(tmp_path, made_from, name):
    (made_from["checkpoint"] / name).unlink()
    with pytest.raises(InputError, match=name):
        build(tmp_path / "package", made_from)


def test_shards_without_codecs_are_refused(tmp_path, made_from):
    with pytest.raises(InputError, match="codec"):
        build(tmp_path / "package", made_from | {"codec": tmp_path / "nowhere"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 9}, "schema version 9"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_description_of_another_schema_is_refused(package, change, message):
    path = package / "package.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message):
        read_description(package)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"files":', "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read as JSON"),
        (b"[1, 2]", "no JSON object"),
        (b"null", "no JSON object"),
    ],
)
def test_a_damaged_description_is_refused_in_one_line(package, content, message):
    (package / "package.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_description(package)
    assert "package.json" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": ["README.md"]}, "files must be an object"),
        ({"files": {"README.md": 3}}, "files must be an object"),
        ({"sources": None}, "sources must be an object"),
        ({"licence": 3}, "licence must be text"),
    ],
)
def test_a_description_with_values_of_another_kind_is_refused(package, change, message):
    path = package / "package.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message):
        read_description(package)


def test_an_unsigned_package_is_the_signed_one_without_its_signature(package, key):
    signed = load_package(package, key.public)
    assert load_unsigned(package) == signed
    (package / "signature.json").unlink()
    assert load_unsigned(package) == signed


@pytest.mark.parametrize("extra", ["model.safetensors.index.json", "codec/timbre/config.json", ".hidden"])
def test_an_unsigned_package_has_no_file_that_its_description_lacks(package, extra):
    (package / extra).parent.mkdir(exist_ok=True)
    (package / extra).write_text("{}")
    with pytest.raises(InputError, match=rf"{extra} is no file of the package, which package\.json lists: remove it"):
        load_unsigned(package)


def test_an_unsigned_package_leads_nowhere_else(package, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "config.json").write_text("{}")
    (package / "codec" / "timbre").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(InputError, match="timbre is no file of the package"):
        load_unsigned(package)
    (package / "codec" / "timbre").unlink()
    path = package / "package.json"
    value = json.loads(path.read_text())
    value["files"]["../elsewhere/config.json"] = hashlib.sha256(b"{}").hexdigest()
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"lacks \.\./elsewhere/config\.json"):
        load_unsigned(package)


def test_an_unsigned_package_that_is_not_whole_is_refused(package):
    (package / "README.md").write_text("another")
    with pytest.raises(InputError, match=r"README\.md is not the file that the package was made with"):
        load_unsigned(package)
    (package / "README.md").unlink()
    with pytest.raises(InputError, match=r"lacks README\.md"):
        load_unsigned(package)


def assemble(folder, weights, codec, **changes):
    folder.mkdir()
    arguments = {
        "weights": weights,
        "config": {"dim": 8},
        "codec": codec,
        "generation": GENERATION,
        "card": "# card\n",
        "model_name": "nava",
        "licence": "MIT",
        "sources": {},
    }
    return assemble_package(folder, **{**arguments, **changes})


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"nava-{number}.safetensors").write_bytes(b"%d" % number)
    weight_map = {"a": "nava-1.safetensors", "b": "nava-2.safetensors"}
    (folder / "nava.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder / "nava.safetensors.index.json"


def test_weights_in_shards_come_with_their_index(tmp_path, made_from, shards, key):
    sha256 = assemble(tmp_path / "package", shards, made_from["codec"])
    sign_package(tmp_path / "package", key)
    loaded = load_package(tmp_path / "package", key.public, sha256)
    assert loaded.weights.name == "model.safetensors.index.json"
    assert shard_map(loaded.weights)["b"] == "nava-2.safetensors"
    assert (loaded.folder / "nava-2.safetensors").read_bytes() == b"2"
    (loaded.folder / "nava-2.safetensors").write_bytes(b"3")
    with pytest.raises(SignatureRefused, match=r"nava-2\.safetensors"):
        load_package(tmp_path / "package", key.public)


def test_weights_are_linked_and_not_copied(tmp_path, made_from, shards):
    assemble(tmp_path / "package", shards, made_from["codec"])
    assert (tmp_path / "package" / "nava-1.safetensors").samefile(shards.parent / "nava-1.safetensors")
    (tmp_path / "link.safetensors").symlink_to(shards.parent / "nava-1.safetensors")
    assemble(tmp_path / "other", tmp_path / "link.safetensors", made_from["codec"])
    assert not (tmp_path / "other" / "model.safetensors").is_symlink()
    assert (tmp_path / "other" / "model.safetensors").read_bytes() == b"1"


def test_a_shard_that_is_missing_is_named(tmp_path, made_from, shards):
    (shards.parent / "nava-2.safetensors").unlink()
    with pytest.raises(InputError, match=r"names nava-2\.safetensors, which is not beside it"):
        assemble(tmp_path / "package", shards, made_from["codec"])
    with pytest.raises(InputError, match="no weights at"):
        assemble(tmp_path / "other", tmp_path / "nowhere.safetensors", made_from["codec"])


def test_links_among_the_codecs_are_refused(tmp_path, made_from, shards):
    (made_from["codec"] / "video" / "weights.pth").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"weights\.pth is a link"):
        assemble(tmp_path / "package", shards, made_from["codec"])


def test_the_card_lists_the_licence_of_every_referenced_file(tmp_path, made_from, shards):
    reference = {
        "file": "ltx.safetensors",
        "sha256": "5" * 64,
        "size_bytes": 9,
        "repository": "Lightricks/LTX-2.3",
        "licence": "LTX-2 Community License",
    }
    (made_from["codec"] / "audio").mkdir()
    (made_from["codec"] / "audio" / "config.json").write_text(json.dumps({"reference": reference}))
    assemble(tmp_path / "package", shards, made_from["codec"])
    card = (tmp_path / "package" / "README.md").read_text()
    assert card.startswith("# card\n")
    assert "| audio | ltx.safetensors | Lightricks/LTX-2.3 | LTX-2 Community License |" in card
    assert "not an open-source licence" in card


def test_negative_prompts_are_optional(tmp_path, made_from, shards, key):
    texts = {"video": "blurred", "audio": "muffled", "joint": "both"}
    for name, given in (("with", texts), ("without", None)):
        assemble(tmp_path / name, shards, made_from["codec"], negative_prompts=given)
        sign_package(tmp_path / name, key)
    found = load_package(tmp_path / "with", key.public).negative_prompts
    assert found is not None
    assert json.loads(found.read_text()) == texts
    assert load_package(tmp_path / "without", key.public).negative_prompts is None


def test_the_hash_does_not_depend_on_how_it_was_made(tmp_path, made_from):
    """Folders sort before files whose names go on after theirs; a package of the first release keeps its address."""
    (made_from["codec"] / "video.txt").write_text("beside the folder video")
    made = build(tmp_path / "package", made_from)
    assert made == package_sha256(tmp_path / "package")
    files = sorted(path for path in (tmp_path / "package").rglob("*") if path.is_file())
    lines = [
        f"{path.relative_to(tmp_path / 'package').as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path in files
    ]
    assert made == hashlib.sha256("".join(lines).encode()).hexdigest()
