"""The renderers: escaped, self-contained, the same every time."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest

from electra.reporting import curves
from electra.reporting.confusion_matrix import SIDEWAYS, matrix
from electra.reporting.curves import MOST_POINTS, Chart, Line, figure, smoothed, svg, thinned
from electra.reporting.html_page import notice, page, paragraph, section
from electra.reporting.html_tables import side_by_side, table
from electra.reporting.marked_text import AROUND, MOST_CHARACTERS, Mark, Part, marked, passage
from electra.reporting.token_colours import ShownToken, coloured

NASTY = '<script>alert("1")</script>&amp;'
VOID = {"meta", "br", "path", "use", "line"}


class Tags(HTMLParser):
    """Which tags are open, which were seen, and what text was."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def chart(points: int = 50, **changes: object) -> Chart:
    line = Line(NASTY, [(step, 1 / (1 + step)) for step in range(points)], smooth=True)
    base = Line("base $rate_1$", [(0, 0.5), (points, 0.5)], 1, dashed=True)
    return Chart(**({"title": NASTY, "lines": (line, base), "marks": ((5, NASTY),), "note": NASTY} | changes))  # type: ignore[arg-type]


def whole() -> str:
    token = ShownToken(NASTY, 0.9, instead_of=NASTY, note=NASTY)
    parts = [
        notice(NASTY, NASTY),
        paragraph(NASTY),
        table((NASTY, "value"), [(NASTY, NASTY), ("b", 2)], caption=NASTY),
        side_by_side({NASTY: {NASTY: NASTY}, "other": {}}, name=NASTY),
        coloured([token, ShownToken(f"##{NASTY}", 0.1)]),
        passage(
            NASTY, [Part(NASTY, NASTY, [Mark(0, 9, NASTY), Mark(3, 12, NASTY, expected=False)]), Part(NASTY, NASTY)]
        ),
        matrix([NASTY, "b"], [[1, 2], [0, 0]], rows=NASTY, columns=NASTY, caption=NASTY),
        figure(chart()),
    ]
    return page(NASTY, [section(NASTY, parts, note=NASTY)])


def test_everything_is_escaped_and_closed() -> None:
    tags = Tags(whole())
    assert tags.open == []
    assert "script" not in tags.seen
    assert tags.text.count(NASTY) >= 27


def test_a_page_fetches_nothing() -> None:
    text = whole()
    outside = set(re.findall(r"""(?:href|src|url\()\s*=?\s*["']?([^"')>\s]+)""", text))
    assert all(target.startswith("#") for target in outside)
    assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}  # names of SVG, not addresses
    assert "prefers-color-scheme" in text or "color-scheme: light dark" in text


def test_a_drawing_is_in_the_page_s_colour_and_the_same_every_time() -> None:
    drawn = svg(chart())
    assert drawn == svg(chart())
    assert drawn.startswith("<svg")
    assert "currentColor" in drawn
    assert curves.INK not in drawn
    assert "<style" not in drawn
    assert ">base $rate_1$</text>" in drawn  # as it was given, not as a formula
    assert re.search(r"\d{4}-\d\d-\d\d", drawn) is None


def test_numbers_beside_a_drawing_are_whole() -> None:
    """What is shortened are places in the drawing, not what is to be read; no formulas stand for powers of ten."""
    rates = svg(Chart("Rate", [Line("rate", [(step, 1e-4 * step) for step in range(1, 30)])]))
    assert re.search(r">0\.00\d+</text>", rates)
    assert re.search(r'd="[^"]*\d\.\d{3}', rates) is None
    norms = svg(Chart("Norm", [Line("norm", [(1, 0.02), (2, 300.0)])], log_y=True))
    assert ">100</text>" in norms
    assert ">0.1</text>" in norms
    assert "mathdefault" not in norms


def test_dots_are_points_without_a_line() -> None:
    points = [(float(i), float(-i)) for i in range(5000)]
    drawn = svg(Chart("dots", [Line("dots", points, dots=True)]))
    assert 100 < drawn.count("<use") < 1000
    assert drawn.count("<use") > svg(Chart("dots", [Line("line", points)])).count("<use") + 100


def test_a_drawing_stays_small_however_long_the_run() -> None:
    assert len(svg(chart(100_000))) < 60_000
    assert len(thinned([(x, x) for x in range(10_000)], 100)) == 100
    assert len(thinned([(x, x) for x in range(99)], MOST_POINTS)) == 99


def test_means_of_neighbours_move_nothing() -> None:
    straight = [(float(x), 2.0 * x) for x in range(200)]
    assert all(y == pytest.approx(2 * x) for x, y in smoothed(straight)[50:150])
    assert all(y == pytest.approx(2 * x) for x, y in thinned(straight, 10))


def test_a_value_that_is_no_number_leaves_its_neighbours() -> None:
    points = [(float(step), math.nan if step == 500 else 2.0) for step in range(1000)]
    assert {y for _, y in thinned(points, 200)} == {2.0}
    assert {y for _, y in smoothed(points)} == {2.0}
    assert math.isnan(smoothed([(0.0, math.nan)])[0][1])


@pytest.mark.parametrize("name", ["_old", "実験"])
def test_every_name_is_in_the_legend(name: str) -> None:
    drawn = svg(chart(lines=(Line(name, [(0, 1), (1, 2)]), Line("new", [(0, 1), (1, 3)], 1))))
    assert name in Tags(drawn).text


def test_a_chart_of_nothing_is_nothing() -> None:
    assert figure(Chart("empty", [Line("a", [])])) == ""
    assert "<svg" in figure(Chart("one", [Line("a", [(1, 2.0)]), Line("b", [])]))
    assert section("nothing", ["", ""]) == ""


def test_without_matplotlib_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'electra\[report\]'"):
        figure(chart())


def test_a_replaced_token_is_marked_with_its_original() -> None:
    shown = coloured(
        [
            ShownToken("the", 0.0),
            ShownToken("road", 0.93, "river", "P = 0.93"),
            ShownToken("##s", 2.0),
            ShownToken("##", 0),
        ]
    )
    assert '<ruby><span class="marked" style="background: rgb(230 120 0 / 0.93)" title="P = 0.93">road</span>' in shown
    assert "<rt>river</rt>" in shown
    assert "</ruby><span" in shown  # a piece that goes on with a word has no space before it
    assert "/ 1.00" in shown
    assert 'dir="auto"' in shown


def test_what_differs_between_columns_comes_first() -> None:
    shown = side_by_side({"a": {"same": 1, "other": 0.00012345}, "b": {"same": 1, "other": 1234567}}, name="setting")
    rows = re.findall(r"<tr.*?</tr>", shown)
    assert "other" in rows[1]
    assert "differs" in rows[1]
    assert "0.0001234" in rows[1]
    assert "1,234,567" in rows[1]
    assert "differs" not in rows[2]
    shown = side_by_side({"a": {"rate": 0.00050001}, "b": {"rate": 0.00050004}}, name="setting")
    assert "0.00050001" in shown
    assert "0.00050004" in shown


def test_marks_may_lie_across_each_other() -> None:
    shown = marked("a red house", [Mark(2, 11, "BIG"), Mark(0, 5, "RED", expected=False)])
    assert re.sub(r' title="[^"]*"', "", shown) == (
        '<span class="predicted">a </span><span class="expected predicted">red</span><sub class="predicted">RED</sub>'
        '<span class="expected"> house</span><sub class="expected">BIG</sub>'
    )
    same = marked("red", [Mark(0, 3, "X"), Mark(0, 3, "X", expected=False)])
    assert same.endswith('red</span><sub class="expected predicted">X</sub>')


def test_of_a_long_text_the_marked_part_is_shown() -> None:
    text = "".join(f"{i:04d}" for i in range(1000))
    shown = marked(text, [Mark(2000, 2004)])
    assert shown.startswith("…" + text[2000 - AROUND : 2000])
    assert ">0500<" in shown
    assert shown.endswith(text[2004 : 2004 + AROUND] + "…")
    assert marked(text) == text[:MOST_CHARACTERS] + "…"
    assert marked("short") == "short"


def test_a_matrix_is_coloured_by_the_share_of_the_row() -> None:
    shown = matrix(["a", "b"], [[3, 1], [0, 0]], rows="right", columns="answer")
    assert re.findall(r'rgb\((.*?) / (.*?)\)" title="(.*?)"', shown) == [
        ("0 114 178", "0.49", "75.0% of the row"),
        ("213 94 0", "0.16", "25.0% of the row"),
    ]
    assert "sideways" not in shown
    many = [str(i) for i in range(SIDEWAYS)]
    assert "sideways" in matrix(many, [[1] * SIDEWAYS] * SIDEWAYS, rows="right", columns="answer")


def test_a_heading_stands_where_its_numbers_do() -> None:
    shown = table(("name", "count", "word", "nothing"), [("a", 1, "x", None), ("b", None, 2, None)])
    headings = re.findall(r'<th scope="col"( class=number)?>(\w+)', shown)
    assert headings == [("", "name"), (" class=number", "count"), ("", "word"), ("", "nothing")]
    assert "<th" in table(("name",), [])


@pytest.mark.parametrize("hidden", ["\u202e", "\u2066", "\x00", "\x1b", "\ud800", "\x85"])
def test_hidden_characters_are_shown_as_code_points(hidden: str) -> None:
    """A direction override in a file's name would make the page read as something else."""
    name = f"report{hidden}fdp.exe"
    token = ShownToken(name, 0.9, instead_of=name, note=name)
    parts = [
        notice(name, name),
        paragraph(name),
        table((name,), [(name,)], caption=name),
        side_by_side({name: {name: name}}, name=name),
        coloured([token]),
        passage(name, [Part(name, name, [Mark(2, 9, name)]), Part(name, name)]),
        matrix([name, "b"], [[1, 2], [0, 0]], rows=name, columns=name, caption=name),
        figure(chart(title=name, note=name, lines=(Line(name, [(0, 1), (1, 2)]), Line("_" + name, [(0, 1)])))),
    ]
    written = page(name, [section(name, parts, note=name)]).encode()
    assert hidden.encode("utf-8", "surrogatepass") not in written
    assert written.count(f"[U+{ord(hidden):04X}]".encode()) >= 27


def test_a_plain_string_among_the_parts_is_text() -> None:
    assert "&lt;b&gt;" in page("title", ["<b>"])
    assert "&lt;b&gt;" in section("title", ["<b>"])


def test_spaces_at_the_ends_of_a_text_are_kept() -> None:
    assert marked(" a b ", [Mark(3, 5)]) == ' a <span class="expected" title="">b </span>'


def test_a_row_of_a_matrix_has_its_total() -> None:
    shown = matrix(["a", "b"], [[3, 1], [0, 1200]], rows="expected", columns="predicted")
    assert re.findall(r'<td class="number">([\d,]+)</td></tr>', shown) == ["4", "1,200"]


def test_the_area_of_a_point_is_its_weight() -> None:
    points = [(0.1, 0.1), (0.9, 0.9)]
    drawn, even, plain = (
        svg(Chart("bins", [Line("bins", points, weights=weights)])) for weights in ([1.0, 100.0], [1.0, 1.0], [])
    )
    assert drawn != even
    assert len(even) > len(plain)
