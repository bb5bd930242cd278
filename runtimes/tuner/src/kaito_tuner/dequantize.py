"""Turn a GGUF file into a folder that transformers loads: ``python3 -m kaito_tuner.dequantize FILE.gguf OUT``.

Weights become bfloat16 safetensors; tokenizer and chat template are taken from the
file. The same file gives the same bytes.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TextIO

MAGIC = b"GGUF"
WANTED = ("config.json", "tokenizer.json", "model.safetensors")


# What does the work and says what was written; the real one needs torch, tests have a fake.
Converter = Callable[[Path, Path], str]


class UnusableFileError(Exception):
    """The input cannot be converted; the message says why and what to do."""


def check(source: Path) -> None:
    """Refuse what is no GGUF file before anything heavy is imported."""
    if not source.is_file():
        raise UnusableFileError(f"there is no file {source}")
    with source.open("rb") as file:
        head = file.read(len(MAGIC))
    if head != MAGIC:
        raise UnusableFileError(f"{source} is no GGUF file: it begins with {head!r}; download it again")


def convert(source: Path, target: Path, converter: Converter) -> str:
    """Convert and check that the result is whole."""
    check(source)
    target.mkdir(parents=True, exist_ok=True)
    said = converter(source, target)
    missing = [name for name in WANTED if not (target / name).is_file()]
    if missing:
        raise UnusableFileError(f"the converted model lacks {', '.join(missing)}")
    return said


def with_transformers(source: Path, target: Path) -> str:
    """Convert with the GGUF loader of transformers."""
    import gguf
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Debian's gguf has no list of its files, so transformers cannot find the version
    # that it asks for among the installed packages, and looks here.
    if not hasattr(gguf, "__version__"):
        gguf.__version__ = metadata.version("gguf")
    folder, name = str(source.parent), source.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # Packed weights cannot be saved. Releases that have GgufConfig keep them packed
    # unless told otherwise; those before it always dequantize.
    packing = getattr(transformers, "GgufConfig", None)
    extra = {"quantization_config": packing(dequantize=True)} if packing else {}
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.bfloat16, **extra)
    # What the file says of special tokens reaches the model's configuration; the tokenizer's
    # loader takes the beginning of a turn for the end of a text.
    if isinstance(model.config.eos_token_id, int):
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(model.config.eos_token_id)
    model.save_pretrained(target, max_shard_size="1TB")
    tokenizer.save_pretrained(target)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    return f"{type(model).__name__}, {millions:.1f} M parameters, chat template: {bool(tokenizer.chat_template)}"


def main(argv: Sequence[str], out: TextIO, err: TextIO, converter: Converter) -> int:
    """Run the conversion and answer the exit code."""
    parser = argparse.ArgumentParser(prog="kaito_tuner.dequantize", description=__doc__)
    parser.add_argument("source", type=Path, metavar="FILE.gguf")
    parser.add_argument("target", type=Path, metavar="OUT")
    options = parser.parse_args(argv)
    try:
        print(convert(options.source, options.target, converter), file=out)
    except UnusableFileError as refusal:
        print(f"dequantize: {refusal}", file=err)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr, with_transformers))
