"""Parts of the screens that run in the browser. The script and the style of one are files that the server gives out,
because the pages' policy allows no other scripts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest


def own_component(name: str, folder: Path, *, html: str, js: str, css: str | None = None) -> Any:
    """What mounts the component whose files are in `assets` below the folder."""
    manager, full = get_bidi_component_manager(), f"recon-{name}.{name}"
    if manager.get_component_asset_root(full) is None:
        own = ComponentManifest(f"recon-{name}", "1", [ComponentConfig(name, asset_dir="assets")])
        manager.register_from_manifest(own, folder)
    return st.components.v2.component(full, html=html, css=css, js=js)
