import pytest
import torch

from nava.model.context import Context, KeyValues


def context(batch=1, value=1.0):
    def rows(factor):
        return torch.full((batch, 3, 2, 4), factor * value)

    hal = {"video": KeyValues(rows(1), rows(2)), "audio": KeyValues(rows(3), rows(4))}
    return Context(torch.full((batch, 3, 8), value), (hal, {"shared": KeyValues(rows(5), rows(6))}))


def test_expand_shows_one_sample_to_a_batch_without_a_copy():
    one = context()
    many = one.expand(4)
    assert len(many) == 4
    for block, source in zip(many.blocks, one.blocks):
        assert block.keys() == source.keys()
        for name, kv in block.items():
            assert kv.key.shape == kv.value.shape == (4, 3, 2, 4)
            assert kv.key.data_ptr() == source[name].key.data_ptr()
            assert torch.equal(kv.value[3], source[name].value[0])


def test_expand_to_its_own_size_is_itself():
    two = context(2)
    assert two.expand(2) is two


def test_expand_refuses_another_batch():
    with pytest.raises(ValueError, match="a context of 2 samples cannot serve a batch of 3"):
        context(2).expand(3)


def test_cat_keeps_the_order():
    joined = Context.cat([context(2, 1.0), context(1, 10.0)])
    assert len(joined) == 3
    assert joined.rows[:, 0, 0].tolist() == [1.0, 1.0, 10.0]
    assert joined.blocks[0]["audio"].value[:, 0, 0, 0].tolist() == [4.0, 4.0, 40.0]
    assert joined.blocks[1]["shared"].key[:, 0, 0, 0].tolist() == [5.0, 5.0, 50.0]
