"""The official openai client against the Service of a Workspace.

KAITO_URL is the address of the API, up to and including /v1. `make e2e` sets it.
"""

import asyncio
import json
import os
import re
import urllib.request
from collections.abc import Iterator

import jsonschema
import openai
import pytest

MODEL = "smollm2-135m-instruct"
FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
THAI = [{"role": "user", "content": "กรุงเทพมหานครเป็นเมืองหลวงของประเทศอะไร ตอบเป็นภาษาไทย"}]

# No cache of prompts: of a prompt that is cached only the end is computed again, in a batch of
# another size, whose sums may round differently. At temperature 0 one such rounding can turn a
# near tie, and with it the rest of the answer. For the same reason nothing else is asked meanwhile.
SAME = {"temperature": 0, "seed": 7, "extra_body": {"cache_prompt": False}}


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=os.environ["KAITO_URL"], api_key="none", max_retries=0, timeout=120) as c:
        yield c


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [m.id for m in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL


def test_a_chat_is_answered(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=FRANCE, max_tokens=30, **SAME)
    assert "capital of France is Paris" in answer.choices[0].message.content
    assert answer.model == MODEL
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def streamed(client: openai.OpenAI, messages: list[dict[str, str]], most: int) -> tuple[str, str, int]:
    """Return the answer, why it ended, and in how many pieces it came."""
    pieces, finish = [], None
    for chunk in client.chat.completions.create(model=MODEL, messages=messages, max_tokens=most, stream=True, **SAME):
        for choice in chunk.choices:
            if choice.delta.content:
                pieces.append(choice.delta.content)
            finish = choice.finish_reason or finish
    return "".join(pieces), finish, len(pieces)


@pytest.mark.parametrize(("messages", "most"), [(FRANCE, 30), (THAI, 40)], ids=["english", "thai"])
def test_a_stream_says_byte_for_byte_what_the_whole_answer_says(
    client: openai.OpenAI, messages: list, most: int
) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=most, **SAME).choices[0]
    text, finish, pieces = streamed(client, messages, most)
    assert text.encode() == whole.message.content.encode()
    assert finish == whole.finish_reason
    assert pieces > 3, "an answer that comes at once is no stream"


def test_thai_is_streamed_as_valid_utf8(client: openai.OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=THAI, max_tokens=40, stream=True, **SAME
    ) as response:
        raw = b"".join(response.iter_bytes())
    text = raw.decode()  # strict: a character that is cut in two raises
    said = "".join(
        choice["delta"].get("content") or ""
        for line in text.splitlines()
        if line.startswith("data: {")
        for choice in json.loads(line.removeprefix("data: "))["choices"]
    )
    assert "\ufffd" not in said, "a character was cut in two and replaced"
    assert any("\u0e00" <= c <= "\u0e7f" for c in said), f"there is no Thai in {said!r}"
    assert text.rstrip().endswith("data: [DONE]")


def test_json_by_schema(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "size": {"enum": ["small", "large"]},
            "inhabitants": {"type": "integer", "minimum": 1, "maximum": 99999999},
        },
        "required": ["city", "size", "inhabitants"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Describe the capital of France."}],
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}},
        max_tokens=100,
        **SAME,
    )
    assert answer.choices[0].finish_reason == "stop"
    jsonschema.validate(json.loads(answer.choices[0].message.content), schema)


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="no-such-model", messages=FRANCE)
    assert raised.value.code == "model_not_found"
    assert "no-such-model" in raised.value.message
    assert MODEL in raised.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


@pytest.mark.parametrize(
    ("field", "value"),
    [("messages", "hello"), ("max_tokens", "many"), ("temperature", "warm")],
)
def test_a_value_of_the_wrong_type_is_a_bad_request(client: openai.OpenAI, field: str, value: str) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**({"model": MODEL, "messages": FRANCE} | {field: value}))


def test_a_prompt_longer_than_the_context_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 10_000}])
    assert "context" in raised.value.message


def in_flight() -> int:
    with urllib.request.urlopen(os.environ["KAITO_URL"].removesuffix("/v1") + "/metrics", timeout=10) as answer:
        page = answer.read().decode()
    return int(re.search(r"^kaito_requests_in_flight (\d+)$", page, re.MULTILINE)[1])


async def fill_up(most: int) -> openai.RateLimitError:
    """Hold as many requests in flight as are allowed, and ask for one more."""
    limits = {"base_url": os.environ["KAITO_URL"], "api_key": "none", "max_retries": 0, "timeout": 120}
    async with openai.AsyncOpenAI(**limits) as client:

        def ask(tokens: int) -> asyncio.Task:
            return asyncio.create_task(
                client.chat.completions.create(
                    model=MODEL, messages=FRANCE, max_tokens=tokens, extra_body={"ignore_eos": True}
                )
            )

        held = [ask(2000) for _ in range(most)]
        try:
            async with asyncio.timeout(60):
                while await asyncio.to_thread(in_flight) < most:
                    await asyncio.sleep(0.05)
            with pytest.raises(openai.RateLimitError) as raised:
                await ask(1)
            assert not any(task.done() for task in held)
            return raised.value
        finally:
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)


def test_one_request_too_many_is_a_rate_limit_and_those_who_leave_make_room(client: openai.OpenAI) -> None:
    refused = asyncio.run(fill_up(64))
    assert refused.code == "rate_limit_exceeded"
    assert int(refused.response.headers["Retry-After"]) > 0
    answer = client.chat.completions.create(model=MODEL, messages=FRANCE, max_tokens=5, timeout=30)
    assert answer.choices[0].message.content
