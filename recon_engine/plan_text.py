"""A plan file's text as plain data: YAML in which a value is what is written, and no key stands twice."""

from __future__ import annotations

import re
from typing import Any

import yaml

from recon_engine.errors import PlanError


class _AsWritten(yaml.SafeLoader):
    """YAML without its guesses: `on` is no yes, `NO` no no, `0042` no 34 and `0.05` no binary fraction.

    The plan's models say what is a number and what a text. Only nothing, `~` and `null` are no value; `NULL`, which
    files write where they have none, is a text.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012 -- the loader's own, in place of what it inherits

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping; refused when a key stands in it twice, for one of its values would count for nothing."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        for at, key in enumerate(keys):
            if key in keys[:at]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands twice", node.value[at][0].start_mark
                )
        return super().construct_mapping(node, deep)


_AsWritten.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_AsWritten.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


def plan_data(text: str, where: str) -> dict[str, Any]:
    """A plan file's text as plain data, every value as text. Raises PlanError when it is no YAML mapping."""
    try:
        data = yaml.load(text, _AsWritten)  # noqa: S506 -- a SafeLoader that does even less
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PlanError(f"{where}: not valid YAML: {_told(error)}") from error
    if not isinstance(data, dict):
        raise PlanError(f"{where}: a plan is a mapping with version, name, left, right, fields and rules")
    return data


def _told(error: Exception) -> str:
    """What is wrong, and on which line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem and error.problem_mark:
        mark = error.problem_mark
        context = f"{error.context}, " if error.context else ""
        return f"line {mark.line + 1}, column {mark.column + 1}: {context}{error.problem}"
    if isinstance(error, RecursionError):
        return "it is nested too deep; a plan has a few levels only"
    return " ".join(str(error).split())
