"""What a parser complains of."""

from collections.abc import Callable

from deployer.formats.numbers import FormatError


def complaint_of(parse: Callable[[bytes], object], data: bytes) -> str:
    """Empty where it takes them. Whatever else is raised is a failure of the test."""
    try:
        parse(data)
    except FormatError as error:
        return str(error)
    return ""
