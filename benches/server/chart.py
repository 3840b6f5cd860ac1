"""A chart of the requests per second of CPU."""

import statistics

SHOWN = {
    "tasks-api": "tasks-api",
    "fastify": "Fastify",
    "fastapi-tuned": "FastAPI, tuned",
    "fastapi-common": "FastAPI, as commonly written",
}
ENDPOINTS = ["list of 20", "get", "create", "toggle"]
PANEL, LABEL, BAR, GAP, TOP = 380, 66, 11, 12, 62

# Colours that are legible on white and on black; the text colour follows the theme.
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .number { font-size: 10px }
  .heading { font-weight: 600 }
  .tasks-api { fill: #d9622b } .fastify { fill: #4a8fd4 } .fastapi-tuned { fill: #2f9e74 } .fastapi-common { fill: #8b8b98 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
"""


def chart(runs):
    """One panel for each database, from the runs with EdDSA tokens."""
    panels = [run for run in runs if run["algorithm"] == "EdDSA" and SHOWN.keys() <= run["servers"].keys()]
    if not panels:
        return None
    height = TOP + len(ENDPOINTS) * (len(SHOWN) * BAR + GAP)
    width = PANEL * len(panels)
    title = "Requests per second of CPU (more is better)"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{title}</title><style>{STYLE}</style>",
        *legend(title),
    ]
    for n, run in enumerate(panels):
        parts += panel(run, n * PANEL)
    return "\n".join([*parts, "</svg>"]) + "\n"


def legend(title):
    yield f'<text class="heading" x="0" y="14">{title}</text>'
    x = 0
    for name, shown in SHOWN.items():
        yield f'<rect class="{name}" x="{x}" y="24" width="10" height="10" rx="2"/><text x="{x + 15}" y="33">{shown}</text>'
        x += 40 + 7 * len(shown)


def panel(run, left):
    yield f'<text class="heading" x="{left}" y="{TOP - 6}">{run["database"]}</text>'
    served = {
        (endpoint, name): statistics.median(w["requests"] / w["cpu_seconds"] for w in run["servers"][name]["windows"][endpoint])
        for endpoint in ENDPOINTS
        for name in SHOWN
    }
    scale = (PANEL - LABEL - 60) / max(served.values())
    y = TOP
    for endpoint in ENDPOINTS:
        yield f'<text x="{left}" y="{y + len(SHOWN) * BAR / 2 + 4}">{endpoint}</text>'
        for name in SHOWN:
            value = served[endpoint, name]
            bar = max(value * scale, 1)
            yield f'<rect class="{name}" x="{left + LABEL}" y="{y}" width="{bar:.1f}" height="{BAR - 2}" rx="2"/>'
            yield f'<text class="number" x="{left + LABEL + bar + 4:.1f}" y="{y + BAR - 3}">{value:,.0f}</text>'
            y += BAR
        y += GAP
