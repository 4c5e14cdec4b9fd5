"""How report.html looks: one column on a phone, calm on a desk, light or dark as the reader's system is."""

STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --faint: #667; --line: #ddd; --wrong: #c62828;
  --right: #2e7d32; --loss-colour: 198, 40, 40; --card: #f6f7f9; }
@media (prefers-color-scheme: dark) { :root { --ink: #d8d8d8; --paper: #16181d; --faint: #9aa; --line: #3a3d45;
  --wrong: #ff8a80; --right: #81c784; --loss-colour: 255, 110, 100; --card: #1f2229; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; }
.fact, .note, figcaption, .name { color: var(--faint); font-size: .85rem; margin: .2rem 0; }
.answer { background: var(--card); border-left: 4px solid #4269d0; padding: .6rem .9rem; margin: .7rem 0; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
th { font-weight: 600; color: var(--faint); vertical-align: bottom; }
td { white-space: nowrap; }
td:first-child { min-width: 7rem; white-space: normal; }
.loss { display: inline-block; padding: .1rem .4rem; border-radius: .3rem;
  background: rgba(var(--loss-colour), calc(var(--loss) * .55)); white-space: nowrap; }
article { margin: 1.5rem 0; }
.plot { width: 100%; max-width: 44rem; height: auto; display: block; }
@media (prefers-color-scheme: dark) { .plot { filter: invert(.92) hue-rotate(180deg); } }
.strip { display: flex; flex-wrap: wrap; gap: .4rem; }
.strip figure { margin: 0; width: 72px; }
.strip img { width: 100%; border-radius: .25rem; }
figcaption { font-size: .72rem; line-height: 1.15; text-align: center; }
.photo { max-width: 96px; max-height: 96px; display: block; border-radius: .25rem; }
.seen { width: 84px; height: 84px; image-rendering: pixelated; display: block; border-radius: .25rem; }
.wrong { color: var(--wrong); font-size: 1.1rem; }
.right { color: var(--right); }
.name { display: inline-block; min-width: 9rem; white-space: normal; word-break: break-all; }
summary { cursor: pointer; margin: .6rem 0; }
"""
