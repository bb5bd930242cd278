"""Ask a hub with the real client and print as JSON what it understood."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that a download left, without the client's own."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".cache" not in path.parts
    }


def refusal(repository: str, revision: str, token: str | bool, filename: str) -> str:
    """Return the class of the error with which the client refuses a file."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            hf_hub_download(repository, filename, revision=revision, token=token, local_dir=folder)
    except Exception as err:  # noqa: BLE001 - the class is the result
        return type(err).__name__
    return ""


def main() -> None:
    """Read the questions from standard input, print the answers."""
    asked = json.load(sys.stdin)
    api = HfApi(token=asked["token"])
    with tempfile.TemporaryDirectory() as folder:
        snapshot_download(asked["repository"], revision="main", local_dir=folder, token=asked["token"])
        files = digests(Path(folder))
    entries = api.list_repo_tree(asked["repository"], recursive=True, revision="main")
    tree = {e.path: e.lfs.sha256 if e.lfs else e.blob_id for e in entries if hasattr(e, "size")}
    refusals = {
        name: refusal(r["repository"], r["revision"], r["token"] or False, r["file"])
        for name, r in asked["refusals"].items()
    }
    commit = api.model_info(asked["repository"], revision="refs/pr/1").sha
    json.dump({"commit": commit, "files": files, "tree": tree, "refusals": refusals}, sys.stdout)


if __name__ == "__main__":
    main()
