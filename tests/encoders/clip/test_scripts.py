import pytest

from imgsearch.encoders.clip.scripts import unknown


@pytest.mark.parametrize(
    ("text", "languages", "script"),
    [
        ("a white dog, 12 €", ("en",), ""),
        ("Straße, naïve, ª µ ℵ 𝒜", ("en",), ""),  # symbols and accents are not separate scripts
        ("ＦＵＬＬ width", ("en",), ""),
        ("一只白狗", ("en",), "Han"),
        ("一只白狗", ("zh",), ""),
        ("いぬと犬", ("ja",), ""),
        ("いぬ", ("zh",), "Hiragana"),
        ("ｲﾇ", ("en",), "Katakana"),
        ("개", ("ko",), ""),
        ("белая собака", ("en", "de"), "Cyrillic"),
        ("белая собака", ("uk",), ""),
        ("a dog κύων", ("en",), "Greek"),
        ("كلب", ("fa",), ""),
        ("كلب", ("he",), "Arabic"),
        ("anything: 犬 κύων", ("mul",), ""),
        ("🐕 123 !?", ("en",), ""),
        ("", ("en",), ""),
    ],
)
def test_first_unknown_script_is_named(text, languages, script):
    assert unknown(text, languages) == script
