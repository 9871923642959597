"""The routes of the service, from its OpenAPI document."""

from typing import Any


def page(document: dict[str, Any]) -> str:
    """Return the routes and types of a document of OpenAPI 3.1 in Markdown."""
    parts = []
    for path, operations in sorted(document["paths"].items()):
        for verb, operation in operations.items():
            parts.append(_operation(verb.upper(), path, operation))
    parts.append("## Types\n")
    for name, schema in sorted(document["components"]["schemas"].items()):
        if schema.get("properties"):
            parts.append(f"### {name}\n\n{_text(schema)}{_properties(schema)}")
        elif schema.get("enum"):
            parts.append(f"### {name}\n\n{_text(schema)}{_type(schema)}\n")
    return "\n".join(parts)


def _operation(verb: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f"## {verb} {path}\n", f"**{operation['summary']}.** {_text(operation)}"]
    parameters = operation.get("parameters", [])
    if parameters:
        rows = [
            f"| `{field['name']}` | {field['in']} | {_type(field['schema'])} | "
            f"{'yes' if field.get('required') else ''} | {_cell(field.get('description', ''))} |"
            for field in parameters
        ]
        head = ["| parameter | in | type | required | meaning |", "|---|---|---|---|---|"]
        parts.append("\n".join(head + rows) + "\n")
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        schema = body.get("schema", {})
        parts.append(f"Body, `{kind}`: {_type(schema)}\n")
        if schema.get("properties"):
            parts.append(_properties(schema))
    rows = []
    for status, response in sorted(operation["responses"].items()):
        if status in ("4XX", "5XX"):
            continue  # the same for all routes; the page's head says it
        kinds = [
            f"`{kind}` {_type(content.get('schema', {}))}".strip()
            for kind, content in response.get("content", {}).items()
        ]
        meaning = _cell(response.get("description", "")).replace("Successful Response", "")
        rows.append(f"| {status} | {meaning} | {'; '.join(kinds)} |")
    parts.append("\n".join(["| status | meaning | body |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _properties(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        f"| `{name}` | {_type(value)} | {'yes' if name in required else ''} | "
        f"{_cell(value.get('description', ''))} |"
        for name, value in schema["properties"].items()
    ]
    head = ["| field | type | required | meaning |", "|---|---|---|---|"]
    return "\n".join(head + rows) + "\n"


def _type(schema: dict[str, Any]) -> str:
    """Return a schema's type in words, with links to the types of the page."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(option) for option in schema[key]))
    if "allOf" in schema:
        return _type(schema["allOf"][0])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("contentMediaType") or schema.get("format") or schema.get("type", "any")
    return "file" if kind in ("binary", "application/octet-stream") else str(kind)


def _text(part: dict[str, Any]) -> str:
    text = part.get("description", "").strip()
    return f"{text}\n" if text else "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
