"""CLIP's tokens against open_clip's own tokenizer, a second implementation in plain Python."""

import html
import importlib.util
import json
import string
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.errors import ConfigError, WeightsInvalid

if importlib.util.find_spec("open_clip") is None:
    pytest.skip("texts are of the extra clip", allow_module_level=True)

from imgsearch.encoders.clip import tokenizer
from imgsearch.encoders.clip.model import open_clip
from imgsearch.encoders.clip.tokenizer import Tokenizer

HARD = [
    "a dog",
    "",
    "  A   DOG's tail, isn't it? I'LL say: 'S 12345 ½ ²",
    "Ünïcödé Straße — ſ'ſ ﬁ",
    "狗在雪地里",
    "белая собака на снегу",
    "emoji 🐕‍🦺🎉 of_many..kinds!!!",
    "&lt;b&gt; &amp;amp; &#128021;",
    "e\u0301 combining, \u200bzero width\x00, tab\tnl\r\n",
    "schÃ¶n, which is mended",
    "word " * 300,
    "x" * 4000,
]


@pytest.fixture(scope="module")
def ours():
    return Tokenizer.clip(Path(open_clip().__file__).parent / "bpe_simple_vocab_16e6.txt.gz")


@pytest.fixture(scope="module")
def theirs():
    return open_clip().SimpleTokenizer()


@given(st.text(alphabet=sorted(set(map(chr, range(0x20, 0x7F))) - {"&"})))
@settings(max_examples=300, deadline=None)
def test_plain_texts_are_not_changed_by_ftfy_and_unescape(text):
    import ftfy

    assert tokenizer._PLAIN.fullmatch(text)
    assert html.unescape(html.unescape(ftfy.fix_text(text))) == text


@pytest.mark.parametrize("text", ["a & b", "ä", "a\nb", "\x1b[0m", "a\x7f", "\u201cdog\u201d"])
def test_other_texts_are_given_to_ftfy(text):
    assert not tokenizer._PLAIN.fullmatch(text)


def test_hard_texts_have_the_same_tokens(ours, theirs):
    tokens = ours(HARD)
    assert tokens.dtype == np.int64
    assert tokens.shape == (len(HARD), 77)
    np.testing.assert_array_equal(tokens, theirs(HARD).numpy())
    # the tokens of CLIP's published code
    assert tokens[0].tolist()[:5] == [
        49406,
        320,
        1929,
        49407,
        0,
    ]
    assert tokens[10, -1] == 49407  # truncated, but with an end token


def test_any_text_has_the_same_tokens(ours, theirs):
    from open_clip.tokenizer import basic_clean

    # Unicode versions differ in unassigned code points
    assigned = st.characters(codec="utf-8", exclude_categories=("Cn", "Co"))
    letters = assigned | st.sampled_from(string.printable)

    @settings(max_examples=300, deadline=None)
    @given(st.text(letters, max_size=60))
    def same(text):
        cleaned = basic_clean(text)  # which may combine unassigned code points
        odd = any(unicodedata.category(letter) == "Cn" for letter in cleaned)
        if not odd and "<start_of_text>" not in text and "<end_of_text>" not in text:
            assert ours([text]).tolist() == theirs([text]).tolist()

    same()


def test_marks_within_a_text_do_not_end_it(ours):
    tokens = ours(["a <end_of_text> dog"])[0]
    assert (tokens == 49407).sum() == 1


def test_saved_tokenizer_is_loaded(ours, tmp_path):
    ours.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    np.testing.assert_array_equal(again(HARD), ours(HARD))


def test_published_tokenizer_agrees_with_transformers(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "<s>", "</s>", "ein", "weißer", "hund", ",", "Hund"]
    ids = {word: place for place, word in enumerate(words)}
    core = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="[UNK]"))
    core.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    core.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    core.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"pad_token": {"content": "[PAD]"}}))
    texts = ["ein weißer Hund, ein hund", "ein " * 20, ""]
    reference = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "tokenizer.json"), pad_token="[PAD]", sep_token="</s>"
    )
    expected = reference(texts, max_length=8, padding="max_length", truncation=True)["input_ids"]
    tokenizer = Tokenizer.published(tmp_path, 8, {})
    np.testing.assert_array_equal(tokenizer(texts), expected)
    stripped = Tokenizer.published(tmp_path, 8, {"strip_sep_token": True})(texts)
    assert stripped.tolist() == [[0 if id_ == 3 else id_ for id_ in row] for row in expected]


def test_invalid_tokenizer_raises(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"größe": 1}')
    with pytest.raises(WeightsInvalid, match="holds no tokenizer"):
        Tokenizer.published(tmp_path, 77, {})
    with pytest.raises(WeightsInvalid, match="holds no tokenizer"):
        Tokenizer.load(tmp_path)
    with pytest.raises(ConfigError, match="not supported"):
        Tokenizer.published(tmp_path, 77, {"tokenizer_mode": "clips"})
    with pytest.raises(ConfigError, match="clean"):
        Tokenizer(None, 77, clean="upper")
