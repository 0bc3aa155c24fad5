"""Write the generated pages: `python -m documentation`, with this folder and the package's on the path."""

from __future__ import annotations

from documentation.generated import PAGES, REFERENCE

for name, page in PAGES.items():
    (REFERENCE / name).write_text(page(), encoding="utf-8")
