"""A sentence encoder of random weights, as Hugging Face lays it out."""

from imgsearch.encoders.frameworks import frameworks

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ein", "käfer", "hund"]


def write(folder):
    """Write a BERT of one layer that knows three words; return it and its tokenizer."""
    torch, _ = frameworks()
    import transformers

    torch.manual_seed(2)
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"), strip_accents=False)
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=80,
    )  # fmt: skip
    model = transformers.BertModel(config).eval()
    model.save_pretrained(folder)
    return model, tokenizer
