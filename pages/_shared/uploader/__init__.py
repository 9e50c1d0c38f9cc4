"""The place where files are dropped. They stream to the API as they are read from the disk: neither the browser nor
this process ever holds one in memory, and the browser shows how far each is.

The script and its style are files that the server gives out, because the pages' policy allows no other scripts.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

from recon_engine.plan import SideName

_NAME = "recon.uploader"
_ZONE = """
<div class="zone" part="zone">
  <button type="button" class="choose">Choose files</button>
  <span class="or">or drop them here</span>
  <span class="what"></span>
  <input type="file" multiple hidden>
</div>
<ul class="files" aria-live="polite"></ul>
"""


def drop_zone(reconciliation_id: str, side: SideName, limit_mb: int, label: str) -> list[str]:
    """Take in files for one side of a reconciliation; returns the ids of those that have just arrived."""
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(_NAME) is None:
        own = ComponentManifest("recon", "1", [ComponentConfig("uploader", asset_dir="assets")])
        manager.register_from_manifest(own, Path(__file__).parent)
    mount = st.components.v2.component(_NAME, html=_ZONE, css="uploader.css", js="uploader.js")
    told = mount(
        key=f"upload-{side}",
        data={"reconciliation": reconciliation_id, "side": side, "limit": limit_mb << 20, "label": label},
        on_arrived_change=lambda: None,
    )
    return list(told.arrived or [])
