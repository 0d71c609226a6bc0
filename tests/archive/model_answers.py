# SPDX-License-Identifier: Apache-2.0
"""What a model makes of a document, as text: pydantic's own models or compiled ones.

    python -I -S model_answers.py TREE

answers from the models of a packed tree: a line of Python for each line of Python.
"""

from __future__ import annotations

import ipaddress
import sys
from importlib import import_module
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])

from pydantic import ValidationError

from cni_common.spec import model, result
from cni_common.spec.errors import CNIError

DUMPS = [
    {"by_alias": by_alias, "exclude_none": exclude_none}
    for by_alias in (False, True)
    for exclude_none in (False, True)
]


def at(path: str) -> Any:
    """Return the model at `package.module:Name`."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def made(expression: str) -> list[Any]:
    """Return what becomes of a Python expression with the results' classes."""
    try:
        value = eval(expression, {**vars(ipaddress), **vars(result)})
    except ValidationError as error:
        return [error.title, faults(error)]
    except (AttributeError, TypeError) as error:
        return [type(error).__name__]
    return [described(value), repr(value), str(value)]


def answers(path: str, document: Any) -> dict[str, Any]:
    """Return all that can be asked of the model at `path` about `document`."""
    cls = at(path)
    found: dict[str, Any] = {
        "inside": told(validated, cls, document, None),
        "outside": told(validated, cls, document, model._OUTSIDE),
        "parsed": told(model.parse, cls, document, "it"),
        "keys": list(cls.keys().items()),
        "fields": [(name, field.alias) for name, field in cls.model_fields.items()],
    }
    if isinstance(document, dict):
        found["leniently"] = told(model.parse_leniently, cls, document)
        found["unread"] = told(lambda: list(cls.unread(document)))
    return found


def validated(cls: Any, document: Any, context: Any) -> list[Any]:
    """Return the model and its dumps, or what is wrong."""
    try:
        value = cls.model_validate(document, context=context)
    except ValidationError as error:
        return [error.title, error.error_count(), faults(error)]
    again = cls.model_validate(document, context=context)
    copied = value.model_copy(update=dict.fromkeys(cls.model_fields))
    dumps = [described(value.model_dump(**options)) for options in DUMPS]
    return [
        described(value),
        dumps,
        repr(value),
        str(value),
        [value == again, value != again, value == document, value == copied],
        hashable(value) == hashable(again),
        described(copied),
        described(
            cls.model_construct(**{n: getattr(value, n) for n in value.__dict__})
        ),
    ]


def told(function: Any, *arguments: Any) -> list[Any]:
    """Return what a function returns, or what it raises."""
    try:
        return described(function(*arguments))
    except ValidationError as error:
        return faults(error)
    except CNIError as error:
        return [error.code, error.msg, error.details]
    except (AttributeError, TypeError) as error:
        return [type(error).__name__, str(error)]


def faults(error: Any) -> list[Any]:
    """Return what is wrong, in pydantic's words."""
    return [
        [
            each["type"],
            each["loc"],
            each["msg"],
            described(each["input"]),
            [(key, repr(value)) for key, value in each.get("ctx", {}).items()],
        ]
        for each in error.errors(include_url=False)
    ]


def hashable(value: Any) -> object:
    """Return the hash of a value, or that it has none."""
    try:
        return hash(value)
    except TypeError:
        return "none"


def described(value: Any) -> Any:
    """Return a value with its type, and a model with the fields that were given."""
    kind = type(value).__qualname__
    if hasattr(value, "model_fields_set"):
        inner = {name: described(item) for name, item in value.__dict__.items()}
        return [kind, list(inner.items()), sorted(value.model_fields_set)]
    if isinstance(value, list | tuple):
        return [kind, [described(item) for item in value]]
    if isinstance(value, dict):
        return [kind, [(key, described(item)) for key, item in value.items()]]
    return [kind, repr(value)]


def serve() -> None:
    """Answer each line of stdin."""
    for line in sys.stdin:
        names = {**vars(ipaddress), "inf": float("inf")}
        function, arguments = eval(line, names)
        answer = made(*arguments) if function == "made" else answers(*arguments)
        sys.stdout.write(ascii(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
