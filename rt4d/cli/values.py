"""What stands on a command line, as values: strings are resolved here and nowhere deeper."""

from __future__ import annotations

from rt4d.errors import InputError
from rt4d.geometry import Triple


def triple(text: str, *, option: str) -> Triple:
    """Three numbers from 'X,Y,Z'."""
    numbers = _numbers(text, option=option, expected=f"X,Y,Z in millimetres, for example {option}=35,12,80")
    if len(numbers) != 3:
        raise InputError(f"{option} takes three numbers", expected="X,Y,Z", found=repr(text))
    return numbers[0], numbers[1], numbers[2]


def counting_numbers(text: str, *, option: str) -> tuple[int, ...]:
    """Numbers from 1 on, each once, from '1,3'."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 9 and int(part) > 0 for part in parts) or len(set(parts)) != len(parts):
        raise InputError(f"{option} takes numbers of candidates", expected="N,N, for example 1,3", found=repr(text))
    return tuple(int(part) for part in parts)


def margin(text: str | None) -> Triple | None:
    """A margin in mm along x, y, z from '5' or '5,5,8'; none from none."""
    if text is None:
        return None
    numbers = _numbers(text, option="--margin", expected="MM or X,Y,Z in millimetres, for example 5 or 5,5,8")
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or min(numbers) < 0:
        raise InputError("--margin takes one number or three, none negative", expected="MM or X,Y,Z", found=repr(text))
    return numbers[0], numbers[1], numbers[2]


def _numbers(text: str, *, option: str, expected: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} takes numbers", expected=expected, found=repr(text)) from None
    if not all(abs(number) < 1e5 for number in numbers):
        raise InputError(f"{option} takes finite lengths", expected=expected, found=repr(text))
    return numbers
