"""The encoding of a text file: a byte order mark, valid UTF-8, or a guess whose basis is told; else it is asked for."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import charset_normalizer

from recon_engine.errors import InputError, UndecidedError
from recon_engine.reading.table import Scratch

_BLOCK = 1 << 22
_SAMPLE = 1 << 20
_GUESS_SAMPLE = 1 << 16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Polish, Czech, Hungarian: told from Western only by the words that the letters make.
_CENTRAL = {"cp1250", "iso8859_2"}
# Turkish: ğ, ı and ş stand where Western tables have Iceland's ð, ý and þ, which no text has without its á, í and æ.
_TURKISH = frozenset("ğışĞİŞçöüÇÖÜâîûÂÎÛ".encode("cp1254"))
_OWN, _OWN_SHARE, _FOREIGN_SHARE = frozenset("ğış".encode("cp1254")), 0.2, 0.05
# Below this share of broken lines a file is UTF-8 with damage, above it is something else.
_DAMAGED_SHARE = 0.1


def encoding_of(path: Path, name: str) -> tuple[str, int]:
    """The encoding of the file and the length of its byte order mark. Raises UndecidedError when it cannot be told."""
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    wide = _wide(head)
    if wide:
        return wide, 0
    odd = _lines_beyond_ascii(path)
    if not odd:
        return "utf-8", 0
    broken = [line for line in odd if not _is_utf8(line)]
    if len(broken) <= max(1, len(odd) * _DAMAGED_SHARE) and len(broken) < len(odd):
        return "utf-8", 0
    return _guess(b"\n".join(odd)[:_GUESS_SAMPLE], name), 0


def transcoded(path: Path, name: str, encoding: str, mark: int, scratch: Scratch) -> Path:
    """A UTF-8 copy of the file. Raises InputError where the bytes are not what the encoding allows."""
    target = scratch.path("utf8.txt")
    decoder = _decoder(encoding, name)
    lines = 1
    try:
        with path.open("rb") as source, target.open("wb") as out:
            source.seek(mark)
            while block := source.read(_BLOCK):
                text = decoder.decode(block)
                lines += text.count("\n")
                out.write(text.encode("utf-8", "surrogatepass"))
            out.write(decoder.decode(b"", final=True).encode("utf-8"))
    except UnicodeError as error:
        raise InputError(
            f"{name}: the text at or after line {lines} is not {encoding}; set encoding: to the right one"
        ) from error
    return target


def _decoder(encoding: str, name: str) -> codecs.IncrementalDecoder:
    """What makes text of bytes. By the same door Python has base64 or rot13, which it does not use for text."""
    try:
        "".encode(encoding)
        return codecs.getincrementaldecoder(encoding)(errors="strict")
    except (LookupError, ValueError) as error:
        raise InputError(
            f"{name}: there is no encoding '{encoding}'; use a name such as utf-8, cp1252, utf-16"
        ) from error


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: text in Latin letters has a NUL in every second byte."""
    sample = head[:4096]
    if len(sample) < 4:
        return None
    even, odd = sample[0::2].count(0) / len(sample[0::2]), sample[1::2].count(0) / len(sample[1::2])
    if odd > 0.4 and even < 0.05:
        return "utf-16-le"
    if even > 0.4 and odd < 0.05:
        return "utf-16-be"
    return None


def _lines_beyond_ascii(path: Path) -> list[bytes]:
    """Lines with bytes over 127, from the whole of a small file, else from its head and two places further on."""
    size = path.stat().st_size
    places = [0] if size <= 8 * _SAMPLE else [0, size // 3, size * 2 // 3]
    found: list[bytes] = []
    with path.open("rb") as file:
        for place in places:
            file.seek(place)
            block = file.read(size if len(places) == 1 else _SAMPLE)
            if block.isascii():
                continue
            lines = block.replace(b"\r", b"\n").split(b"\n")
            # A sample begins and ends in the middle of a line, perhaps of a character.
            lines = lines if len(places) == 1 else lines[1:-1]
            found.extend(line for line in lines if not line.isascii())
    return found


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _guess(sample: bytes, name: str) -> str:
    """A single-byte Western table when accented letters stand alone in words, as they do in no other script."""
    if turkish := _turkish(sample):
        if turkish == len(_OWN):
            return "cp1254"
        raise UndecidedError(
            f"{name}: the text is not UTF-8; its letters can be Turkish (ğ ı ş), Western (ð ý þ) or Central European "
            "(đ ý ţ); set encoding:, such as cp1254, cp1252 or cp1250"
        )
    runs = re.findall(rb"[\x80-\xff]+", sample)
    short = sum(1 for run in runs if len(run) <= 2)
    best = charset_normalizer.from_bytes(sample).best()
    central = best is not None and best.encoding in _CENTRAL and best.coherence > 0.2
    if short >= len(runs) * 0.9 and not central:
        # cp1252 has a few holes; latin-1 has none.
        return "cp1252" if _decodes(sample, "cp1252") else "latin-1"
    if best is None:
        raise UndecidedError(
            f"{name}: the text is not UTF-8 and its encoding cannot be told; set encoding:, such as cp1252 or shift_jis"
        )
    return best.encoding


def _turkish(sample: bytes) -> int:
    """How many of the letters that are only Turkish there are, of either case, in what can be Turkish; else 0."""
    letters = [byte for byte in sample if byte >= 0xC0]
    own = [byte | 0x20 for byte in letters if byte | 0x20 in _OWN]  # in lower case
    foreign = sum(byte not in _TURKISH for byte in letters)
    can_be = len(own) >= len(letters) * _OWN_SHARE and foreign <= len(letters) * _FOREIGN_SHARE
    return len(set(own)) if can_be else 0


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
