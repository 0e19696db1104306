"use strict";
(function () {
  var NS = "http://www.w3.org/2000/svg";
  var start = null, plane = null, y = [], chosen = [], busy = false, waiting = false;
  function byId(id) { return document.getElementById(id); }
  function text(value) { return (Math.round(value * 100) / 100).toFixed(2).replace("-", "\u2212"); }
  function fail(message) { byId("problem").textContent = message; byId("problem").hidden = !message; }

  function ask(path, body) {
    var options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    return fetch(path, options).catch(function () {
      throw new Error("The server has ended; start intel explore again.");
    }).then(function (answer) {
      return answer.json().then(function (found) {
        if (!answer.ok) throw new Error(found.error || "The server refused.");
        fail("");
        return found;
      });
    });
  }
  function told(error) { fail(error.message); }

  // Values of a panel and where they are drawn.
  function place(f, a, b) { return [f[0] + (a - f[4]) / (f[5] - f[4]) * (f[2] - f[0]), f[1] + (f[7] - b) / (f[7] - f[6]) * (f[3] - f[1])]; }
  function value(f, px, py) { return [f[4] + (px - f[0]) / (f[2] - f[0]) * (f[5] - f[4]), f[7] - (py - f[1]) / (f[3] - f[1]) * (f[7] - f[6])]; }
  function clamp(v, low, high) { return Math.min(high, Math.max(low, v)); }
  function mark(panel, id, kind, f, a, b) {
    var svg = panel.querySelector("svg"), at = place(f, a, b), dot = byId(id);
    if (!dot) {
      dot = document.createElementNS(NS, "circle");
      dot.setAttribute("id", id);
      dot.setAttribute("class", "handle " + kind);
      dot.setAttribute("r", kind === "y" ? 8 : 7);
      svg.appendChild(dot);
    }
    dot.setAttribute("cx", clamp(at[0], f[0], f[2]));
    dot.setAttribute("cy", clamp(at[1], f[1], f[3]));
  }

  // What y is now: shown at once, and decoded as soon as the answer before it is here. The latest wins.
  function moved(skip) {
    var dims = plane.dims, f = plane.y_frame;
    mark(byId("y-panel"), "y-dot", "y", f, y[dims[0]], dims.length > 1 ? y[dims[1]] : 0.5);
    byId("y-text").textContent = dims.map(function (d) { return "y" + d + " = " + text(y[d]); }).join(", ");
    Array.prototype.forEach.call(document.querySelectorAll("#dims input"), function (input) {
      if (input !== skip) input.value = Math.round(y[Number(input.dataset.dim)] * 1000) / 1000;
    });
    decode();
  }
  function decode() {
    if (busy) { waiting = true; return; }
    busy = true;
    waiting = false;
    byId("panels").setAttribute("aria-busy", "true");
    ask("decode", { y: y, chosen: chosen }).then(show, told).then(function () {
      busy = false;
      if (waiting) decode();
      else byId("panels").setAttribute("aria-busy", "false");
    });
  }
  function show(found) {
    var dims = plane.z_dims;
    mark(byId("z-panel"), "z-dot", "z", plane.z_frame, found.z[dims[0]], dims.length > 1 ? found.z[dims[1]] : 0.5);
    byId("z-text").textContent = dims.map(function (d) { return "z" + d + " = " + text(found.z[d]); }).join(", ");
    byId("cluster-text").textContent = found.cluster === null ? "" : "in cluster " + found.cluster;
    output(found);
  }
  function output(found) {
    var panel = byId("x-panel");
    if (found.image) {
      var image = panel.querySelector("img");
      image.src = found.image;
      image.alt = "The decoded image at " + byId("y-text").textContent + ".";
      return;
    }
    var f = start.output.frame;
    if (start.output.kind === "plane") {
      mark(panel, "x-dot", "z", f, found.values[0], found.values[1]);
    } else {
      var line = byId("x-line"), svg = panel.querySelector("svg");
      if (!line) {
        line = document.createElementNS(NS, "path");
        line.setAttribute("id", "x-line");
        line.setAttribute("class", "curve trail");
        svg.appendChild(line);
      }
      var points = found.values.length > 1 ? found.values : [found.values[0], found.values[0]];
      line.setAttribute("d", points.map(function (v, i) { return (i ? "L" : "M") + place(f, i, v).join(" "); }).join(""));
    }
    byId("x-text").textContent = found.values.length <= 4 ? "x = (" + found.values.map(text).join(", ") + ")" : "the mean of p(x|z)";
  }

  // The plane: chosen by its dimensions, dragged by a pointer, moved by arrow keys.
  function choosePlane() {
    var dims = [Number(byId("across").value)];
    if (start.y_dim > 1) dims.push(Number(byId("up").value));
    if (dims[0] === dims[1]) return;
    return ask("plane?dims=" + dims.join(",")).then(function (found) {
      plane = found;
      byId("y-panel").innerHTML = found.y;
      byId("z-panel").innerHTML = found.z;
      moved();
    }, told);
  }
  function point(event) {
    var svg = byId("y-panel").querySelector("svg"), at = svg.createSVGPoint(), f = plane.y_frame;
    at.x = event.clientX;
    at.y = event.clientY;
    at = at.matrixTransform(svg.getScreenCTM().inverse());
    var found = value(f, clamp(at.x, f[0], f[2]), clamp(at.y, f[1], f[3]));
    y[plane.dims[0]] = found[0];
    if (plane.dims.length > 1) y[plane.dims[1]] = found[1];
    moved();
  }
  var panel = byId("y-panel");
  panel.addEventListener("pointerdown", function (event) {
    panel.setPointerCapture(event.pointerId);
    panel.focus({ preventScroll: true });
    point(event);
  });
  panel.addEventListener("pointermove", function (event) { if (panel.hasPointerCapture(event.pointerId)) point(event); });
  panel.addEventListener("keydown", function (event) {
    var step = event.shiftKey ? 0.5 : 0.1;
    var move = { ArrowRight: [0, step], ArrowLeft: [0, -step], ArrowUp: [1, step], ArrowDown: [1, -step] }[event.key];
    if (!move || plane.dims[move[0]] === undefined) return;
    event.preventDefault();
    y[plane.dims[move[0]]] = clamp(y[plane.dims[move[0]]] + move[1], -8, 8);
    moved();
  });

  function set(values) { y = values.slice(); moved(); }
  byId("resample").addEventListener("click", function () {
    var within = byId("within").value;
    ask("draw" + (within === "" ? "" : "?cluster=" + within)).then(function (found) { set(found.y); }, told);
  });
  byId("centre").addEventListener("click", function () { set(y.map(function () { return 0; })); });
  byId("go").addEventListener("click", function () {
    ask("example?i=" + encodeURIComponent(byId("example").value)).then(function (found) {
      choose(found.chosen);
      set(found.y);
      byId("about").textContent = "Started from test example " + byId("example").value + (found.label ? ", label " + found.label : "") + ".";
    }, told);
  });
  byId("controls").addEventListener("submit", function (event) { event.preventDefault(); byId("go").click(); });

  function option(select, d) {
    var made = document.createElement("option");
    made.value = d;
    made.textContent = "y" + d;
    select.appendChild(made);
  }
  // Conditions: a word is chosen by its place among the levels, a number is written.
  function condition(one, i) {
    var label = document.createElement("label"), made = document.createElement(one.levels.length ? "select" : "input");
    one.levels.forEach(function (level, place) {
      var word = document.createElement("option");
      word.value = place;
      word.textContent = level;
      made.appendChild(word);
    });
    if (!one.levels.length) { made.type = "number"; made.step = "any"; }
    made.addEventListener("input", function () {
      var now = parseFloat(made.value);
      if (isFinite(now)) { chosen[i] = now; decode(); }
    });
    label.append(one.name + " ", made);
    byId("conditions").appendChild(label);
  }
  function choose(values) {
    chosen = values.slice();
    byId("conditions").querySelectorAll("select, input").forEach(function (made, i) { made.value = chosen[i]; });
  }
  // A row for each cluster, as in the report.
  function shownIn(images, label, content) {
    var cell = document.createElement("td");
    if (content && images) {
      var image = document.createElement("img");
      image.className = "sheet";
      image.src = content;
      image.alt = label;
      cell.appendChild(image);
    } else cell.innerHTML = content;
    return cell;
  }
  function said(text) {
    var cell = document.createElement("td");
    cell.textContent = text;
    return cell;
  }
  function about(cell, text) {
    var note = document.createElement("span");
    note.className = "about";
    note.textContent = text;
    if (text) cell.appendChild(note);
  }
  function clusters(found) {
    byId("clusters").hidden = !found.rows.length;
    byId("clusters-of").textContent = "share of " + found.examples + " test examples (95 % interval)";
    found.rows.forEach(function (row) {
      var line = document.createElement("tr"), head = document.createElement("th");
      head.scope = "row";
      head.textContent = row.index;
      about(head, row.label && "mostly " + row.label);
      var samples = shownIn(found.images, "Samples of cluster " + row.index + ".", row.samples);
      about(samples, row.note);
      line.append(head, said(row.size), said(row.prior), samples,
        shownIn(found.images, "The most probable test examples of cluster " + row.index + ".", row.nearest));
      byId("clusters-rows").appendChild(line);
    });
  }
  function input(type, d) {
    var made = document.createElement("input");
    made.type = type;
    made.dataset.dim = d;
    made.setAttribute("aria-label", "y" + d);
    if (type === "range") { made.min = -4; made.max = 4; }
    made.step = type === "range" ? 0.05 : "any";
    made.addEventListener("input", function () {
      var now = parseFloat(made.value);
      if (isFinite(now)) { y[d] = clamp(now, -8, 8); moved(made); }
    });
    return made;
  }
  ask("start").then(function (found) {
    start = found;
    document.title = found.name + ": explore";
    byId("name").textContent = found.name;
    var prior = found.prior ? ", whose prior is " + found.prior : "";
    byId("about").textContent = "Drag the point in y" + prior + ". " + found.mapping + " takes it to z, the decoder takes z to x.";
    byId("from").hidden = !found.examples;
    byId("up-box").hidden = found.y_dim < 2;
    byId("example").max = found.examples - 1;
    for (var d = 0; d < found.y_dim; d++) {
      option(byId("across"), d);
      option(byId("up"), d);
      y.push(0);
      var row = document.createElement("label"), name = document.createElement("span");
      name.textContent = "y" + d;
      row.append(name, input("range", d), input("number", d));
      byId("dims").appendChild(row);
    }
    byId("across").value = found.planes[0][0];
    if (found.y_dim > 1) byId("up").value = found.planes[0][1];
    if (found.legend.length > 1) found.legend.forEach(function (entry) {
      var item = document.createElement("span"), dot = document.createElement("span");
      item.className = "item";
      dot.className = "dot " + entry.style;
      item.append(dot, entry.name);
      byId("legend").appendChild(item);
    });
    if (found.output.kind === "image") {
      var image = document.createElement("img");
      image.alt = "";
      byId("x-panel").appendChild(image);
      byId("x-panel").style.setProperty("--tile", found.output.width + "/" + found.output.height);
    } else {
      byId("x-panel").innerHTML = found.output.svg;
    }
    byId("across").addEventListener("change", choosePlane);
    byId("up").addEventListener("change", choosePlane);
    byId("conditions").hidden = !found.conditions.length;
    found.conditions.forEach(condition);
    choose(found.chosen);
    byId("within-box").hidden = !found.clusters;
    for (var k = 0; k < found.clusters; k++) {
      var one = document.createElement("option");
      one.value = k;
      one.textContent = "cluster " + k;
      byId("within").appendChild(one);
    }
    if (found.clusters) choosePlane().then(function () { return ask("clusters"); }).then(clusters, told);
    else return choosePlane();
  }).catch(told);
})();
