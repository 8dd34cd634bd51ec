"""A QR code of a short address, for the camera of a telephone (ISO/IEC 18004:2015).

Bytes as they are, versions 1 to 5 of the lowest level of error correction, whose one block needs no
interleaving: up to 106 bytes. Always the same mask, as readers take any.
"""

from __future__ import annotations

from typing import Final

_VERSIONS: Final = ((1, 19, 7), (2, 34, 10), (3, 55, 15), (4, 80, 20), (5, 108, 26))
"""Version, codewords of data, codewords of correction (table 9, level L)."""
_HEADER: Final = 12
"""Bits of the mode and of the length."""
_FORMAT: Final = 0b111011111000100
"""Level L and mask 0, with their own correction (annex C)."""

Matrix = list[list[bool | None]]


def _corrections(data: list[int], count: int) -> list[int]:
    """Return the codewords of correction (Reed-Solomon over GF(256), modulo 0x11D)."""
    power, log = [1] * 512, [0] * 256
    for exponent in range(1, 512):
        doubled = power[exponent - 1] << 1
        power[exponent] = doubled ^ 0x11D if doubled > 255 else doubled
    for exponent in range(255):
        log[power[exponent]] = exponent
    generator = [1]
    for exponent in range(count):
        shifted = [*generator, 0]
        for index, factor in enumerate(generator):
            if factor:
                shifted[index + 1] ^= power[log[factor] + exponent]
        generator = shifted
    rest = [*data, *[0] * count]
    for index in range(len(data)):
        lead = rest[index]
        if lead:
            for offset, factor in enumerate(generator):
                if factor:
                    rest[index + offset] ^= power[log[factor] + log[lead]]
    return rest[len(data) :]


def _codewords(text: bytes, room: int, corrections: int) -> list[int]:
    bits = f"0100{len(text):08b}" + "".join(f"{each:08b}" for each in text)
    bits = (bits + "0000")[: 8 * room]
    bits += "0" * (-len(bits) % 8)
    data = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    data += [(0xEC, 0x11)[index % 2] for index in range(room - len(data))]
    return data + _corrections(data, corrections)


def _frame(version: int) -> Matrix:
    """Return the patterns that are in each code of this version; None for what is free."""
    size = 17 + 4 * version
    code: Matrix = [[None] * size for _ in range(size)]
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        for row in range(-1, 8):
            for column in range(-1, 8):
                if 0 <= top + row < size and 0 <= left + column < size:
                    ring = max(abs(row - 3), abs(column - 3))
                    code[top + row][left + column] = ring in (0, 1, 3)
    if version > 1:
        for row in range(-2, 3):
            for column in range(-2, 3):
                code[size - 7 + row][size - 7 + column] = max(abs(row), abs(column)) != 1
    for at in range(8, size - 8):
        code[6][at] = code[at][6] = at % 2 == 0
    for at in range(15):
        dark = bool(_FORMAT >> (14 - at) & 1)
        beside = at if at < 6 else at + 1
        code[8][beside if at < 8 else size - 15 + at] = dark
        code[size - 1 - at if at < 7 else (15 - at if at < 9 else 14 - at)][8] = dark
    code[8][size - 8] = bool(_FORMAT >> 7 & 1)
    code[size - 8][8] = True
    return code


def matrix(text: str) -> list[list[bool]]:
    """Return the code of this text, row by row, True for dark.

    Raises:
        ValueError: the text is too long.
    """
    data = text.encode()
    fitting = [each for each in _VERSIONS if 8 * len(data) + _HEADER <= 8 * each[1]]
    if not fitting:
        raise ValueError(f"{len(data)} bytes are too long for a code")
    version, room, corrections = fitting[0]
    code = _frame(version)
    words = _codewords(data, room, corrections)
    bits = iter("".join(f"{each:08b}" for each in words))
    size = len(code)
    upward = True
    for right in (*range(size - 1, 6, -2), 5, 3, 1):
        for row in range(size - 1, -1, -1) if upward else range(size):
            for column in (right, right - 1):
                if code[row][column] is None:
                    bit = next(bits, "0") == "1"  # what is left over stays light
                    code[row][column] = bit ^ ((row + column) % 2 == 0)
        upward = not upward
    return [[bool(each) for each in row] for row in code]


def drawn(text: str) -> str:
    """Return the code in half blocks, dark on light, whatever the colours of the terminal."""
    code = matrix(text)
    size = len(code) + 8
    dark = [[False] * size for _ in range(size + size % 2)]
    for row, line in enumerate(code):
        dark[row + 4][4 : 4 + len(line)] = line
    shapes = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
    lines = []
    for upper in range(2, size - 2, 2):
        pairs = zip(dark[upper][2:-2], dark[upper + 1][2:-2], strict=True)
        lines.append("\x1b[97;40m" + "".join(shapes[pair] for pair in pairs) + "\x1b[0m\n")
    return "".join(lines)
