"""The doctor's patient: the encoder with a tokenizer of whole words."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from kaito_gate import encode, model


class Libraries:
    """Templates and tokens by the real libraries, as rows go through them."""

    def encode(self, template: str, marks: Sequence[str], row: Sequence[tuple[str, str]]) -> list[int]:
        """Answer the number of tokens of a conversation, and the range to train on."""
        from tokenizers import Tokenizer, models, pre_tokenizers

        known = sorted({word for _, content in row for word in content.split()})
        words = {word: i for i, word in enumerate(known)}
        tokenizer = Tokenizer(models.WordLevel({**words, "<unk>": len(words)}, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.add_special_tokens(list(marks))
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save(str(Path(folder) / model.TOKENIZER))
            answers, _ = encode.Encoder(Path(folder), template, 100).batch("messages", [row])
        return answers[0] if isinstance(answers[0], list) else []
