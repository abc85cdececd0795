"""The bar that a terminal draws, and the plain lines elsewhere."""

from nava.runtime.progress import Progress


def test_a_bar_goes_to_stderr_and_gives_every_item(capsys):
    assert list(Progress(bar=True)(range(5), label="clips")) == list(range(5))
    seen = capsys.readouterr()
    assert "clips" in seen.err
    assert "5/5" in seen.err
    assert seen.out == ""


def test_without_a_bar_a_plain_line_says_how_many(capsys):
    assert list(Progress()(iter("ab"), label="clips")) == ["a", "b"]
    assert capsys.readouterr().out.startswith("clips: 2 in ")
