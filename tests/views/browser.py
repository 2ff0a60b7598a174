"""Debian's headless Chromium, and what it says of a page: drawn, wide, heard, fetched."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt install chromium)")

#: Looks at the page in a frame of a phone's or a desk's width, once all of it is there.
_LOOKING = """<!DOCTYPE html><iframe id=page src="%(page)s" style="width:%(width)dpx;height:900px"></iframe>
<pre id=seen></pre><script>
page.onload = () => setTimeout(() => {
  const view = page.contentWindow, doc = page.contentDocument;
  const at_once = doc.querySelectorAll(".js-plotly-plot").length;
  view.dispatchEvent(new Event("beforeprint"));
  setTimeout(() => tell(view, doc, at_once), 1500);
}, 1500);
const tell = (view, doc, at_once) => {
  const plots = [...doc.querySelectorAll(".js-plotly-plot")];
  let hovered = "";
  const first = plots.find(plot => plot.data.some(trace => trace.type === "scatter"));
  if (first) {
    view.Plotly.Fx.hover(first, [{curveNumber: 0, pointNumber: 0}]);
    hovered = [...first.querySelectorAll(".hoverlayer text")].map(text => text.textContent).join(" ");
  }
  const timing = view.performance.getEntriesByType("navigation")[0];
  seen.textContent = JSON.stringify({
    charts: plots.length, drawn: plots.filter(plot => plot.querySelector("svg, canvas")).length,
    types: plots.flatMap(plot => plot.data.map(trace => trace.type)), hovered,
    wide: doc.documentElement.scrollWidth, room: doc.documentElement.clientWidth,
    plots_wide: Math.max(0, ...plots.filter(plot => !plot.closest(".scroll")).map(plot => plot.scrollWidth)),
    fetched: view.performance.getEntriesByType("resource").map(one => one.name),
    hacked: view.hacked === true || document.hacked === true, text: doc.body.innerText,
    milliseconds: timing ? timing.loadEventEnd : 0, at_once, places: doc.querySelectorAll(".plot").length,
  });
};
</script>"""


def look(page: Path, width: int = 1280) -> dict[str, Any]:
    """What Chromium sees of a page at a width; ``errors`` are those that it wrote to its console."""
    folder = page.parent
    (folder / "looking.html").write_text(_LOOKING % {"page": page.name, "width": width})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = subprocess.run(
            [
                str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                f"--window-size={width + 80},1000",
                "--timeout=60000", "--virtual-time-budget=20000", "--dump-dom",
                f"http://127.0.0.1:{server.server_port}/looking.html",
            ],
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    found = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    seen: dict[str, Any] = json.loads(html.unescape(found[1]))
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return {**seen, "errors": [line for line in console if "WebGL" not in line and "GPU" not in line]}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""
