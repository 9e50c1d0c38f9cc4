"""The place where files are dropped. They stream to the API as they are read from the disk: neither the browser nor
this process ever holds one in memory, and the browser shows how far each is.
"""

from __future__ import annotations

from pathlib import Path

from pages._shared.own_component import own_component

_ZONE = """
<div class="zone" part="zone">
  <button type="button" class="choose">Choose files</button>
  <span class="or">or drop them here</span>
  <span class="what"></span>
  <input type="file" multiple hidden>
</div>
<ul class="files" aria-live="polite"></ul>
"""


def drop_zone(reconciliation_id: str, side: str, limit_mb: int, label: str) -> list[str]:
    """Take in files for one side of a reconciliation; returns the ids of those that have just arrived."""
    folder = Path(__file__).parent
    mount = own_component("uploader", folder, html=_ZONE, css="uploader.css", js="uploader.js")
    told = mount(
        key=f"upload-{side}",
        data={"reconciliation": reconciliation_id, "side": side, "limit": limit_mb << 20, "label": label},
        on_arrived_change=lambda: None,
    )
    return list(told.arrived or [])
