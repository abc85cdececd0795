import pytest

from nava.evaluation.scoring.text_normalisers import CHINESE_PUNCTUATION, PROFILES, text_profile
from nava.runtime.errors import InputError


@pytest.mark.parametrize(
    ("profile", "text", "expected"),
    [
        ("seed_tts_en", "It's a well-known fact.", "it's a wellknown fact"),
        ("seed_tts_en", "It’s “so”…", "its so"),  # the curly apostrophe goes, the straight one stays
        ("seed_tts_en", "a , b", "a b"),
        ("seed_tts_en", "a  ,  b", "a  b"),  # four spaces, one pass
        ("seed_tts_en", "50 turns", "50 turns"),
        ("seed_tts_zh", "今天天气很好。", "今 天 天 气 很 好"),
        ("seed_tts_zh", "好OK！", "好 O K"),
        ("verse_bench", "  Hello, World! ", "hello, world!"),
        ("verse_bench", "今天天气很好。", "今天天气很好。"),
        ("nfkc_cjk", " Ｈello，  WORLD's！ ", "hello worlds"),
        ("nfkc_cjk", "今天OK吗？", "今 天 ok 吗"),
        ("nfkc_cjk", "カタカナ ひらがな", "カ タ カ ナ ひ ら が な"),
        ("nfkc_cjk", "안녕 하세요", "안녕 하세요"),
        ("nfkc_cjk", "①½", "1 1⁄2".replace(" ", "")),
    ],
)
def test_profiles(profile, text, expected):
    assert PROFILES[profile].normalise(text) == expected


def test_seeds_set_of_chinese_punctuation():
    assert set("，。！？；：（）《》「」『』【】、…—·‘’“”～　") <= CHINESE_PUNCTUATION
    assert not CHINESE_PUNCTUATION & set("．‚aA1中あ '")


def test_profiles_by_name():
    assert text_profile("nfkc_cjk").name == "nfkc_cjk"
    with pytest.raises(InputError, match="seed_tts_en, seed_tts_zh, verse_bench, nfkc_cjk"):
        text_profile("whisper")
