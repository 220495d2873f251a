"""Writes the chart's table of values from values.yaml, and its words into the
schema, so that each value is described once. Fails where the two do not list the
same values.

    values.py FOLDER           compares README.md and values.schema.json
    values.py FOLDER --write   writes them
"""

import json
import pathlib
import re
import sys

import yaml

BEGIN, END = "<!-- values -->\n", "<!-- end of values -->\n"
LINE = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9]*):(?P<rest>.*)$")
# Helm's own, and the condition of a chart that depends on this one.
NOT_LISTED = {"global", "enabled"}


def described(text):
    """Each path of values.yaml with the comment above it."""
    found, path, words = {}, [], []
    for line in text.splitlines():
        stripped = line.strip()
        match = LINE.match(line)
        if stripped.startswith("#"):
            words.append(stripped[1:].strip())
        elif match and len(match["indent"]) // 2 <= len(path):
            path = path[: len(match["indent"]) // 2] + [match["key"]]
            found[".".join(path)] = " ".join(words)
            words = []
        else:
            words = []
    return found


def is_open(schema):
    """Whether an object takes whatever its user brings."""
    return "properties" not in schema


def resolved(schema, root):
    reference = schema.get("$ref", "")
    return root["definitions"][reference.rsplit("/", 1)[1]] if reference else schema


def walk(values, schema, root, path=()):
    """The values that are set one by one: path, default, schema."""
    for key, value in values.items():
        here = (*path, key)
        own = schema.get("properties", {}).get(key)
        if own is None:
            sys.exit(f"values: the schema does not know {'.'.join(here)}")
        full = resolved(own, root)
        yield here, value, own
        if isinstance(value, dict) and not is_open(full):
            yield from walk(value, full, root, here)
    if isinstance(values, dict) and not path:
        missing = set(schema["properties"]) - set(values) - NOT_LISTED
        if missing:
            sys.exit(f"values: values.yaml has no {sorted(missing)}")


def row(path, default, words):
    words = re.sub(r"https?://[^\s,;]+[^\s,;.]", r"`\g<0>`", words).replace("|", "\\|")
    shown = json.dumps(default, ensure_ascii=False)
    if isinstance(default, (dict, list)) and len(shown) > 40:
        shown = "see values.yaml"
    else:
        shown = f"`{shown}`"
    return f"| `{path}` | {shown.replace('|', chr(92) + '|')} | {words} |\n"


def main(folder, write):
    text = (folder / "values.yaml").read_text(encoding="utf-8")
    words = described(text)
    schema_file, readme_file = folder / "values.schema.json", folder / "README.md"
    schema = json.loads(schema_file.read_text(encoding="utf-8"))
    rows = []
    for path, default, own in walk(yaml.safe_load(text), schema, schema):
        name = ".".join(path)
        if words.get(name) and "$ref" not in own:
            own["description"] = words[name]
        if not isinstance(default, dict) or is_open(resolved(own, schema)):
            rows.append(row(name, default, words.get(name, "")))
    table = "| value | default | what |\n| --- | --- | --- |\n" + "".join(rows)
    readme = readme_file.read_text(encoding="utf-8")
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    for file, new in (
        (readme_file, f"{before}{BEGIN}\n{table}\n{END}{after}"),
        (schema_file, json.dumps(schema, indent=2, ensure_ascii=False) + "\n"),
    ):
        if write:
            file.write_text(new, encoding="utf-8")
        elif file.read_text(encoding="utf-8") != new:
            sys.exit(f"values: {file} is not what values.yaml says; deploy/check --write makes it so")


main(pathlib.Path(sys.argv[1]), "--write" in sys.argv[2:])
