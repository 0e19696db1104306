"""The pages in a browser: no error, no request, a slider that moves, a phone, a printer, contrast, a point to drag."""

import itertools
import re
import shutil
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from intel_core import load_run
from intel_core.components import discovery as plugins

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
expect.set_options(timeout=30_000)
CHROMIUM = next((p for p in ("chromium", "chromium-browser", "google-chrome") if shutil.which(p)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=shutil.which(CHROMIUM), args=ARGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def reports(toys, trained, tmp_path_factory):
    """The report of each run, the first beside one without the bias."""
    from intel_cli.report.gather import gather
    from intel_cli.report.page import render

    folder = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(toys)
        plugins.refresh()
        for name in ("points", "images"):
            (folder / f"{name}.html").write_text(render(gather(load_run(trained / name), None, None)), encoding="utf-8")
    return folder


class Opened:
    """A page with all that it has said and asked for."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(**{"viewport": {"width": 1000, "height": 800}, **options})
        self.page = self.context.new_page()
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)


@pytest.fixture
def opened(browser):
    """Opens an address; closed at the end, by when nothing may have gone wrong in it."""
    pages = []

    def open_page(address, **options):
        pages.append(Opened(browser, address.as_uri() if isinstance(address, Path) else address, **options))
        return pages[-1]

    yield open_page
    for one in pages:
        one.context.close()
    assert [one.said for one in pages if one.said] == []


# --- the report ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["points", "images"])
def test_it_opens_from_the_disk_and_asks_for_nothing_else(opened, reports, name):
    file = reports / f"{name}.html"
    one = opened(file)
    assert one.page.locator("h1").inner_text()
    assert [url for url in one.asked if not url.startswith("data:")] == [file.as_uri()]


def test_the_policy_stops_what_would_be_fetched(browser, reports):
    """That nothing is asked for above is not for want of a test that would see it."""
    page = browser.new_page()
    page.goto((reports / "points.html").as_uri())
    stopped = page.evaluate(
        """() => new Promise(done => {
          const found = [], there = 'http://127.0.0.1:9/x';
          document.addEventListener('securitypolicyviolation', event => {
            found.push(event.effectiveDirective);
            if (found.length === 5) done(found.sort());
          });
          setTimeout(() => done(found.sort()), 5000);
          new Image().src = there;
          fetch(there).catch(() => {});
          for (const [tag, key] of [['script', 'src'], ['iframe', 'src'], ['link', 'href']]) {
            const made = document.createElement(tag);
            made[key] = there;
            if (tag === 'link') made.rel = 'stylesheet';
            document.head.appendChild(made);
          }
        })"""
    )
    page.close()
    assert stopped == ["connect-src", "frame-src", "img-src", "script-src-elem", "style-src-elem"]


def frame_of(page):
    """Which part of the sheet is in view."""
    return page.evaluate(
        "() => { const s = getComputedStyle(document.querySelector('.walk.on .frame img')); return [s.left, s.top]; }"
    )


def test_the_slider_moves_the_picture_by_pointer_and_by_key(opened, reports):
    page = opened(reports / "images.html").page
    before = frame_of(page)
    first = page.locator(".walk.on .frame").screenshot()
    page.locator("#walk-value").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#walk-output")).to_have_text("0.5")
    expect(page.locator("#walk-value")).to_have_attribute("aria-valuetext", "0.5")
    assert frame_of(page)[0] != before[0]
    box = page.locator("#walk-value").bounding_box()
    page.mouse.click(box["x"] + 4, box["y"] + box["height"] / 2)
    expect(page.locator("#walk-output")).to_have_text("−3")
    assert frame_of(page)[0] == "0px"
    assert page.locator(".walk.on .frame").screenshot() != first
    page.locator("input[name=base]").nth(1).check()
    assert frame_of(page)[1] != before[1]
    described = page.locator(".walk.on .frame img").get_attribute("alt")
    assert re.search(r"y\d = −3, starting from test \d+", described)


def test_another_dimension_is_another_picture(opened, reports):
    page = opened(reports / "images.html").page
    first = page.locator(".walk.on").get_attribute("data-dim")
    page.locator("#walk-dim").select_option(index=1)
    assert page.locator(".walk.on").count() == 1
    assert page.locator(".walk.on").get_attribute("data-dim") != first


def test_vectors_are_walked_too(opened, reports):
    page = opened(reports / "points.html").page
    now = "() => document.querySelector('.walk.on .walkrow.on .now').getAttribute('class')"
    before = page.evaluate(now)
    page.locator("#walk-value").press("End")
    assert page.evaluate(now) != before
    assert "s12" in page.evaluate(now)


def test_tabs_and_legend_by_keyboard(opened, reports):
    page = opened(reports / "images.html").page
    tabs = page.locator("[role=tab]")
    if tabs.count() > 1:
        tabs.first.press("ArrowRight")
        expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
        assert page.locator(".planebox.on").count() == 1
        assert page.locator(".planebox.on").get_attribute("id") == "plane-1"
    page.locator(".legend button").first.press("Enter")
    assert page.locator(".planebox.on .dots.dim").count() == 2 * (page.locator(".legend button").count() - 1)
    page.locator(".legend button").first.press("Enter")
    assert page.locator(".dots.dim").count() == 0


def test_curves_are_read_under_the_pointer(opened, reports):
    page = opened(reports / "points.html").page
    page.locator(".curvebox svg.chart").first.hover()
    expect(page.locator(".readout").first).to_have_text(re.compile(r"step \d+: train .*validation"))


@pytest.mark.parametrize("name", ["points", "images"])
@pytest.mark.parametrize("width", [320, 375])
def test_a_phone_does_not_scroll_sideways(opened, reports, name, width):
    page = opened(reports / f"{name}.html", viewport={"width": width, "height": 700}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_print_shows_every_dimension_as_a_strip_and_no_controls(opened, reports):
    page = opened(reports / "images.html").page
    assert page.locator(".walk:visible").count() == 1
    page.emulate_media(media="print")
    walks = page.locator(".walk:visible")
    assert walks.count() == page.locator(".walk").count() > 1
    box = walks.last.locator(".frame").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(13, rel=0.02)
    assert page.locator("#walk-value").is_hidden()
    assert page.locator("[role=tablist]:visible").count() == 0
    assert page.locator(".planebox:visible").count() == page.locator(".planebox").count()


def test_without_scripts_everything_is_there(browser, reports):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((reports / "images.html").as_uri())
    assert page.locator(".walk:visible").count() == page.locator(".walk").count()
    assert page.locator("#walk-value").is_hidden()
    context.close()


CONTRAST = """
() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const part = v => v / 255 <= .03928 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = c => .2126 * part(c[0]) + .7152 * part(c[1]) + .0722 * part(c[2]);
  const under = node => {
    for (; node; node = node.parentElement) {
      const c = rgba(getComputedStyle(node).backgroundColor);
      if (c[3] > 250) return c;
    }
    return [255, 255, 255];
  };
  const bad = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, style = getComputedStyle(node);
    const text = walker.currentNode.data.trim();
    if (!text || ['SCRIPT', 'STYLE'].includes(node.tagName) || !node.getClientRects().length) continue;
    const svg = node.closest('svg'), front = light(rgba(svg ? style.fill : style.color));
    const back = light(under(svg || node));
    seen += 1;
    const ratio = (Math.max(front, back) + .05) / (Math.min(front, back) + .05);
    if (ratio < 4.5) bad.push([node.tagName, text.slice(0, 30), ratio]);
  }
  return [seen, bad];
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["points", "images"])
def test_every_text_can_be_read(opened, reports, name, scheme):
    page = opened(reports / f"{name}.html", color_scheme=scheme).page
    for outcome in ("took", "partly", "not", "unknown"):
        page.evaluate(
            "o => { document.getElementById('verdict').className = 'verdict ' + o;"
            " document.querySelectorAll('.findings li').forEach(l => { l.className = o; }); }",
            outcome,
        )
        seen, bad = page.evaluate(CONTRAST)
        assert seen > 100
        assert bad == []


def test_the_contrast_check_sees_what_is_pale(opened, reports):
    page = opened(reports / "points.html", color_scheme="light").page
    page.evaluate("() => { document.querySelector('h1').style.color = '#999'; }")
    assert [entry[0] for entry in page.evaluate(CONTRAST)[1]] == ["H1"]


@pytest.mark.parametrize("name", ["points", "images"])
def test_pictures_say_what_is_to_be_seen_and_headings_are_in_order(opened, reports, name):
    page = opened(reports / f"{name}.html").page
    assert page.locator("img:not([alt]), svg[role=img]:not([aria-label]), svg.chart:not([role])").count() == 0
    decoration = page.locator(".base img, [aria-hidden=true] img").count()
    assert page.locator('img[alt=""]').count() == decoration
    labels = page.evaluate(
        "() => [...document.querySelectorAll('svg[role=img]')].map(s => s.getAttribute('aria-label'))"
    )
    assert len(labels) > 4
    assert min(map(len, labels)) > 20
    levels = page.evaluate("() => [...document.querySelectorAll('h1,h2,h3,h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for landmark in ("header", "nav", "main", "footer"):
        assert page.locator(f"body > {landmark}").count() == 1
    unnamed = page.evaluate(
        "() => [...document.querySelectorAll('input, select')].filter(c => !c.labels.length && !c.ariaLabel).length"
    )
    assert unnamed == 0


# --- explore -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(trained, toys):
    """The address of each run, served from a thread."""
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    from intel_cli.explore.scene import Scene
    from intel_cli.explore.server import application, listen

    found, servers = {}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(toys)
        plugins.refresh()
        for name in ("points", "images"):
            run, bound = load_run(trained / name), listen(0)
            port = bound.getsockname()[1]
            app = application(Scene(run, run.dataset()), "token", port)
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
            thread.start()
            servers.append((server, thread, bound))
            found[name] = f"http://127.0.0.1:{port}/token/"
        yield found
    for server, thread, bound in servers:
        server.should_exit = True
        thread.join(10)
        bound.close()


def settled(page):
    """What z and x are once the last answer is here."""
    page.wait_for_selector("#panels[aria-busy=false]")
    shown = "() => document.querySelector('#x-panel img')?.src ?? document.querySelector('#x-dot')?.getAttribute('cx')"
    return page.locator("#z-text").inner_text(), page.evaluate(shown)


def listen_for(page, event):
    """Awaited by `heard`: the browser may say that the mouse has moved before the page knows."""
    page.evaluate("event => { window.heard = new Promise(go => addEventListener(event, go, {once: true})); }", event)


def heard(page):
    page.evaluate("() => window.heard.then(() => {})")


@pytest.mark.parametrize("name", ["points", "images"])
def test_dragging_moves_z_and_what_is_decoded(opened, served, name):
    one = opened(served[name])
    page = one.page
    page.wait_for_selector("#z-dot")
    before, where = settled(page), page.locator("#z-dot").get_attribute("cx")
    box = page.locator("#y-panel svg").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    listen_for(page, "pointerup")
    page.mouse.move(*middle)
    page.mouse.down()
    for step in range(12):
        page.mouse.move(middle[0] + 8 * step, middle[1] - 5 * step)
    page.mouse.up()
    heard(page)
    after = settled(page)
    assert after[0] != before[0]
    assert after[1] != before[1]
    assert page.locator("#z-dot").get_attribute("cx") != where
    decodings = [url for url in one.asked if url.endswith("/decode")]
    assert 1 < len(decodings) <= 15
    listen_for(page, "pointermove")
    page.mouse.move(*middle)  # without a button it is no drag
    heard(page)
    assert settled(page) == after


def test_a_slow_answer_holds_up_the_next_question_and_the_latest_wins(opened, served):
    page = opened(served["points"]).page
    page.wait_for_selector("#z-dot")
    settled(page)
    page.evaluate(
        """() => {
          const ask = window.fetch;
          window.asked = [];
          window.fetch = (path, options) => {
            window.asked.push(JSON.parse(options.body).y);
            return new Promise(go => { window.release = go; }).then(() => ask(path, options));
          };
        }"""
    )
    page.locator("#y-panel").focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#y-text")).to_have_text(re.compile(r"y0 = 2\.00.*"))
    assert [y[0] for y in page.evaluate("window.asked")] == [pytest.approx(0.1)]
    page.evaluate("window.release()")
    page.wait_for_function("() => window.asked.length === 2")
    page.evaluate("window.release()")
    last = settled(page)[0]
    assert [y[0] for y in page.evaluate("window.asked")] == [pytest.approx(0.1), pytest.approx(2)]
    for key, value in (("ArrowLeft", "1.90"), ("ArrowRight", "2.00")):
        page.keyboard.press(key)
        expect(page.locator("#y-text")).to_have_text(re.compile(f"y0 = {value}.*"))
    page.evaluate("window.release()")
    page.wait_for_function("() => window.asked.length === 4")
    page.evaluate("window.release()")
    assert settled(page)[0] == last


def test_what_is_shown_is_what_the_run_says(opened, served, trained):
    import torch

    page = opened(served["points"]).page
    page.wait_for_selector("#z-dot")
    page.locator("#dims input[type=number]").first.fill("1.5")
    z = load_run(trained / "points").model.mapping(torch.tensor([[1.5, 0.0]]))[0]
    expected = ", ".join(f"z{i} = {v:.2f}" for i, v in enumerate(z.tolist())).replace("-", "−")
    page.wait_for_function("e => document.getElementById('z-text').textContent === e", arg=expected)


def test_keys_and_buttons(opened, served):
    page = opened(served["images"]).page
    page.wait_for_selector("#z-dot")
    page.locator("#y-panel").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#y-text")).to_have_text(re.compile(r"y\d = 0\.10, y\d = 0\.40"))
    page.locator("#example").fill("4")
    page.locator("#go").click()
    page.wait_for_function("() => document.getElementById('about').textContent.includes('test example 4, label')")
    page.locator("#centre").click()
    expect(page.locator("#y-text")).to_have_text(re.compile(r"y\d = 0\.00, y\d = 0\.00"))
    page.locator("#resample").click()
    page.wait_for_function("() => !/= 0.00.*= 0.00/.test(document.getElementById('y-text').textContent)")
    page.locator("#up").select_option("5")
    page.wait_for_function("() => /y5 = /.test(document.getElementById('y-text').textContent)")


def test_explore_on_a_phone_and_its_contrast(opened, served):
    page = opened(served["images"], viewport={"width": 375, "height": 700}).page
    page.wait_for_selector("#z-dot")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.evaluate(CONTRAST)[1] == []


def test_the_token_and_the_host_are_asked_for(served):
    address = served["points"]
    root = address.removesuffix("token/")
    for wrong, headers in ((root, {}), (f"{root}other/", {}), (address, {"Host": "evil.example"})):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(wrong, headers=headers), timeout=10)
        assert refused.value.code == 403
        refused.value.close()
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert answer.status == 200
