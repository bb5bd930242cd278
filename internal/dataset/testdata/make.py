"""Write the fixtures beside this file with pyarrow, which is not the reader under test.

    venv=$(hack/python.sh internal/dataset/testdata/requirements.txt)
    "$venv/bin/python" internal/dataset/testdata/make.py
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
TURN = pa.struct([("content", pa.string()), ("role", pa.string())])


def turns(i: int) -> list[dict[str, str]]:
    """Answer a conversation of one or two questions, by the number of its row."""
    said = [{"role": "system", "content": "Be brief."}] if i % 3 == 0 else []
    for turn in range(1 + i % 2):
        said.append({"role": "user", "content": f"question {i}.{turn}?"})
        said.append({"role": "assistant", "content": f"answer {i}.{turn}: ünï ไทย"})
    return said


def main() -> None:
    """Write every file."""
    rows = [turns(i) for i in range(50)]
    number = pa.array(range(50), pa.int64())
    chat = pa.table({"id": number, "messages": pa.array(rows, pa.list_(TURN))})
    large = pa.table(
        {"messages": pa.array(rows, pa.large_list(pa.struct([("role", pa.large_string()), ("content", pa.large_string())])))}
    )
    text = pa.table({"text": pa.array([None if i == 7 else f"text {i}" for i in range(50)]).dictionary_encode()})
    for codec in ("snappy", "zstd", "gzip", "brotli", "lz4", "none"):
        pq.write_table(chat, HERE / f"chat-{codec}.parquet", compression=codec, row_group_size=16)
    pq.write_table(chat, HERE / "chat-v2.parquet", data_page_version="2.0", data_page_size=256, use_dictionary=False)
    pq.write_table(large, HERE / "chat-large.parquet", data_page_size=128, write_batch_size=4)
    pq.write_table(chat, HERE / "chat-old-lists.parquet", use_compliant_nested_type=False)
    pq.write_table(text, HERE / "text-null.parquet")
    shares = pa.struct([("from", pa.string()), ("value", pa.string())])
    said = {"system": "system", "user": "human", "assistant": "gpt"}
    share = pa.table({"conversations": pa.array([[{"from": said[m["role"]], "value": m["content"]} for m in r] for r in rows], pa.list_(shares))})
    pq.write_table(share, HERE / "share.parquet")
    for table, name in ((chat, "chat"), (text, "text-null"), (large, "chat-large")):
        with pa.OSFile(str(HERE / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=16)
        with pa.OSFile(str(HERE / f"{name}-stream.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=16)


if __name__ == "__main__":
    main()
