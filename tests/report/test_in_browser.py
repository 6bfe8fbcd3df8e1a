"""The page as a person has it: in Chromium, from a file, with keys and mouse."""

from __future__ import annotations

import re

import pytest

from tests.conftest import needs_program
from tests.report.make import made_result, page_of

pytestmark = needs_program("chromium")
READY = "document.getElementById('viewer').dataset.ready === 'true'"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("page"), made_result(targets=2))


@pytest.fixture
def page(chromium, written):
    chromium.complaints.clear()
    chromium.requests.clear()
    chromium.open(written, ready=READY)
    yield chromium
    assert chromium.complaints == []


def text(page, name):
    return page.run(f"document.getElementById('{name}').textContent").replace("−", "-")


def focus(page, name):
    page.run(f"document.getElementById('{name}').focus()")


def box(page, name):
    return page.run(f"(({{left, top, width, height}}) => [left, top, width, height])(document.getElementById('{name}').getBoundingClientRect())")


COPY = (
    "((name) => {{ const c = document.getElementById(name), s = document.createElement('canvas'); [s.width, s.height] = [c.width, c.height];"
    " const pen = s.getContext('2d', {{ willReadFrequently: true }}); pen.drawImage(c, 0, 0); return pen; }})('{}')"
)


def pixels(page, name, colour, tolerance=40):
    """How many pixels of a canvas have nearly that colour."""
    near = " && ".join(f"Math.abs(d[i + {n}] - {part}) < {tolerance}" for n, part in enumerate(colour))
    read = f"const pen = {COPY.format(name)}; const d = pen.getImageData(0, 0, pen.canvas.width, pen.canvas.height).data;"
    return page.run(f"(() => {{ {read} let n = 0; for (let i = 0; i < d.length; i += 4) if ({near}) n++; return n; }})()")


def grey(page, name, x, y):
    return page.run(f"{COPY.format(name)}.getImageData({x}, {y}, 1, 1).data[0]")


def place(page):
    return [float(v) for v in re.findall(r"[xyz] (-?[\d.]+)", text(page, "cursor"))]


def test_it_opens_without_a_complaint_and_asks_for_nothing_but_itself(page, written):
    assert {url for url in page.requests if not url.startswith("data:")} == {written.as_uri()}
    assert text(page, "phase-told") == "50 %, reference"
    assert page.run("document.documentElement.classList.contains('has-viewer')")
    assert page.run("getComputedStyle(document.querySelector('.instead')).display") == "none"


def test_the_patients_left_is_on_the_right_and_the_head_above(page):
    """The 900 HU marker lies at x 20, y 0, z 10 mm, the tumour at x −20, y 5, z 20 mm."""
    page.run("document.querySelector('[data-window=\"-160,240\"]').click()")
    _, _, wide, high = box(page, "coronal")
    page.mouse("mousePressed", *_at(page, "axial", 20, 0), button="left", clickCount=1)
    page.mouse("mouseReleased", *_at(page, "axial", 20, 0), button="left")
    x, y, _ = place(page)
    assert (x, y) == pytest.approx((20, 0), abs=1.1)
    scale = _scale(page, "coronal")
    to_x, to_y = wide / 2 + (20 + 3 - _centre(page)[0]) * scale, high / 2 - (10 + 3 - _centre(page)[2]) * scale
    assert grey(page, "coronal", round(to_x), round(to_y)) == 255
    assert grey(page, "coronal", round(wide - to_x), round(to_y)) < 255
    assert grey(page, "coronal", round(to_x), round(high - to_y)) < 255


def _told(page):
    return page.run("JSON.parse(document.getElementById('viewer-told').textContent).targets[0].ct")


def _centre(page):
    told = _told(page)
    return [first + (size - 1) / 2 * step for first, size, step in zip(told["first_mm"], told["size"], told["step_mm"], strict=True)]


def _scale(page, name):
    told = _told(page)
    return box(page, name)[2] / max(size * step for size, step in zip(told["size"], told["step_mm"], strict=True))


def _at(page, name, x_mm, y_mm):
    """Where a place of the axial plane is on the screen."""
    left, top, wide, high = box(page, name)
    centre, scale = _centre(page), _scale(page, name)
    return left + wide / 2 + (x_mm - centre[0]) * scale, top + high / 2 + (y_mm - centre[1]) * scale


def test_the_place_and_hu_under_the_cursor_are_told(page):
    page.mouse("mouseMoved", *_at(page, "axial", -20, 5))
    assert place(page)[:2] == pytest.approx([-20, 5], abs=0.6)
    assert abs(int(re.search(r"(-?\d+) HU", text(page, "cursor"))[1]) - 40) <= 2


def test_keys_change_phase_slice_window_zoom_and_contours(page):
    focus(page, "axial")
    before = text(page, "axial-told")
    page.key("ArrowRight")
    page.wait("document.getElementById('phase-told').textContent === '75 %'")
    page.key("ArrowRight")
    page.wait("document.getElementById('phase-told').textContent === '00 %'")
    page.key("ArrowUp")
    assert float(text(page, "axial-told").split()[1]) == pytest.approx(float(before.split()[1]) + 3)
    page.key("s")
    assert text(page, "window-told") == "-160 to 240 HU"
    orange = pixels(page, "axial", (230, 159, 0))
    assert orange > 20
    page.key("g")
    assert pixels(page, "axial", (230, 159, 0)) < orange / 10
    blue = pixels(page, "axial", (86, 180, 233))
    assert blue > 20
    page.key("+")
    assert pixels(page, "axial", (86, 180, 233)) > blue
    page.key("0")
    assert text(page, "axial-told") == before


def test_space_plays_and_stops(page):
    focus(page, "coronal")
    page.run("document.getElementById('speed').value = '2'")
    page.key(" ")
    assert text(page, "play") == "Pause"
    for label in ("75", "00", "25"):
        page.wait(f"document.getElementById('phase-told').textContent.startsWith('{label}')")
    page.key(" ")
    assert text(page, "play") == "Play"
    stopped = text(page, "phase-told")
    page.run("new Promise((done) => setTimeout(done, 700))")
    assert text(page, "phase-told") == stopped


def test_the_play_button_is_reached_by_tab_and_pressed_by_key(page):
    focus(page, "target")
    page.key("Tab")
    assert page.run("document.activeElement.id") == "play"
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.key(" ")
    assert page.run("document.activeElement.getAttribute('aria-pressed')") == "true"


def test_wheel_sliders_and_drag_work(page):
    before = place(page)
    left, top, wide, high = box(page, "sagittal")
    page.mouse("mouseWheel", left + wide / 2, top + high / 2, deltaX=0, deltaY=-100)
    page.wait(f"!document.getElementById('sagittal-told').textContent.includes('{before[0]:.1f}'.replace('-', '−'))")
    page.run("(() => { const s = document.querySelector('[data-slice=\"coronal\"]'); s.value = 3; s.dispatchEvent(new Event('input')); })()")
    assert float(text(page, "coronal-told").split()[1]) == pytest.approx(_told(page)["first_mm"][1] + 3 * 2)
    page.mouse("mousePressed", left + 50, top + 50, button="right", clickCount=1)
    page.mouse("mouseMoved", left + 60, top + 50, button="right", buttons=2)
    page.mouse("mouseReleased", left + 60, top + 50, button="right")
    assert text(page, "window-told") == "-1020 to 270 HU"


def test_another_target_is_shown_when_chosen(page):
    page.run("(() => { const s = document.getElementById('target'); s.value = '1'; s.dispatchEvent(new Event('change')); })()")
    page.wait("document.getElementById('axial-told').textContent.includes('z −1')")
    assert pixels(page, "axial", (86, 180, 233)) > 20


def test_every_control_says_what_it_is(page):
    """The browser's own accessibility tree, as a screen reader has it."""
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    controls = [node for node in nodes if node.get("role", {}).get("value") in {"button", "slider", "checkbox", "combobox", "application"}]
    assert len(controls) >= 20
    assert all(node["name"]["value"] for node in controls)


def test_the_page_follows_the_dark_and_prints_without_the_viewer(page, written, tmp_path):
    light = page.run("getComputedStyle(document.body).backgroundColor")
    page.media(prefers_color_scheme="dark")
    assert page.run("getComputedStyle(document.body).backgroundColor") != light
    page.media(prefers_color_scheme="light")
    printed = page.pdf(tmp_path / "page.pdf").read_bytes()
    assert 2 <= len(re.findall(rb"/Type /Page\b", printed)) <= 6
    page.call("Emulation.setEmulatedMedia", media="print")
    page.call("Emulation.setDeviceMetricsOverride", width=690, height=1000, deviceScaleFactor=1, mobile=False)
    assert page.run("[...document.querySelectorAll('figure')].every((one) => one.scrollWidth <= one.clientWidth)")
    assert page.run("getComputedStyle(document.getElementById('viewer')).display") == "none"
    assert page.run("getComputedStyle(document.querySelector('.instead')).display") == "block"
    page.call("Emulation.setEmulatedMedia", media="")


def test_a_browser_that_cannot_unpack_is_told_so_and_shows_the_pictures(chromium, written):
    script = chromium.call("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")["identifier"]
    chromium.open(written, ready="!document.getElementById('viewer-missing').hidden")
    assert chromium.run("document.getElementById('viewer').hidden")
    assert chromium.run("getComputedStyle(document.querySelector('.instead')).display") == "block"
    chromium.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
