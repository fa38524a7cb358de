"""The page of a report: pictures, headline table, curves, details folded; one file without scripts."""

from collections.abc import Sequence

from sevenfold.report.content import Report, Table
from sevenfold.report.pictures import Picture

FIRST = 4  # pictures above the headline table


def draw_page(
    report: Report, pictures: Sequence[Picture], *, curves: str = "", rows: Table | None = None
) -> str:
    """Return a self-contained page.

    Args:
        report: title, sentences, headline table and sections.
        pictures: shown first; those that are not embedded are links.
        curves: an SVG.
        rows: table of all numbers, folded.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PAGE)
    shown = [picture for picture in pictures if picture.embedded]
    return template.render(
        report=report, pictures=pictures, shown=shown, first=FIRST, curves=Markup(curves), rows=rows
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ report.title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1240px; padding: 0 1em;
  color: #222 }
p { max-width: 60em } div.table { overflow-x: auto; margin: 1em 0 } table { border-collapse: collapse }
td, th { padding: .25em .8em; text-align: right; border-bottom: 1px solid #ddd }
th { border-bottom: 2px solid #888 } td:first-child, th:first-child { text-align: left }
figure { display: inline-block; margin: .5em .5em .5em 0; vertical-align: top }
img, svg { max-width: 100%; height: auto }
figcaption { font-size: 12px; color: #555 }
details { margin: .6em 0; border-top: 1px solid #ddd; padding-top: .4em }
summary { cursor: pointer; font-weight: 600 }
</style></head><body>
{% macro table(rows) %}<div class="table"><table>
{% for row in rows %}{% set tag = "th" if loop.first else "td" %}
<tr>{% for cell in row %}<{{ tag }}>{{ cell }}</{{ tag }}>{% endfor %}</tr>
{% endfor %}
</table></div>{% endmacro %}
<h1>{{ report.title }}</h1>
{% for paragraph in report.text %}<p>{{ paragraph }}</p>
{% endfor %}
{% for picture in shown[:first] %}
<figure><img src="{{ picture.url }}" alt="{{ picture.caption }}">
<figcaption>{{ picture.caption }}</figcaption></figure>
{% endfor %}
{% if report.headline %}{{ table(report.headline) }}{% endif %}
{% for picture in shown[first:] %}
{% if loop.first %}<h2>More pictures</h2>{% endif %}
<figure><img src="{{ picture.url }}" alt="{{ picture.caption }}">
<figcaption>{{ picture.caption }}</figcaption></figure>
{% endfor %}
{% if curves %}<h2>Curves</h2><figure>{{ curves }}</figure>{% endif %}
{% for section in report.sections %}
<details><summary>{{ section.title }}</summary>
{% for paragraph in section.text %}<p>{{ paragraph }}</p>{% endfor %}
{% if section.rows %}{{ table(section.rows) }}{% endif %}
</details>
{% endfor %}
{% if rows %}<details><summary>All numbers</summary>{{ table(rows) }}</details>{% endif %}
{% for picture in pictures if not picture.embedded %}
{% if loop.first %}<details><summary>Pictures beside this page</summary><ul>{% endif %}
<li><a href="{{ picture.url }}">{{ picture.caption }}</a></li>
{% if loop.last %}</ul></details>{% endif %}
{% endfor %}
</body></html>
"""
