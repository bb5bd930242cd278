"""Compare a model with and without an adapter: ``python3 -m kaito_tuner.evaluate --help``.

For every row that was held out (``messages``, JSON lines) the log-probability of its
answer, end mark included, under both, and what both answer by themselves; for every
prompt (one a line) what both answer. Figures and answers are printed as they are.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

Message = dict[str, str]

# Tokens of an answer at most.
ANSWER = 40


class Model(Protocol):
    """What is compared; the real one needs torch, tests have a fake."""

    def score(self, question: Sequence[Message], answer: str, tuned: bool) -> tuple[float, int]:
        """Answer the log-probability of an answer, in nats, and the number of its tokens."""

    def say(self, question: Sequence[Message], tuned: bool) -> str:
        """Answer greedily."""


@dataclass(frozen=True)
class Row:
    """A conversation up to its last question, and the answer."""

    question: Sequence[Message]
    answer: str


@dataclass(frozen=True)
class Scored:
    """A row with what base and tuned model make of it, in this order."""

    row: Row
    chances: tuple[float, float]
    tokens: int
    said: tuple[str, str] | None


def read_rows(text: str) -> list[Row]:
    """Read conversations, one a line; each ends with an answer."""
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            *question, answer = json.loads(line)["messages"]
            if not question or answer["role"] != "assistant":
                raise ValueError("it does not end with an answer")
            rows.append(Row(question, str(answer["content"])))
        except (ValueError, KeyError, TypeError) as cause:
            raise ValueError(f"line {number} is no conversation: {cause}") from cause
    return rows


def asked(prompt: str) -> list[Message]:
    """Put a question."""
    return [{"role": "user", "content": prompt}]


def scored(model: Model, rows: Sequence[Row], *, answers: bool = True) -> list[Scored]:
    """Ask both for each row; what they answer by themselves takes a hundred times as long."""
    found = []
    for row in rows:
        (base, tokens), (tuned, _) = (model.score(row.question, row.answer, tuned) for tuned in (False, True))
        said = (model.say(row.question, False), model.say(row.question, True)) if answers else None
        found.append(Scored(row, (base, tuned), tokens, said))
    return found


def tell(out: TextIO, rows: Sequence[Scored], prompts: Sequence[tuple[str, str, str]]) -> None:
    """Print the comparison."""
    for found in rows:
        base, tuned = found.chances
        said = found.said or ("", "")
        print(f"? {found.row.question[-1]['content']}", file=out)
        print(f"  wanted              {found.row.answer}", file=out)
        print(f"  base  {base:9.2f}     {said[0]}".rstrip(), file=out)
        print(f"  tuned {tuned:9.2f}     {said[1]}".rstrip(), file=out)
    for prompt, base_said, tuned_said in prompts:
        print(f"? {prompt}\n  base                {base_said}\n  tuned               {tuned_said}", file=out)
    if rows:
        tokens = sum(found.tokens for found in rows)
        better = sum(found.chances[1] > found.chances[0] for found in rows)
        print(f"\nheld-out rows                          {len(rows)}, {tokens} tokens of answers", file=out)
        print(f"the answer is likelier when tuned      {better} of {len(rows)}", file=out)
        for place, name in ((0, "base"), (1, "tuned")):
            total = sum(found.chances[place] for found in rows)
            print(f"{name:6} log-probability of the answers  {total:.2f}, {total / tokens:.3f} a token", file=out)
            answers = [(found.said[place].strip(), found.row.answer) for found in rows if found.said]
            if answers:
                right = sum(said == wanted for said, wanted in answers)
                print(f"{name:6} answers word for word            {right} of {len(answers)}", file=out)
    if prompts:
        same = sum(base_said == tuned_said for _, base_said, tuned_said in prompts)
        print(f"unrelated prompts answered the same    {same} of {len(prompts)}", file=out)


def main(argv: Sequence[str], out: TextIO, load: Callable[[Path, Path, str | None], Model]) -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(prog="kaito_tuner.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--adapter", type=Path, required=True, metavar="DIR")
    parser.add_argument("--rows", type=Path, required=True, metavar="FILE", help="conversations that were held out")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="unrelated questions, one a line")
    parser.add_argument("--scores", action="store_true", help="only the log-probabilities, which takes seconds")
    parser.add_argument("--template", type=Path, metavar="FILE", help="a chat template that goes before the model's")
    said = parser.parse_args(argv)
    rows = read_rows(said.rows.read_text(encoding="utf-8"))
    prompts = said.prompts.read_text(encoding="utf-8").splitlines() if said.prompts else []
    template = said.template.read_text(encoding="utf-8") if said.template else None
    model = load(said.model, said.adapter, template)
    answered = [(p, model.say(asked(p), False), model.say(asked(p), True)) for p in prompts if p.strip()]
    tell(out, scored(model, rows, answers=not said.scores), answered)
    return 0


class Loaded:
    """A base model with an adapter that can be left out."""

    def __init__(self, model: Path, adapter: Path, template: str | None) -> None:
        """Load both in float32."""
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        if template:
            self.tokenizer.chat_template = template
        base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        # With this a model ends its answers, whatever its tokenizer calls the end of a text.
        ends = base.generation_config.eos_token_id
        self.end = int(ends[0] if isinstance(ends, list) else ends)
        self.model = PeftModel.from_pretrained(base, str(adapter)).eval()

    def _ids(self, question: Sequence[Message]) -> list[int]:
        text = self.tokenizer.apply_chat_template(list(question), add_generation_prompt=True, tokenize=False)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _with(self, tuned: bool) -> Any:
        import contextlib

        return contextlib.nullcontext() if tuned else self.model.disable_adapter()

    def score(self, question: Sequence[Message], answer: str, tuned: bool) -> tuple[float, int]:
        """Sum the log-probability over the answer's tokens and its end mark."""
        torch, before = self.torch, self._ids(question)
        wanted = list(self.tokenizer(answer, add_special_tokens=False)["input_ids"])
        wanted.append(self.end)
        with torch.no_grad(), self._with(tuned):
            logits = self.model(input_ids=torch.tensor([before + wanted])).logits[0, len(before) - 1 : -1]
        chances = torch.log_softmax(logits.double(), dim=-1)
        return float(chances.gather(1, torch.tensor(wanted).unsqueeze(1)).sum()), len(wanted)

    def say(self, question: Sequence[Message], tuned: bool) -> str:
        """Answer greedily."""
        ids = self.torch.tensor([self._ids(question)])
        with self.torch.no_grad(), self._with(tuned):
            made = self.model.generate(
                input_ids=ids,
                attention_mask=self.torch.ones_like(ids),
                max_new_tokens=ANSWER,
                do_sample=False,
                pad_token_id=self.end,
            )
        return " ".join(self.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True).split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, Loaded))
