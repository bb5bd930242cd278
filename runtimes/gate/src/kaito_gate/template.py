"""Chat templates, as transformers fills them in. They come with a model: they run in jinja's sandbox."""

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Render = Callable[[Sequence[Mapping[str, str]], bool], str]

# Some templates write today's date into the system turn. Rows must be the same in every run, so it is
# the date that those templates name where they know no clock.
_TODAY = datetime.datetime(2024, 7, 26)


class TemplateError(Exception):
    """A template that cannot be read, or that refuses a conversation."""


def compiled(text: str, names: Mapping[str, str]) -> Render:
    """Compile a template; names are the special tokens that it may write."""
    from jinja2 import TemplateError as JinjaError
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %} marks what an assistant says; it writes its content as it is."""

        tags = {"generation"}  # noqa: RUF012 - jinja's own way

        def parse(self, parser: Parser) -> list[nodes.Node]:
            """Take the block for its content."""
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> None:
        raise TemplateError(message)

    def to_json(value: Any, indent: int | None = None, ensure_ascii: bool = False, **_: Any) -> str:
        return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii)

    def strftime(layout: str) -> str:
        return _TODAY.strftime(layout)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = strftime
    try:
        template = environment.from_string(text)
    except JinjaError as cause:
        raise TemplateError(str(cause)) from cause

    def render(messages: Sequence[Mapping[str, str]], prompt: bool) -> str:
        try:
            return template.render(messages=messages, tools=None, documents=None, add_generation_prompt=prompt, **names)
        except TemplateError:
            raise
        except (JinjaError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as cause:
            raise TemplateError(f"{type(cause).__name__}: {cause}") from cause

    return render
