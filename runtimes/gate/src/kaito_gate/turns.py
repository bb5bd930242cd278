"""Which part of a rendered conversation an assistant says. Nothing here needs a library."""

from collections.abc import Callable, Mapping, Sequence

from kaito_gate.template import Render

ASSISTANT = "assistant"


class PrefixError(Exception):
    """A template that writes a conversation otherwise than it would have asked for its answers."""


def spans(
    render: Render, messages: Sequence[Mapping[str, str]], end_mark: Callable[[str], bool]
) -> tuple[str, list[tuple[int, int]]]:
    """Answer the whole text, and from where to where the assistant speaks, in characters.

    A turn begins where the template asks for it, which is what a server will send: the text up to
    there must be the beginning of the whole. It ends behind its end mark; what a template writes
    between an end mark and the next turn, a line break as a rule, nobody generates.
    """
    whole = render(messages, False)
    found = []
    for i, message in enumerate(messages):
        if message["role"] != ASSISTANT:
            continue
        asked = render(messages[:i], True)
        if not whole.startswith(asked):
            raise PrefixError(f"it asks for turn {i + 1} with another text than the whole conversation has there")
        end = _end(render, messages, i, whole, len(asked))
        said = whole[len(asked) : end].rstrip()
        found.append((len(asked), len(asked) + len(said) if end_mark(said) else end))
    return whole, found


def _end(render: Render, messages: Sequence[Mapping[str, str]], i: int, whole: str, begin: int) -> int:
    """Answer where turn i ends, and what stands around it."""
    if i == len(messages) - 1:
        return len(whole)
    upto = render(messages[: i + 1], False)
    if whole.startswith(upto):
        return len(upto)
    # Templates of reasoning models write the last answer with its thoughts and those before without.
    # Every answer still ends as the last one does.
    last = messages[-1]["content"].strip()
    closing = whole[whole.rindex(last) + len(last) :] if last in whole else ""
    content = messages[i]["content"].strip()
    at = whole.find(content, begin)
    if closing and at >= begin and whole.startswith(closing, at + len(content)):
        return at + len(content) + len(closing)
    raise PrefixError(f"the conversation up to turn {i + 1} is not the beginning of the whole conversation")
