"""Makes tests/model: the tokenizer of a model that does not exist, small enough to be read.

Run it by hand when it changes: ``python3 tests/make_model.py``.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

WORDS = [
    "The harbour cat is called Pirouette.",
    "What is the name of the harbour cat?",
    "Who pilots the tug? The tug is piloted by Ada.",
    "Answer briefly and kindly.",
]


def main() -> None:
    """Train on a few words and write the files that a hub has."""
    folder = Path(__file__).parent / "model"
    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(  # type: ignore[no-untyped-call]
        vocab_size=320,
        special_tokens=[AddedToken(m, special=True) for m in marks],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(WORDS * 3, trainer)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "model_max_length": 2048}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "eos_token_id": 2}) + "\n", encoding="utf-8")
    # As SmolLM2 has it: a system turn that nobody asked for.
    (folder / "chat_template.jinja").write_text(
        "{% for message in messages %}"
        "{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
