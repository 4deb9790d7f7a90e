# SPDX-License-Identifier: BSD-3-Clause
"""Charts as SVG files that stand alone: no script, no font, no file beside them.

    line_chart()       one value over another, linear or logarithmic; bands of spread, markers, reference lines
    percentile_chart() latency over the share of packets, on an axis of log(1 / (1 - share))
    stacked_chart()    parts of a sum, as horizontal bars
    ratio_chart()      ratios with their spread around 1
    dot_chart()        several figures of one thing on one line: a row each

Each takes a Frame (title, units, a note) and data, and returns the text of an SVG document.  Colours are classes of a
style sheet inside the file, so that the viewer's dark mode changes them; wherever an image viewer knows no style
sheets for dark mode, the light ones are used on a background of their own.  Series differ by colour, by the shape of
their marks and by a label at their end, so that nobody has to tell colours apart.
"""
import math
from dataclasses import dataclass
from html import escape

WIDTH = 760
FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

# After Okabe and Ito, darkened until each has a contrast of 3 to 1 with its background.
LIGHT = ("#0067a6", "#cc4f00", "#00805e", "#a8478a", "#946500", "#3c4650", "#2b8cc4", "#7a5bd0")
DARK = ("#5db4ee", "#ff9356", "#3fcaa0", "#e79bcb", "#eebc4e", "#c5ced8", "#9ad4f7", "#b7a3f5")
MARKS = ("circle", "square", "diamond", "triangle", "cross", "ring", "down", "bar")
N_STYLES = len(LIGHT)

# The average letter of the fonts above, as a share of the font's size; figures and capitals are wider than "l".
NARROW, WIDE = set("iljtf.,:;'|!()[] "), set("mwMW@%")


@dataclass
class Frame:
    """What surrounds the data.  unit: of the y axis, with what it counts; note: where the figures come from."""
    title: str
    subtitle: str = ""
    x_title: str = ""
    y_title: str = ""
    note: str = ""
    height: int = 400


@dataclass
class Series:
    """points: (x, y) or (x, y, low, high).  style: 0.. N_STYLES - 1.  muted: thin and dashed, for what is compared with."""
    name: str
    points: list
    style: int = 0
    muted: bool = False


@dataclass
class Bar:
    """One bar of stacked_chart: name, parts {part name: value}, and what to write behind the sum."""
    name: str
    parts: dict
    text: str = ""


@dataclass
class Ratio:
    """One row of ratio_chart: median with the least and the greatest."""
    name: str
    value: float
    low: float
    high: float
    style: int = 0
    group: str = ""


@dataclass
class Dots:
    """One row of dot_chart: marks {name: value}, what to write at its end, and the heading that it stands under."""
    name: str
    marks: dict
    text: str = ""
    group: str = ""


@dataclass
class Mark:
    """A vertical or horizontal line with a label: axis "x" or "y", value there."""
    axis: str
    value: float
    text: str


def text_width(text, size):
    return size * sum(0.34 if c in NARROW else 0.92 if c in WIDE else 0.62 for c in text)


def figure(value):
    """A number as people write it: 1,234; 0.35; 2.5."""
    if value == 0:
        return "0"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".")


def style_sheet():
    """Plain colours, no variables: not every program that draws SVG knows those."""
    def rules(colours, back, ink, grey, grid, frame):
        lines = [f".back{{fill:{back};stroke:{frame}}}", f".ink{{fill:{ink}}}", f".grey{{fill:{grey}}}",
                 f".grid{{stroke:{grid}}}", f".axis{{stroke:{grey}}}", f".halo{{stroke:{back}}}", f".hollow{{fill:{back}}}"]
        for i, c in enumerate(colours):
            lines.append(f".f{i}{{fill:{c}}}.s{i}{{stroke:{c}}}")
        return "".join(lines)

    return ("<style>" + f"text{{font-family:{FONT};font-variant-numeric:tabular-nums}}" +
            rules(LIGHT, "#ffffff", "#1b1f24", "#5a636d", "#e3e7eb", "#e3e7eb") +
            "@media (prefers-color-scheme:dark){" + rules(DARK, "#14181d", "#e8ebef", "#a3adb8", "#2b323a", "#2b323a") +
            "}</style>")


class Canvas:
    """Elements of a document, in the order in which they are painted."""

    def __init__(self, height, frame):
        self.height, self.frame, self.elements = height, frame, []

    def add(self, tag, content=None, **attributes):
        words = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(shown(value))}"' for name, value in attributes.items()
                        if value is not None)
        self.elements.append(f"<{tag}{words}/>" if content is None else f"<{tag}{words}>{content}</{tag}>")

    def text(self, x, y, text, size=12, style="ink", anchor=None, weight=None, tip=None):
        inner = escape(text) + (f"<title>{escape(tip)}</title>" if tip else "")
        self.add("text", inner, x=x, y=y, font_size=size, class_=style, text_anchor=anchor, font_weight=weight)

    def heading(self, x, y, text):
        """With a background of its own, so that no grid line runs through it."""
        self.add("rect", x=x - 3, y=y - 13, width=text_width(text, 12.5) * 1.05 + 6, height=18, class_="hollow")
        self.text(x, y, text, 12.5, weight=600)

    def line(self, x1, y1, x2, y2, style="grid", width=1, dash=None):
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=style, stroke_width=width, stroke_dasharray=dash)

    def path(self, points, style, width=2, dash=None):
        d = "M" + "L".join(f"{shown(x)} {shown(y)}" for x, y in points)
        self.add("path", d=d, class_=style, stroke_width=width, fill="none", stroke_linejoin="round", stroke_linecap="round",
                 stroke_dasharray=dash)

    def band(self, upper, lower, style):
        d = "M" + "L".join(f"{shown(x)} {shown(y)}" for x, y in [*upper, *reversed(lower)]) + "Z"
        self.add("path", d=d, class_=style, fill_opacity=0.16, stroke="none")

    def mark(self, kind, x, y, style, tip="", size=4.2):
        s = size
        shapes = {"square": ((-s, -s), (s, -s), (s, s), (-s, s)), "diamond": ((0, -s * 1.3), (s * 1.3, 0), (0, s * 1.3), (-s * 1.3, 0)),
                  "triangle": ((0, -s * 1.25), (s * 1.2, s), (-s * 1.2, s)), "down": ((0, s * 1.25), (s * 1.2, -s), (-s * 1.2, -s)),
                  "bar": ((-s * 1.4, -s * 0.5), (s * 1.4, -s * 0.5), (s * 1.4, s * 0.5), (-s * 1.4, s * 0.5))}
        tip = f"<title>{escape(tip)}</title>"
        if kind in shapes:
            self.add("path", tip, d="M" + "L".join(f"{shown(x + dx)} {shown(y + dy)}" for dx, dy in shapes[kind]) + "Z",
                     class_=f"f{style} halo", stroke_width=1)
        elif kind == "cross":
            d = f"M{shown(x - s)} {shown(y - s)}L{shown(x + s)} {shown(y + s)}M{shown(x - s)} {shown(y + s)}L{shown(x + s)} {shown(y - s)}"
            self.add("path", tip, d=d, class_=f"s{style}", stroke_width=2.2, fill="none")
        elif kind == "ring":
            self.add("circle", tip, cx=x, cy=y, r=s, class_=f"s{style} hollow", stroke_width=2)
        else:
            self.add("circle", tip, cx=x, cy=y, r=s, class_=f"f{style} halo", stroke_width=1)

    def document(self):
        f, e = self.frame, escape
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{shown(self.height)}" '
                f'viewBox="0 0 {WIDTH} {shown(self.height)}" role="img" aria-label="{e(f.title)}">'
                f"<title>{e(f.title)}</title><desc>{e(f.subtitle)}</desc>{style_sheet()}")
        back = f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{shown(self.height - 1)}" rx="8" class="back"/>'
        return head + back + "".join("\n" + x for x in self.elements) + "\n</svg>\n"


def shown(value):
    """Coordinates need no more than a tenth of a pixel."""
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return str(value)


# ---- axes -------------------------------------------------------------------------------------------------------------

def nice_step(span, n):
    raw = span / max(1, n)
    power = 10 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)


class Linear:
    """From 0 where all values are positive: a bar or a line that does not begin at 0 exaggerates."""

    def __init__(self, values, start, end, from_zero=True, n=5, room=1.06):
        low, high = min(values), max(values)
        self.low = min(0, low) if from_zero else low
        high = high if high > self.low else self.low + 1
        self.step = nice_step((high - self.low) * room, n)
        self.high = max(high, self.step * math.ceil((high * room if from_zero else high) / self.step - 1e-9)) if from_zero else high
        self.start, self.end = start, end

    def at(self, v):
        return self.start + (v - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self):
        first = math.ceil(self.low / self.step - 1e-9)
        found = []
        while first * self.step <= self.high * (1 + 1e-9):
            found.append((first * self.step, figure(round(first * self.step, 10))))
            first += 1
        return found


class Log:
    def __init__(self, values, start, end, whole=True):
        """whole: begin and end at 1, 2 or 5 times a power of ten, instead of at the outermost values"""
        positive = [v for v in values if v > 0] or [1, 10]
        self.low, self.high = min(positive), max(positive)
        if whole:
            self.low, self.high = self.round_down(self.low * 0.97), self.round_up(self.high * 1.05)
        if self.low == self.high:
            self.low, self.high = self.low / 2, self.high * 2
        self.start, self.end = start, end

    @staticmethod
    def round_down(v):
        power = 10.0 ** math.floor(math.log10(v))
        return max(m for m in (1, 2, 5) if m * power <= v * 1.000001) * power

    @staticmethod
    def round_up(v):
        power = 10.0 ** math.floor(math.log10(v))
        return min(m for m in (1, 2, 5, 10) if m * power >= v * 0.999999) * power

    def at(self, v):
        v = max(v, self.low)
        return self.start + math.log(v / self.low) / math.log(self.high / self.low) * (self.end - self.start)

    def ticks(self):
        decades = math.log10(self.high / self.low)
        factors = (1,) if decades > 4 else (1, 3) if decades > 3 else (1, 2, 5)
        found, power = [], math.floor(math.log10(self.low))
        while 10.0 ** power <= self.high * 1.000001:
            found += [(m * 10.0 ** power, figure(round(m * 10.0 ** power, 12))) for m in factors
                      if self.low * 0.999 <= m * 10.0 ** power <= self.high * 1.001]
            power += 1
        return found


class Values(Log):
    """Logarithmic, with a tick at each value that was measured (sizes, counts of peers), as far as there is room."""

    def __init__(self, values, start, end, name=figure):
        super().__init__(values, start, end, whole=False)
        self.values, self.name = sorted(set(values)), name

    def ticks(self):
        found, last = [], -math.inf
        for v in self.values:
            half = text_width(self.name(v), 12) / 2 + 4
            if self.at(v) - half >= last:
                found.append((v, self.name(v)))
                last = self.at(v) + half
        return found


class Nines:
    """Shares of all packets: 0, 90 %, 99 %, 99.9 % at equal distances."""

    def __init__(self, n_most, start, end):
        self.span, self.start, self.end = max(2.0, n_most), start, end

    def at(self, share):
        nines = -math.log10(max(1 - share, 10 ** -self.span))
        return self.start + nines / self.span * (self.end - self.start)

    def ticks(self):
        found = [(0.0, "0 %")]
        for n in range(1, math.floor(self.span + 1e-9) + 1):
            found.append((1 - 10.0 ** -n, f"{100 * (1 - 10.0 ** -n):.{max(0, n - 2)}f} %"))
        return found


# ---- what all charts have ---------------------------------------------------------------------------------------------

def wrapped(text, size, width):
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and text_width(longer, size) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return lines + ([line] if line else [])


def head(canvas):
    """Title and subtitle; returns where the next thing may begin."""
    y = 32
    for line in wrapped(canvas.frame.title, 17, WIDTH - 48):
        canvas.text(24, y, line, 17, weight=600)
        y += 21
    for line in wrapped(canvas.frame.subtitle, 12.5, WIDTH - 48):
        canvas.text(24, y, line, 12.5, "grey")
        y += 17
    return y + 6


def note_lines(frame):
    return wrapped(frame.note, 11, WIDTH - 48)


def foot(canvas, y):
    for line in note_lines(canvas.frame):
        canvas.text(24, y, line, 11, "grey")
        y += 15


def legend(canvas, names, y, draw):
    """One line (or more) of names with a sample that draw(x, y, i) paints; returns the next free y."""
    x = 24
    for i, name in enumerate(names):
        width = 22 + text_width(name, 12) + 18
        if x + width > WIDTH - 16 and x > 24:
            x, y = 24, y + 19
        draw(x + 7, y - 4, i)
        canvas.text(x + 20, y, name, 12)
        x += width
    return y + 20


def y_axis(canvas, scale, left, right, top):
    for value, name in scale.ticks():
        y = scale.at(value)
        canvas.line(left, y, right, y, "axis" if value == 0 else "grid")
        canvas.text(left - 8, y + 4, name, 12, "grey", "end")
    canvas.text(24, top - 12, canvas.frame.y_title, 12, "grey")


def x_axis(canvas, scale, bottom, ticks=True):
    for value, name in scale.ticks():
        x = scale.at(value)
        if ticks:
            canvas.line(x, bottom, x, bottom + 5, "axis")
        canvas.text(x, bottom + 19, name, 12, "grey", "middle")
    canvas.text((scale.start + scale.end) / 2, bottom + 39, canvas.frame.x_title, 12, "grey", "middle")


def apart(wanted, gap, top, bottom):
    """Moves labels until none covers another: (wanted y) in any order, the same number of y back."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = [0.0] * len(wanted)
    last = -math.inf
    for i in order:
        placed[i] = last = max(wanted[i], last + gap, top)
    over = last - bottom
    for i in reversed(order):
        if over <= 0:
            break
        placed[i] -= over
        k = order.index(i)
        over = placed[order[k - 1]] + gap - placed[i] if k else 0
    return placed


def end_labels(canvas, series, ends, x, top, bottom):
    """The name of each series beside its last point."""
    ys = apart([y for _, y in ends], 15, top, bottom)
    for s, (end_x, end_y), y in zip(series, ends, ys):
        if abs(y - end_y) > 3 or x - end_x > 14:
            canvas.line(end_x + 6, end_y, x - 4, y, f"s{s.style}", 0.75, "1 2")
        canvas.text(x, y + 4, s.name, 12, f"f{s.style}", weight=None if s.muted else 600)


# ---- line chart -------------------------------------------------------------------------------------------------------

def every_y(series):
    return [v for s in series for p in s.points for v in p[1:] if v is not None]


def make_x(kind, series, left, right):
    xs = [p[0] for s in series for p in s.points]
    if kind == "log":
        return Log(xs, left, right, whole=False)
    if kind == "values":
        return Values(xs, left, right)
    return Linear(xs, left, right, from_zero=kind == "zero", room=1)


def draw_series(canvas, s, x, y):
    at = [(x.at(p[0]), y.at(p[1])) for p in s.points]
    spread = [p for p in s.points if len(p) == 4]
    if len(spread) > 1:
        canvas.band([(x.at(p[0]), y.at(p[3])) for p in spread], [(x.at(p[0]), y.at(p[2])) for p in spread], f"f{s.style}")
    if len(at) > 1:
        canvas.path(at, f"s{s.style}", 1.5 if s.muted else 2.4, "5 4" if s.muted else None)
    for p, (px, py) in zip(s.points, at):
        tip = f"{s.name}: {figure(p[0])}, {figure(p[1])}" + (f" ({figure(p[2])} to {figure(p[3])})" if len(p) == 4 else "")
        if len(spread) == 1 and len(p) == 4:
            error_bar(canvas, px, y.at(p[2]), y.at(p[3]), s.style)
        canvas.mark(MARKS[s.style % N_STYLES], px, py, s.style, tip, 3.2 if s.muted else 4.2)


def error_bar(canvas, x, y1, y2, style):
    canvas.line(x, y1, x, y2, f"s{style}", 1.5)
    for y in (y1, y2):
        canvas.line(x - 4, y, x + 4, y, f"s{style}", 1.5)


def draw_lines(canvas, marks, x, y, left, right, top, bottom):
    for m in marks:
        if m.axis == "y":
            canvas.line(left, y.at(m.value), right, y.at(m.value), "axis", 1, "4 3")
            canvas.text(left + 4, y.at(m.value) + 14, m.text, 11, "grey")
        else:
            canvas.line(x.at(m.value), top, x.at(m.value), bottom, "axis", 1, "4 3")
            canvas.text(x.at(m.value) + 5, top + 10, m.text, 11, "grey")


def line_chart(frame, series, x_kind="linear", y_log=False, marks=()):
    """x_kind: linear | zero (from 0) | log | values (log, a tick per measured value)."""
    series = [s for s in series if s.points]
    canvas = Canvas(frame.height, frame)
    top = head(canvas)
    labels = max((text_width(s.name, 12) for s in series), default=0) * 1.06
    direct = labels < 190
    if not direct:
        top = legend(canvas, [s.name for s in series], top + 8,
                     lambda lx, ly, i: canvas.mark(MARKS[series[i].style % N_STYLES], lx, ly, series[i].style))
    top += 28
    bottom = frame.height - 56 - 15 * len(note_lines(frame)) - (6 if frame.note else 0)
    values = every_y(series) + [m.value for m in marks if m.axis == "y"]
    y = Log(values, bottom, top) if y_log else Linear(values, bottom, top)
    left = 36 + max(text_width(name, 12) for _, name in y.ticks())
    right = WIDTH - (36 + labels if direct else 28)
    x = make_x(x_kind, series, left + 10, right - 10)
    y_axis(canvas, y, left, right, top)
    canvas.line(left, bottom, right, bottom, "axis")
    x_axis(canvas, x, bottom)
    draw_lines(canvas, marks, x, y, left, right, top, bottom)
    for s in sorted(series, key=lambda s: not s.muted):
        draw_series(canvas, s, x, y)
    if direct:
        ends = [(x.at(s.points[-1][0]), y.at(s.points[-1][1])) for s in series]
        end_labels(canvas, series, ends, right + 8, top, bottom)
    foot(canvas, frame.height - 12 - 15 * (len(note_lines(frame)) - 1))
    return canvas.document()


# ---- latency ----------------------------------------------------------------------------------------------------------

def percentile_chart(frame, series):
    """points: (share of packets, time).  The last point of each is its longest time, whatever its share."""
    series = [s for s in series if s.points]
    canvas = Canvas(frame.height, frame)
    top = head(canvas) + 28
    bottom = frame.height - 56 - 15 * len(note_lines(frame)) - (6 if frame.note else 0)
    nines = max(-math.log10(1 - p[0]) for s in series for p in s.points if p[0] < 1)
    y = Log(every_y(series), bottom, top)
    left = 36 + max(text_width(name, 12) for _, name in y.ticks())
    right = WIDTH - 36 - max(text_width(s.name, 12) for s in series) * 1.06
    x = Nines(nines, left, right - 10)
    y_axis(canvas, y, left, right, top)
    canvas.line(left, bottom, right, bottom, "axis")
    x_axis(canvas, x, bottom)
    for value, _ in x.ticks():
        canvas.line(x.at(value), top, x.at(value), bottom, "grid")
    for s in series:
        canvas.path([(x.at(share), y.at(t)) for share, t in s.points], f"s{s.style}", 2.4, "5 4" if s.muted else None)
        share, t = s.points[-1]
        canvas.mark(MARKS[s.style % N_STYLES], x.at(share), y.at(t), s.style, f"{s.name}: longest {figure(t)}")
    ends = [(x.at(s.points[-1][0]), y.at(s.points[-1][1])) for s in series]
    end_labels(canvas, series, ends, right + 8, top, bottom)
    foot(canvas, frame.height - 12 - 15 * (len(note_lines(frame)) - 1))
    return canvas.document()


# ---- stacked bars -----------------------------------------------------------------------------------------------------

def part_names(bars):
    """In the order of the first bar that has them: the order of a path's stages."""
    names = []
    for b in bars:
        names += [n for n in b.parts if n not in names]
    return names


def part_styles(names, fixed):
    """{name: style}: those that are fixed, the others in turn."""
    free = [i for i in range(N_STYLES) if i not in fixed.values()] or list(range(N_STYLES))
    others = [n for n in names if n not in fixed]
    return {n: fixed.get(n, free[others.index(n) % len(free)] if n in others else 0) for n in names}


def draw_bar(canvas, bar, styles, x, y, height):
    start = 0.0
    for name, style in styles.items():
        value = bar.parts.get(name, 0)
        if value <= 0:
            continue
        left, right = x.at(start), x.at(start + value)
        start += value
        # A gap of one pixel keeps neighbours apart where their colours look alike.
        canvas.add("rect", f"<title>{escape(f'{bar.name}: {name} {figure(value)}')}</title>", x=left, y=y,
                   width=max(0.6, right - left - 1), height=height, class_=f"f{style}")
        if right - left > text_width(figure(value), 11) + 8:
            canvas.text((left + right) / 2, y + height / 2 + 4, figure(value), 11, "hollow", "middle", 600)
    canvas.text(x.at(start) + 7, y + height / 2 + 4.5, bar.text or figure(start), 12, weight=600)


def stacked_chart(frame, bars, name_of_part=lambda n: n, fixed=None):
    """Horizontal bars, one under the other; the frame's height is not used, it follows from their number.
    fixed: {part: style} of parts that are to look the same in several charts"""
    names, rows = part_names(bars), len(bars)
    styles = part_styles(names, fixed or {})
    thick, pitch = 22, 34
    canvas = Canvas(0, frame)
    y = head(canvas) + 10
    y = legend(canvas, [name_of_part(n) for n in names], y,
               lambda lx, ly, i: canvas.add("rect", x=lx - 6, y=ly - 6, width=12, height=12, rx=2, class_=f"f{styles[names[i]]}"))
    top = y + 4
    bottom = top + rows * pitch + 4
    left = 36 + max(text_width(b.name, 12.5) for b in bars)
    sums = [sum(v for v in b.parts.values() if v > 0) for b in bars]
    behind = max(text_width(b.text or figure(s), 12) for b, s in zip(bars, sums)) * 1.1
    # The longest bar keeps the room behind it for its sum.
    x = Linear(sums, left, WIDTH - 30 - behind, room=1.0)
    for value, name in x.ticks():
        canvas.line(x.at(value), top, x.at(value), bottom, "axis" if value == 0 else "grid")
        canvas.text(x.at(value), bottom + 17, name, 12, "grey", "middle")
    canvas.text((left + x.end) / 2, bottom + 37, frame.x_title, 12, "grey", "middle")
    for i, b in enumerate(bars):
        row = top + 6 + i * pitch
        canvas.text(left - 10, row + thick / 2 + 4.5, b.name, 12.5, anchor="end")
        draw_bar(canvas, b, styles, x, row, thick)
    foot(canvas, bottom + 60)
    canvas.height = bottom + 52 + 15 * len(note_lines(frame))
    return canvas.document()


# ---- ratios -----------------------------------------------------------------------------------------------------------

def grouped_places(rows, top):
    """(y of each row, [(y, heading)], y of the end)"""
    y, places, groups, group = top, [], [], ""
    for r in rows:
        if r.group != group:
            group = r.group
            y += 8 if places else 0
            groups.append((y + 12, group))
            y += 24
        places.append(y + 10)
        y += 26
    return places, groups, y + 4


def ratio_axis(rows, left, right):
    x = Log([v for r in rows for v in (r.low, r.high, r.value)] + [1], left, right)
    x.low, x.high = min(x.low, 0.5), max(x.high, 2)
    return x


def ratio_chart(frame, rows):
    """One row under the other, in groups; left of 1 is less than the first program, right of it more."""
    canvas = Canvas(0, frame)
    top = head(canvas) + 14
    left = 44 + max(text_width(r.name, 12.5) for r in rows)
    right = WIDTH - 170
    x = ratio_axis(rows, left, right)
    places, groups, bottom = grouped_places(rows, top)
    for value, name in x.ticks():
        canvas.line(x.at(value), top + 20, x.at(value), bottom, "axis" if value == 1 else "grid", 1.5 if value == 1 else 1)
        canvas.text(x.at(value), bottom + 17, name, 12, "grey", "middle")
    canvas.text((left + right) / 2, bottom + 37, frame.x_title, 12, "grey", "middle")
    for row, name in groups:
        canvas.heading(24, row, name)
    for r, row in zip(rows, places):
        canvas.text(left - 14, row + 4, r.name, 12.5, anchor="end")
        canvas.line(x.at(r.low), row, x.at(r.high), row, f"s{r.style}", 2)
        for v in (r.low, r.high):
            canvas.line(x.at(v), row - 5, x.at(v), row + 5, f"s{r.style}", 2)
        canvas.mark(MARKS[r.style % N_STYLES], x.at(r.value), row, r.style,
                    f"{r.name}: {figure(r.value)} ({figure(r.low)} to {figure(r.high)})", 5)
        canvas.text(right + 14, row + 4, f"{r.value:.2f}", 12.5, weight=600)
        canvas.text(right + 50, row + 4, f"{r.low:.2f} to {r.high:.2f}", 12, "grey")
    foot(canvas, bottom + 60)
    canvas.height = bottom + 52 + 15 * len(note_lines(frame))
    return canvas.document()


# ---- dots -------------------------------------------------------------------------------------------------------------

def dot_chart(frame, rows):
    """Marks of the same name are of the same style, in the order in which names first appear."""
    names = part_names([Bar(r.name, r.marks) for r in rows])
    canvas = Canvas(0, frame)
    y = legend(canvas, names, head(canvas) + 10, lambda lx, ly, i: canvas.mark(MARKS[i % N_STYLES], lx, ly, i % N_STYLES))
    places, groups, bottom = grouped_places(rows, y + 4)
    left = 44 + max(text_width(r.name, 12.5) for r in rows)
    right = WIDTH - 30 - max(text_width(r.text, 12) for r in rows)
    x = Linear([v for r in rows for v in r.marks.values()], left, right)
    for value, name in x.ticks():
        canvas.line(x.at(value), y + 2, x.at(value), bottom, "axis" if value == 0 else "grid")
        canvas.text(x.at(value), bottom + 17, name, 12, "grey", "middle")
    canvas.text((left + right) / 2, bottom + 37, frame.x_title, 12, "grey", "middle")
    for row, name in groups:
        canvas.heading(24, row, name)
    for r, row in zip(rows, places):
        canvas.text(left - 14, row + 4, r.name, 12.5, anchor="end")
        at = [x.at(v) for v in r.marks.values()]
        canvas.line(min(at), row, max(at), row, "axis", 1.5)
        for name, value in r.marks.items():
            i = names.index(name) % N_STYLES
            canvas.mark(MARKS[i], x.at(value), row, i, f"{r.name}: {name} {figure(value)}", 5)
        canvas.text(right + 14, row + 4, r.text, 12, "grey")
    foot(canvas, bottom + 60)
    canvas.height = bottom + 52 + 15 * len(note_lines(frame))
    return canvas.document()
