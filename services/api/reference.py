"""The API's reference page, made here from its OpenAPI document: it needs no script from another site."""

from __future__ import annotations

from html import escape
from typing import Any

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
section{border-top:1px solid #8884;padding:.8rem 0}h2{font-size:1rem;margin:.2rem 0}code{font-size:.95em}
.method{display:inline-block;min-width:4.5rem;font-weight:600}dt{font-weight:600;float:left;margin-right:.6rem}dd{margin:0}
"""


def reference_page(document: dict[str, Any], root: str) -> str:
    """One section per operation: what it does, its parameters, its body and its answers."""
    sections = [
        _operation(root + path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    info = document["info"]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f"<style>{STYLE}</style><h1>{escape(info['title'])} API</h1><p>{escape(info['description'])} "
        f'The same in <a href="{escape(root)}/openapi.json">OpenAPI</a>.</p>{"".join(sections)}</html>'
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    facts = [
        (parameter["name"], f"{parameter['in']}, {_shape(parameter.get('schema', {}))}")
        for parameter in operation.get("parameters", [])
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        facts.append(("body", f"{kind}: {_shape(content.get('schema', {}))}"))
    for status, answer in operation.get("responses", {}).items():
        shapes = [_shape(c.get("schema", {})) for c in answer.get("content", {}).values()]
        facts.append((f"answer {status}", f"{answer['description']} {' or '.join(filter(None, shapes))}"))
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return (
        f'<section><h2><span class="method">{method.upper()}</span><code>{escape(path)}</code></h2>'
        f"<p>{escape(operation.get('description', ''))}</p><dl>{listed}</dl></section>"
    )


def _shape(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", maxsplit=1)[-1]
    if "anyOf" in schema:
        return " or ".join(_shape(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_shape(schema.get('items', {}))}"
    if schema.get("type") == "object" and "properties" in schema:
        return ", ".join(f"{name} ({_shape(inner)})" for name, inner in schema["properties"].items())
    return str(schema.get("format") or schema.get("type") or "")
