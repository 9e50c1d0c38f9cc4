"""Whether a file without quotes is regular: as told by its lines, one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from recon_engine.reading.structure import Verdict, verdict_on

COLUMNS = 3
records = st.lists(st.sampled_from([b"a,b,c", b",,", b"a,,\r", b"a,b,\xc3\xa9"]), min_size=1)
disturbances = st.sampled_from([b"", b"\n", b"\r\n", b"a,b\n", b"a,b,c,d\n", b"\0", b"\xff", b","])


@given(records, records, disturbances, st.booleans())
@example([b"a,b,c"], [b",,"], b"", False)
def test_verdict_is_that_of_the_lines(before: list[bytes], after: list[bytes], disturbed: bytes, ends: bool) -> None:
    """Every line has the columns of the header, the text is UTF-8, and a file with NUL bytes is told apart."""
    content = b"\n".join(before) + b"\n" + disturbed + b"\n".join(after) + (b"\n" if ends else b"")
    lines = content.removesuffix(b"\n").split(b"\n")
    try:
        readable = bool(content.decode("utf-8"))
    except UnicodeDecodeError:
        readable = False
    regular = readable and b"\0" not in content and all(line.count(b",") == COLUMNS - 1 for line in lines)
    found = verdict_on(np.frombuffer(content, dtype=np.uint8), 0, ord(","), None, COLUMNS)
    assert found.is_regular == regular
    assert b"\0" not in content or not found.is_regular
    assert not found.has_nul or found == Verdict(is_regular=False, has_nul=True)
