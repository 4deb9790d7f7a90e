# SPDX-License-Identifier: BSD-3-Clause
"""One HTML page of a set of trials: charts, tables below each, where they come from.  No script, nothing from elsewhere."""
import re
from html import escape

from figures import TIERS
from tables import header, left_out, sections

STYLE = """
:root{--back:#f5f6f8;--card:#fff;--ink:#1b1f24;--grey:#5a636d;--line:#dfe3e8;--code:#f0f2f5}
@media(prefers-color-scheme:dark){:root{--back:#0d1014;--card:#14181d;--ink:#e8ebef;--grey:#a3adb8;--line:#2b323a;--code:#1c2229}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI","Liberation Sans",Arial,sans-serif}
main{max-width:1640px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:44px 0 12px}
p{max-width:900px}.grey{color:var(--grey)}
nav a{margin-right:18px;color:inherit}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,620px),1fr));gap:16px;margin:12px 0}
.charts svg{width:100%;height:auto;display:block}
figure{margin:0}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:8px;margin:8px 0}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:6px 12px;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--grey);font-weight:600;white-space:normal;vertical-align:bottom}
td.right,th.right{text-align:right}tr:last-child td{border-bottom:0}tbody tr:hover{background:var(--code)}
.source td{white-space:normal}
pre{background:var(--code);padding:12px 16px;border-radius:8px;overflow-x:auto;font-size:13px;white-space:pre-wrap}
summary{cursor:pointer;font-weight:600;margin:10px 0}
"""


def inline(text):
    """Of a line of our own Markdown."""
    text = escape(text.replace("\\|", "|"))
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


def cells(line):
    return [c.strip() for c in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def table_html(lines):
    right = [c.endswith(":") for c in cells(lines[1])]
    style = [' class="right"' if r else "" for r in right]
    row = lambda line, tag: "<tr>" + "".join(f"<{tag}{s}>{inline(c)}</{tag}>" for c, s in zip(cells(line), style)) + "</tr>"
    return ('<div class="wide"><table><thead>' + row(lines[0], "th") + "</thead><tbody>" +
            "".join(row(line, "td") for line in lines[2:]) + "</tbody></table></div>")


def html_of(markdown):
    """Of what tables.py writes: tables, paragraphs and fenced text, no more."""
    out, lines = [], markdown.splitlines()
    while lines:
        line = lines.pop(0)
        if line.startswith("|"):
            block = [line]
            while lines and lines[0].startswith("|"):
                block.append(lines.pop(0))
            out.append(table_html(block))
        elif line.startswith("```"):
            block = []
            while lines and not lines[0].startswith("```"):
                block.append(lines.pop(0))
            lines = lines[1:]
            out.append(f"<pre>{escape(chr(10).join(block))}</pre>")
        elif line.strip():
            out.append(f"<p>{inline(line)}</p>")
    return "\n".join(out)


def section(tier, kind, body, plots):
    name = f"{tier} {kind}"
    figures = "".join(f"<figure>{p.svg}</figure>" for p in plots if (p.tier, p.kind) == (tier, kind))
    charts = f'<div class="charts">{figures}</div>' if figures else ""
    # Long tables wait until they are asked for where there are charts.
    opened = "" if figures and body.count("\n|") > 40 else " open"
    return (f'<h2 id="{tier}-{kind}">{name} <span class="grey">{escape(TIERS.get(tier, ""))}</span></h2>{charts}'
            f"<details{opened}><summary>Table</summary>{html_of(body)}</details>")


def html(trials, plots):
    parts = list(sections(trials))
    links = "".join(f'<a href="#{t}-{k}">{t} {k}</a>' for t, k, _ in parts)
    first = trials[0].get("machine") or {}
    body = "".join(section(t, k, b, plots) for t, k, b in parts)
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            '<meta name="color-scheme" content="light dark">'
            f"<title>sluice-bench</title><style>{STYLE}</style></head><body><main><h1>sluice-bench</h1>"
            f'<p class="grey">{escape(str(first.get("cpu")))}, {len(trials)} trials</p><nav>{links}</nav>'
            f'{body}<h2>Where it comes from</h2><div class="source">{html_of(header(trials))}</div><p>{escape(left_out(trials))}</p>'
            "</main></body></html>\n")
