"""Parts that the filter languages of several stores share."""

from imgsearch.filters import And, Filter, Or


def both(*conditions: str) -> str:
    """Return the condition that all `conditions` hold, some of which may be empty."""
    return " and ".join(f"({condition})" for condition in conditions if condition)


def chain(where: Filter, kind: type[And] | type[Or]) -> list[Filter]:
    """Return the parts of ``a & b & c``, so that long chains do not nest deeply."""
    parts: list[Filter] = []
    pending = [where]
    while pending:
        part = pending.pop()
        if isinstance(part, kind):
            pending += [part.right, part.left]
        else:
            parts.append(part)
    return parts
