"""Helper functions for the filter languages of several stores."""

from imgsearch.filters import And, Filter, Or


def both(*conditions: str) -> str:
    """Join conditions with "and". Empty conditions are skipped."""
    return " and ".join(f"({condition})" for condition in conditions if condition)


def chain(where: Filter, kind: type[And] | type[Or]) -> list[Filter]:
    """Return the operands of ``a & b & c`` as a flat list, so that long chains do not nest."""
    parts: list[Filter] = []
    pending = [where]
    while pending:
        part = pending.pop()
        if isinstance(part, kind):
            pending += [part.right, part.left]
        else:
            parts.append(part)
    return parts
