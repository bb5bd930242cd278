#!/usr/bin/env python3
"""Ask the real `vllm serve` parser, without torch and without a GPU.

  vllm_flags.py table OUT.json    write the table of flags that internal/engine/flags embeds
  vllm_flags.py pipelined OUT.txt write the architectures that internal/estimate may spread over stages
  vllm_flags.py check FILE        FILE: one JSON list of arguments a line; say which the parser refuses

Run it with vLLM's wheel, unpacked, on PYTHONPATH: hack/verify-vllm.sh does. What the parser imports and is not
installed (torch, transformers, zmq, ...) is replaced by mocks, one module at a time, until the import goes through;
vLLM's own documentation is built the same way. Compared once with real torch: the same 322 flags, no difference.
"""

import ast
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import json
import os
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from unittest.mock import MagicMock

os.environ.setdefault("VLLM_TARGET_DEVICE", "empty")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

CLI = "vllm.entrypoints.common.cli_args"


class Meta(type):
    """Classes that are not there can be subclassed, called, indexed, joined by | and asked for anything."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)

    def __getitem__(cls, item):
        return cls


class Dummy(metaclass=Meta):
    def __init_subclass__(cls, **_):
        pass

    def __init__(self, *_, **__):
        pass

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        from pydantic_core import core_schema

        return core_schema.any_schema()


class MockModule(types.ModuleType):
    def __getattr__(self, name):
        if name == "__version__":
            return "99.0"
        if name.startswith("__"):
            raise AttributeError(name)
        if name[0].isupper() or name in ("dtype", "device"):
            bases = (Exception,) if name.endswith(("Error", "Exception")) else (Dummy,)
            value = Meta(name, bases, {})
        else:
            value = MagicMock(name=name)
        setattr(self, name, value)
        return value


class Finder:
    """Answers for every submodule of the packages that turned out to be missing."""

    roots = {"vllm._C", "vllm._C_stable_libtorch", "vllm._moe_C"}  # compiled for GPUs

    def find_spec(self, name, path=None, target=None):
        if any(name == r or name.startswith(r + ".") for r in self.roots):
            return ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = MockModule(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module):
        pass


def build():
    """The parser of `vllm serve`, and the module that it comes from."""
    sys.meta_path.append(Finder())
    # Looked at only to check a custom executor class; pulls in everything.
    sys.modules["vllm.v1.executor"] = Finder().create_module(ModuleSpec("vllm.v1.executor", None))
    known = importlib.metadata.version

    def version(name):
        try:
            return known(name)
        except importlib.metadata.PackageNotFoundError:
            if name.replace("-", "_") not in Finder.roots:
                raise
            return "99.0"

    importlib.metadata.version = version
    for _ in range(100):
        try:
            platforms = importlib.import_module("vllm.platforms")
            if platforms.current_platform.is_unspecified():  # no GPU: as `vllm bench` does itself
                platforms.current_platform = importlib.import_module("vllm.platforms.cpu").CpuPlatform()
            cli = importlib.import_module(CLI)
            util = importlib.import_module("vllm.utils.argparse_utils")
            return cli.make_arg_parser(util.FlexibleArgumentParser(prog="vllm serve")), cli
        except ModuleNotFoundError as e:
            if not e.name:
                raise
            root = e.name if e.name.startswith("vllm.") else e.name.split(".")[0]
            if root in Finder.roots:
                raise
            Finder.roots.add(root)
    raise SystemExit("too many mocks: " + " ".join(sorted(Finder.roots)))


def source(path):
    return ast.parse((Path(importlib.util.find_spec("vllm").origin).parent / path).read_text())


def assigned(path, name):
    """The value of a variable at the top of a module, as its syntax tree."""
    for node in source(path).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return node.value
    raise SystemExit(f"{path} has no {name}")


def keys(path, name):
    return [k.value for k in assigned(path, name).keys if isinstance(k, ast.Constant)]


def literal(path, name):
    value = assigned(path, name)  # Literal["a", "b"]
    return [c.value for c in getattr(value.slice, "elts", [value.slice])]


def registered():
    """Names that the parser takes from anybody and the engine refuses later: by flag."""
    quantisation = "model_executor/layers/quantization/__init__.py"
    return {
        "tool-call-parser": (keys("tool_parsers/__init__.py", "_TOOL_PARSERS_TO_REGISTER"), "tool-parser-plugin"),
        "reasoning-parser": (keys("reasoning/__init__.py", "_REASONING_PARSERS_TO_REGISTER"), "reasoning-parser-plugin"),
        "load-format": (literal("model_executor/model_loader/__init__.py", "LoadFormats"), None),
        "quantization": (literal(quantisation, "QuantizationMethods"), None),
        "kv-cache-dtype": (literal("config/cache.py", "CacheDType"), None),
        "distributed-executor-backend": (["external_launcher", "mp", "ray", "uni"], None),
    }


def reader(action):
    """The function that reads the flag's value, without what is wrapped around it."""
    t = action.type
    while "return_type" in getattr(getattr(t, "__code__", None), "co_freevars", ()):
        t = t.__closure__[t.__code__.co_freevars.index("return_type")].cell_contents
    return t


def fields(action):
    """The keys of the JSON that a flag takes, where vLLM knows them."""
    t = reader(action)
    if getattr(t, "__name__", None) != "parse_dataclass":
        return None
    return sorted(f.name for f in dataclasses.fields(t.__defaults__[0]) if f.init)


def kind(action):
    """How the flag's value is read, in the words of internal/engine/flags."""
    if action.nargs == 0:
        return "switch"
    name = getattr(reader(action), "__name__", None) or "str"
    return {
        "int": "int",
        "float": "float",
        "human_readable_int": "size",
        "human_readable_int_or_auto": "sizeOrAuto",
        "loads": "json",
        "parse_dataclass": "json",
        "union_dict_and_str": "jsonOrText",
    }.get(name, "text")


def long(names):
    return [n[2:] for n in names if n.startswith("--")]


def table(parser, out):
    flags, extra = [], registered()
    for a in parser._actions:
        names = long(a.option_strings)
        if not names or names[0] == "help":
            continue
        flag = {"name": names[0], "kind": kind(a)}
        if type(a).__name__ == "EnableDisableAction":
            flag["off"] = names.pop()
        if names[1:]:
            flag["also"] = names[1:]
        if type(a).__name__.strip("_") == "AppendAction":
            flag["many"] = "repeat"
        elif a.nargs == "+":
            flag["many"] = "list"
        if a.choices is not None:
            flag["choices"] = [str(c) for c in a.choices if c is not None]
        if known := fields(a):
            flag["keys"] = known
        if names[0] in extra:
            flag["choices"], plugin = sorted(extra[names[0]][0]), extra[names[0]][1]
            if plugin:
                flag["open"] = plugin
        flags.append(flag)
    flags.sort(key=lambda f: f["name"])
    registry = "model_executor/models/registry.py"
    models = sorted(keys(registry, "_TEXT_GENERATION_MODELS") + keys(registry, "_MULTIMODAL_MODELS"))
    head = {
        "engine": "vllm",
        "version": importlib.metadata.version("vllm"),
        "source": "the parser and the registries of the wheel on PyPI, by hack/vllm_flags.py",
    }
    with open(out, "w") as f:
        f.write("{\n" + "".join(f"{json.dumps(k)}: {json.dumps(v)},\n" for k, v in head.items()))
        f.write('"flags": [\n' + ",\n".join(json.dumps(x) for x in flags) + "\n],\n")
        f.write(f'"architectures": {json.dumps(models)}\n' + "}\n")


def pipelined(out):
    """Architectures whose class is, by any of its ancestors, a SupportsPP: only their layers can stand on several nodes."""
    root = Path(importlib.util.find_spec("vllm").origin).parent
    ancestors = {}
    for folder in ("model_executor/models", "models"):
        for file in (root / folder).rglob("*.py"):
            if {"amd", "xpu", "cpu"} & set(file.relative_to(root).parts):
                continue  # other makers' variants of a class
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    bases = (ast.unparse(b).split("[")[0].split(".")[-1] for b in node.bases)
                    ancestors.setdefault(node.name, set()).update(bases)

    def supports(name, below=()):
        if name == "SupportsPP":
            return True
        return name not in below and any(supports(a, (*below, name)) for a in ancestors.get(name, ()))

    registry, names = "model_executor/models/registry.py", set()
    for models in ("_TEXT_GENERATION_MODELS", "_MULTIMODAL_MODELS"):
        tree = assigned(registry, models)
        for key, value in zip(tree.keys, tree.values):
            if isinstance(key, ast.Constant):
                if supports(value.elts[1].value):
                    names.add(key.value)
    version = importlib.metadata.version("vllm")
    head = f"# Architectures of which vLLM {version} can spread the layers over stages (SupportsPP), by hack/vllm_flags.py.\n"
    Path(out).write_text(head + "".join(f"{n}\n" for n in sorted(names)))


def refusal(parser, cli, argv):
    def error(message):
        raise ValueError(message)

    parser.error = error  # no usage text
    try:
        cli.validate_parsed_serve_args(parser.parse_args(argv))
    except SystemExit as e:
        return f"exit {e.code}"
    except Exception as e:  # the validators raise what they like
        return f"{type(e).__name__}: {e}"
    return None


def main():
    verb, file = sys.argv[1:]
    if verb == "pipelined":
        return pipelined(file)
    parser, cli = build()
    if verb == "table":
        return table(parser, file)
    lines = [line for line in Path(file).read_text().splitlines() if line.strip()]
    bad = [(line, why) for line in lines if (why := refusal(parser, cli, json.loads(line)))]
    for line, why in bad:
        print("refused", line, why)
    print(f"{len(lines) - len(bad)} of {len(lines)} command lines accepted by vLLM {importlib.metadata.version('vllm')}")
    return 1 if bad or not lines else 0


sys.exit(main())
