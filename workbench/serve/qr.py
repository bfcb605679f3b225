"""QR codes as SVG, drawn here: ISO/IEC 18004, byte mode, error correction level M, versions 1 to 10 (213 bytes).

Enough for a sign-in link; a phone's camera reads it from the screen.
"""

from __future__ import annotations

from itertools import product

from workbench.errors import InputError

# Of versions 1 to 10 at level M: check codewords a block, blocks, all codewords (Table 9 of the standard).
CHECK = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26)
BLOCKS = (1, 1, 1, 2, 2, 4, 4, 4, 5, 5)
TOTAL = (26, 44, 70, 100, 134, 172, 196, 242, 292, 346)
ALIGNMENT = ((), (6, 18), (6, 22), (6, 26), (6, 30), (6, 34), (6, 22, 38), (6, 24, 42), (6, 26, 46), (6, 28, 50))
LEVEL_M = 0b00
QUIET = 4  # modules of white around it, as the standard asks

MASKS = (
    lambda row, column: (row + column) % 2 == 0,
    lambda row, column: row % 2 == 0,
    lambda row, column: column % 3 == 0,
    lambda row, column: (row + column) % 3 == 0,
    lambda row, column: (row // 2 + column // 3) % 2 == 0,
    lambda row, column: row * column % 2 + row * column % 3 == 0,
    lambda row, column: (row * column % 2 + row * column % 3) % 2 == 0,
    lambda row, column: ((row + column) % 2 + row * column % 3) % 2 == 0,
)

Matrix = list[list[bool]]

# Powers and logarithms in the field of 256 elements with the polynomial x^8 + x^4 + x^3 + x^2 + 1.
_POWER = [1]
for _ in range(254):
    _POWER.append((_POWER[-1] << 1) ^ (0x11D if _POWER[-1] & 0x80 else 0))
_LOG = {value: exponent for exponent, value in enumerate(_POWER)}


def svg(text: str, *, label: str) -> str:
    """An SVG image of the code, black on white whatever the page's colours, with `label` as its name.

    `label` must need no escaping. Raises InputError for a text of more than 213 bytes.
    """
    modules = matrix(text)
    size = len(modules) + 2 * QUIET
    dark = "".join(
        f"M{column + QUIET} {row + QUIET}h1v1h-1z"
        for row, line in enumerate(modules)
        for column, module in enumerate(line)
        if module
    )
    return (
        f'<svg class="qr" role="img" aria-label="{label}" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{size}v{size}H0z"/><path fill="#000" d="{dark}"/></svg>'
    )


def matrix(text: str) -> Matrix:
    """The modules of the code, rows of true for dark; 21 + 4·(version - 1) in each direction."""
    data = text.encode()
    version = next((v for v in range(1, 11) if 8 * len(data) + (12 if v < 10 else 20) <= 8 * _capacity(v)), 0)
    if not version:
        raise InputError("too long for a QR code", where=f"{len(data)} bytes")
    modules, fixed = _patterns(version)
    _place(modules, fixed, _interleaved(_codewords(data, version), version))
    candidates = [_masked(modules, fixed, mask) for mask in range(8)]
    return min(candidates, key=_penalty)


def _capacity(version: int) -> int:
    return TOTAL[version - 1] - CHECK[version - 1] * BLOCKS[version - 1]


def _codewords(data: bytes, version: int) -> bytes:
    """Mode, length, data, terminator and padding."""
    capacity = _capacity(version)
    length_bits = 8 if version < 10 else 16
    bits = f"0100{len(data):0{length_bits}b}" + "".join(f"{byte:08b}" for byte in data)
    bits += "0" * min(4, 8 * capacity - len(bits))
    bits += "0" * (-len(bits) % 8)
    made = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return made + bytes((0xEC, 0x11)[at % 2] for at in range(capacity - len(made)))


def _interleaved(data: bytes, version: int) -> bytes:
    """The data in blocks, each with its Reed-Solomon check words, read across the blocks."""
    count, check = BLOCKS[version - 1], CHECK[version - 1]
    short, longer = divmod(len(data), count)
    blocks, at = [], 0
    for number in range(count):
        size = short + (number >= count - longer)
        blocks.append(data[at : at + size])
        at += size
    checks = [_check_words(block, check) for block in blocks]
    mixed = [block[place] for place in range(short + 1) for block in blocks if place < len(block)]
    return bytes(mixed + [words[place] for place in range(check) for words in checks])


def _check_words(block: bytes, count: int) -> list[int]:
    generator = [1]
    for exponent in range(count):
        shifted = [*generator, 0]
        for place, factor in enumerate(generator):
            shifted[place + 1] ^= _times(factor, _POWER[exponent])
        generator = shifted
    rest = list(block) + [0] * count
    for place in range(len(block)):
        factor = rest[place]
        for offset, coefficient in enumerate(generator):
            rest[place + offset] ^= _times(coefficient, factor)
    return rest[len(block) :]


def _times(left: int, right: int) -> int:
    return _POWER[(_LOG[left] + _LOG[right]) % 255] if left and right else 0


def _patterns(version: int) -> tuple[Matrix, Matrix]:
    """The fixed patterns, and which modules they take (also those of the format, drawn later)."""
    size = 17 + 4 * version
    modules = [[False] * size for _ in range(size)]
    fixed = [[False] * size for _ in range(size)]

    def put(row: int, column: int, dark: bool) -> None:
        modules[row][column], fixed[row][column] = dark, True

    for at in range(size):
        put(6, at, at % 2 == 0)
        put(at, 6, at % 2 == 0)
    for row, column in product(ALIGNMENT[version - 1], repeat=2):
        if (row < 9 or row > size - 10) and (column < 9 or column > size - 10) and not row == column == size - 7:
            continue  # a finder stands there
        for down, right in product(range(-2, 3), repeat=2):
            put(row + down, column + right, max(abs(down), abs(right)) != 1)
    for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
        for row, column in product(range(top - 1, top + 8), range(left - 1, left + 8)):
            if 0 <= row < size and 0 <= column < size:
                put(row, column, max(abs(row - top - 3), abs(column - left - 3)) in (0, 1, 3))
    for at in range(9):
        fixed[8][at] = fixed[at][8] = True
        if at < 8:
            fixed[8][size - 1 - at] = fixed[size - 1 - at][8] = True
    put(size - 8, 8, True)
    if version >= 7:
        bits = _with_remainder(version, 12, 0x1F25)
        for at in range(18):
            put(at // 3, size - 11 + at % 3, bool(bits >> at & 1))
            put(size - 11 + at % 3, at // 3, bool(bits >> at & 1))
    return modules, fixed


def _place(modules: Matrix, fixed: Matrix, words: bytes) -> None:
    """Write the bits in pairs of columns from the right, up and down in turn, past what is fixed."""
    size = len(modules)
    bits = iter("".join(f"{word:08b}" for word in words))
    columns = [column for column in range(size - 1, 0, -2) if column > 6] + [5, 3, 1]
    for turn, right in enumerate(columns):
        for row in range(size - 1, -1, -1) if turn % 2 == 0 else range(size):
            for column in (right, right - 1):
                if not fixed[row][column]:
                    modules[row][column] = next(bits, "0") == "1"


def _masked(modules: Matrix, fixed: Matrix, mask: int) -> Matrix:
    size = len(modules)
    made = [
        [dark ^ (not fixed[row][column] and MASKS[mask](row, column)) for column, dark in enumerate(line)]
        for row, line in enumerate(modules)
    ]
    bits = _with_remainder(LEVEL_M << 3 | mask, 10, 0x537) ^ 0x5412
    beside = [*range(6), 7, 8]
    for at in range(15):
        dark = bool(bits >> at & 1)
        if at < 8:
            made[beside[at]][8] = dark
            made[8][size - 1 - at] = dark
        else:
            made[8][(7, 5, 4, 3, 2, 1, 0)[at - 8]] = dark
            made[size - 15 + at][8] = dark
    return made


def _with_remainder(value: int, check_bits: int, polynomial: int) -> int:
    """`value` followed by the check bits of a BCH code."""
    rest = value << check_bits
    for at in range(rest.bit_length() - 1, check_bits - 1, -1):
        if rest >> at & 1:
            rest ^= polynomial << (at - check_bits)
    return value << check_bits | rest


def _penalty(modules: Matrix) -> int:
    """How hard a camera finds it: runs, blocks, false finders, imbalance (section 7.8.3 of the standard)."""
    size, found = len(modules), 0
    for line in (*modules, *map(list, zip(*modules, strict=True))):
        text = "".join("#" if dark else "." for dark in line)
        run = 1
        for before, here in zip(text, text[1:] + "|", strict=True):
            if before == here:
                run += 1
            else:
                found += run - 2 if run >= 5 else 0
                run = 1
        found += 40 * sum(text.startswith(("#.###.#....", "....#.###.#"), at) for at in range(size))
    found += 3 * sum(
        modules[row][column] == modules[row][column + 1] == modules[row + 1][column] == modules[row + 1][column + 1]
        for row, column in product(range(size - 1), repeat=2)
    )
    dark = sum(map(sum, modules))
    return found + 10 * (abs(20 * dark - 10 * size * size) // (size * size))
