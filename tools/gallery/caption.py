"""Words that several captions need."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return "1 boat", "2 boats", "no boats"; the plural takes an s where none is given."""
    return f"{number or 'no'} {noun if number == 1 else plural or noun + 's'}"


def one(noun: str) -> str:
    """Return the noun with its article: "a boat", "an orange boat"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
