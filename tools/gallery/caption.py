"""Phrases that several captions use."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return e.g. "1 boat", "2 boats" or "no boats". The default plural is the noun plus "s"."""
    return f"{number or 'no'} {noun if number == 1 else plural or noun + 's'}"


def one(noun: str) -> str:
    """Return the noun with its indefinite article, e.g. "a boat" or "an orange boat"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
