"use strict";
(function () {
  var root = document.documentElement;
  root.classList.add("js");
  var data = JSON.parse(document.getElementById("data").textContent);
  function all(query, inside) { return Array.prototype.slice.call((inside || document).querySelectorAll(query)); }
  function text(value) { return String(value).replace("-", "\u2212"); }

  // One class alone: its button dims the dots of all others.
  var buttons = all(".legend button");
  buttons.forEach(function (button) {
    button.addEventListener("click", function () {
      var on = button.getAttribute("aria-pressed") !== "true";
      buttons.forEach(function (other) { other.setAttribute("aria-pressed", String(on && other === button)); });
      all("#latent .dots").forEach(function (dots) {
        var mine = dots.classList.contains(button.dataset.group) || dots.classList.contains("prior");
        dots.classList.toggle("dim", on && !mine);
      });
    });
  });

  // Tabs: arrows, Home and End move between them.
  var tabs = all("[role=tab]");
  function choose(index, focus) {
    tabs.forEach(function (tab, i) {
      tab.setAttribute("aria-selected", String(i === index));
      tab.tabIndex = i === index ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).classList.toggle("on", i === index);
    });
    if (focus) tabs[index].focus();
  }
  tabs.forEach(function (tab, index) {
    tab.addEventListener("click", function () { choose(index, false); });
    tab.addEventListener("keydown", function (event) {
      var last = tabs.length - 1;
      var to = { ArrowRight: index === last ? 0 : index + 1, ArrowLeft: index === 0 ? last : index - 1, Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      choose(to, true);
    });
  });

  // Walks along one dimension: a sheet of decodings behind a window of one tile, or a chart with a step marked.
  var slider = document.getElementById("walk-value"), select = document.getElementById("walk-dim");
  var output = document.getElementById("walk-output"), walks = all(".walk");
  walks.forEach(function (walk) {
    var strip = walk.querySelector(".strip"), frame = walk.querySelector(".frame");
    if (!strip) return;
    strip.style.cssText = frame.style.cssText;
    var copy = frame.querySelector("img").cloneNode();
    copy.alt = "";
    strip.appendChild(copy);
  });
  function show() {
    var base = Number(document.querySelector("input[name=base]:checked").value), column = Number(slider.value);
    var value = text(data.steps[column]);
    output.textContent = value;
    slider.setAttribute("aria-valuetext", value);
    walks.forEach(function (walk, index) {
      walk.classList.toggle("on", index === Number(select.value));
      all(".frame, .strip", walk).forEach(function (window) {
        window.style.setProperty("--row", base);
        window.style.setProperty("--col", column);
      });
      var image = walk.querySelector(".frame img"), name = "y" + walk.dataset.dim;
      if (image) image.alt = "Decoding at " + name + " = " + value + ", starting from " + data.bases[base].name + ".";
      all(".walkrow", walk).forEach(function (row) { row.classList.toggle("on", Number(row.dataset.row) === base); });
      all(".step", walk).forEach(function (step) { step.classList.toggle("now", step.classList.contains("s" + column)); });
    });
  }
  [slider, select].concat(all("input[name=base]")).forEach(function (control) { control.addEventListener("input", show); });
  document.querySelector(".walkform").addEventListener("submit", function (event) { event.preventDefault(); });
  show();

  // Curves: the values at the step under the pointer.
  all(".curvebox").forEach(function (box) {
    var curve = data.curves[Number(box.dataset.curve)], f = curve.frame, svg = box.querySelector("svg");
    var readout = box.querySelector(".readout"), cursor = null;
    svg.addEventListener("pointermove", function (event) {
      var bounds = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / bounds.width;
      var x = Math.min(f[2], Math.max(f[0], (event.clientX - bounds.left) * scale));
      var step = f[4] + (x - f[0]) / (f[2] - f[0]) * (f[5] - f[4]);
      var words = Object.keys(curve.lines).map(function (kind) {
        var nearest = curve.lines[kind].reduce(function (a, b) { return Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a; });
        return kind + " " + text(nearest[1]);
      });
      readout.textContent = "step " + Math.round(step) + ": " + words.join(", ");
      if (!cursor) {
        cursor = document.createElementNS("http://www.w3.org/2000/svg", "path");
        cursor.setAttribute("class", "cursor");
        svg.appendChild(cursor);
      }
      cursor.setAttribute("d", "M" + x + " " + f[1] + "V" + f[3]);
    });
    svg.addEventListener("pointerleave", function () {
      readout.textContent = "\u00a0";
      if (cursor) { cursor.remove(); cursor = null; }
    });
  });
})();
