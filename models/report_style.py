"""The style sheet of the HTML report: light and dark, narrow and wide, on screen and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --surface: #fcfcfb; --raised: #ffffff; --ink: #16181d; --muted: #565b66; --line: #dcdee3;
  --accent: #1f5fbf; --other: #b9bdc6;
  --series-0: #2a6fd0; --series-1: #d9541e; --series-2: #128a5f; --series-3: #b07a00;
  --series-4: #c2418f; --series-5: #5a46b5; --series-6: #0f8a9d; --series-7: #8a5a2b;
  --step-0: #b7d3f6; --step-1: #7fb1ec; --step-2: #3f87dc; --step-3: #1d5eb0; --step-4: #0b3875;
}
@media (prefers-color-scheme: dark) {
  :root {
    --surface: #15171b; --raised: #1c1f25; --ink: #eceef2; --muted: #a3a9b5; --line: #343942;
    --accent: #7fb2ff; --other: #555b67;
    --series-0: #5a9bf0; --series-1: #f0834f; --series-2: #3fbf8c; --series-3: #d9a520;
    --series-4: #e57fbb; --series-5: #a593f2; --series-6: #45bccd; --series-7: #c79a6b;
    --step-0: #1f3f6b; --step-1: #2c63a8; --step-2: #4a8fe0; --step-3: #8cbcf5; --step-4: #d3e6ff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--surface); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
header, nav, main, footer { max-width: 1080px; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.25rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .35rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 0 0 .6rem; letter-spacing: -.005em; }
p { margin: 0 0 .9rem; max-width: 70ch; }
.about, .note, figcaption, footer { color: var(--muted); }
.about code, td code { font-size: .92em; }
a { color: var(--accent); }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 3px; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; margin: 1rem 0 0;
  padding: .7rem 0; border-block: 1px solid var(--line); font-size: .94rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.3rem 0 0; }
.tiles div { flex: 1 1 170px; padding: .8rem 1rem; background: var(--raised);
  border: 1px solid var(--line); border-radius: 10px; }
.tiles dt { color: var(--muted); font-size: .88rem; }
.tiles dd { margin: 0; }
.tiles dd.figure { font-size: 1.65rem; font-weight: 600; letter-spacing: -.01em; }
.tiles dd.range { color: var(--muted); font-size: .88rem; font-variant-numeric: tabular-nums; }
section { padding-top: 2.3rem; scroll-margin-top: 1rem; }
.scroll { overflow-x: auto; margin: 0 0 1.1rem; }
table { border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0 0 .4rem; white-space: nowrap; }
th, td { padding: .36rem .8rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--muted); font-weight: 500; vertical-align: bottom; }
tbody th { font-weight: 500; }
.note { font-size: .9rem; }
.plots { display: flex; flex-wrap: wrap; gap: 1.2rem 2rem; align-items: flex-start; }
figure { margin: 0 0 1.2rem; flex: 1 1 320px; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; }
figure svg text { font-family: inherit !important; }
figcaption { font-size: .9rem; max-width: 70ch; margin-top: .3rem; }
.empty { border-left: 3px solid var(--line); padding-left: .9rem; color: var(--muted); }
footer { padding-top: 2.5rem; padding-bottom: 3rem; font-size: .9rem; }
@media print { nav { display: none; } section { break-inside: avoid; } }
"""
