"""The adapter to tokenizers and jinja2. Both are imported inside the functions."""

from collections.abc import Mapping, Sequence


class Libraries:
    """Templates and tokens by the real libraries."""

    def render(self, template: str, messages: Sequence[Mapping[str, str]]) -> str:
        """Fill a chat template. It comes with a model, so it runs in jinja's sandbox."""
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        return str(ImmutableSandboxedEnvironment().from_string(template).render(messages=messages))

    def count(self, text: str) -> int:
        """Count the tokens of a text with a tokenizer of whole words."""
        from tokenizers import Tokenizer, models, pre_tokenizers

        words = {word: i for i, word in enumerate(sorted(set(text.split())))}
        tokenizer = Tokenizer(models.WordLevel({**words, "<unk>": len(words)}, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        return len(tokenizer.encode(text).ids)
