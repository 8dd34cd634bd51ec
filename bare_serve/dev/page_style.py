"""The style sheet of error pages: light and dark, and as narrow as a phone.

What lives here: one text. What must not: what it styles (error_page.py). The page's
Content-Security-Policy has the hash of this very text.
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --bg: #f6f5f1; --card: #fffefb; --ink: #22211d; --soft: #6b675d;
  --line: #e4e1d7; --mark: #0b6e5b; --wrong: #b3261e; --hit: #fdeceb; --at: #f6c3bf;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
@media (prefers-color-scheme: dark) { :root { --bg: #161714; --card: #1f211d; --ink: #e9e6db;
  --soft: #a09b8c; --line: #34362f; --mark: #6fd3b4; --wrong: #ff8a80; --hit: #3a2422;
  --at: #7a332d } }
* { box-sizing: border-box }
body { margin: 0; background: var(--bg); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem }
header { margin-bottom: 1.5rem }
h1 { font: 700 1.9rem/1.2 var(--mono); color: var(--wrong); margin: 0 0 .4rem;
  overflow-wrap: anywhere }
h2 { font-size: 1rem; margin: 0 0 .5rem }
h2 i, .heading, .promise, footer { font-style: normal; font-weight: 400; color: var(--soft) }
h2 i { overflow-wrap: anywhere }
p { margin: 0 0 .5rem }
.about { font-weight: 600; overflow-wrap: anywhere; white-space: pre-line }
.where { font-size: 1.05rem }
.promise { font-size: .92rem }
#mended { border-left: 4px solid var(--mark); background: var(--card); padding: .6rem .9rem }
section { margin-bottom: 1.5rem }
.member { margin-left: 1rem; border-left: 2px solid var(--line); padding-left: 1rem }
.earlier { font-family: var(--mono); overflow-wrap: anywhere }
.earlier b { color: var(--wrong) }
pre, code, .place, summary, table { font-family: var(--mono); font-size: .86rem }
pre { margin: 0; tab-size: 4; overflow-x: auto }
.message, .note { font-size: 1.05rem; white-space: pre-wrap; overflow-wrap: anywhere;
  margin-bottom: .8rem; max-height: 20rem; overflow-y: auto }
.note { font-size: .92rem; color: var(--soft) }
.frames > *, .frame { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  margin-bottom: .5rem; overflow: hidden }
.frames > .folded { background: none; border-style: dashed }
summary { padding: .5rem .9rem; cursor: pointer; overflow-wrap: anywhere }
.folded summary { color: var(--soft); padding: .25rem .9rem }
.folded ol { margin: 0; padding: .2rem .9rem .6rem; list-style: none; font-size: .84rem;
  color: var(--soft) }
.folded li { padding: .2rem 0; overflow-wrap: anywhere }
.folded code { display: block; padding-left: 1rem }
.place { color: var(--mark) }
.place i { font-style: normal; color: var(--ink); font-weight: 700 }
.source { padding: .5rem 0; border-top: 1px solid var(--line); line-height: 1.5 }
.source span { display: block; padding-right: 1rem; min-width: max-content }
.source i { display: inline-block; width: 3.6rem; padding-right: .9rem; text-align: right;
  font-style: normal; color: var(--soft); user-select: none }
.source .hit { background: var(--hit) }
.source .hit i { color: var(--wrong); font-weight: 700 }
mark { background: var(--at); color: inherit; border-radius: 3px }
.values { border-top: 1px solid var(--line); padding: .3rem 0; max-height: 26rem; overflow: auto }
table { width: 100%; border-collapse: collapse }
th, td { text-align: left; vertical-align: top; padding: .2rem .9rem; overflow-wrap: anywhere }
th { width: 14rem; font-weight: 500; color: var(--mark) }
.wide { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem;
  max-height: 34rem; overflow: auto }
.frame > .wide { border-width: 1px 0 0; border-radius: 0 }
button { padding: .3rem .8rem; border: 0; border-radius: 6px; background: var(--mark);
  color: var(--card); font: inherit; font-weight: 600; cursor: pointer }
:is(button, summary):focus-visible { outline: 2px solid var(--mark); outline-offset: -2px }
footer { font-size: .86rem }
@media (max-width: 40rem) { main { padding: 1.25rem .75rem } h1 { font-size: 1.4rem }
  th, td { display: block; width: auto; padding: .15rem .75rem } td { padding-bottom: .4rem }
  .source i { width: 2.6rem; padding-right: .5rem }
  .member { margin-left: 0; padding-left: .6rem } }
"""
