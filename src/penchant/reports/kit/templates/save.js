"use strict";
// Save a figure as it stands in the page, in light colours: under its title, and above the legend of its runs.
(() => {
  const first = document.querySelector("figure svg");
  if (!first) return;
  const SPACE = first.namespaceURI;
  const INK = "#1f2530", PAPER = "#fefefe";
  // CSS pixels, but for the last one: how many pixels of a PNG are one of them
  const MARGIN = 12, LINE = 20, LETTER = 7.5, LEGEND = 230, PNG_PIXELS = 2;

  function element(name, attributes, ...children) {
    const made = document.createElementNS(SPACE, name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.append(...children);
    return made;
  }

  function wrap(text, most) {
    const lines = [""];
    for (const word of text.split(/\s+/)) {
      const longer = `${lines.at(-1)} ${word}`.trim();
      if (longer.length > most && lines.at(-1)) lines.push(word);
      else lines[lines.length - 1] = longer;
    }
    return lines;
  }

  function copy(svg, x, y) {
    const twin = svg.cloneNode(true);
    ["class", "role", "aria-label", "aria-hidden"].forEach(name => twin.removeAttribute(name));
    twin.setAttribute("x", x);
    twin.setAttribute("y", y);
    return twin;
  }

  function compose(figure) {
    const svg = figure.querySelector(".drawing svg");
    const inner = Number(svg.getAttribute("width"));
    const fonts = svg.getAttribute("font-family");
    const title = wrap(figure.querySelector("h3").textContent, inner / LETTER);
    const list = figure.closest("section").querySelector(".legend");
    const names = figure.classList.contains("named-above") && list ? [...list.children] : [];
    const columns = Math.max(1, Math.floor(inner / LEGEND));
    const top = MARGIN + LINE * title.length;
    const legend = top + Number(svg.getAttribute("height")) + MARGIN;
    const height = legend + LINE * Math.ceil(names.length / columns) + (names.length ? MARGIN : 0);
    const width = inner + 2 * MARGIN;
    const whole = element("svg", {width, height, viewBox: `0 0 ${width} ${height}`, "font-family": fonts, fill: INK},
      element("rect", {width, height, fill: PAPER}), copy(svg, MARGIN, top));
    title.forEach((line, index) => whole.append(
      element("text", {x: MARGIN, y: MARGIN + LINE * index + 10, "font-size": 14, "font-weight": 600}, line)));
    names.forEach((item, index) => {
      const x = MARGIN + (index % columns) * LEGEND, y = legend + LINE * Math.floor(index / columns);
      whole.append(copy(item.querySelector("svg"), x, y - 1),
        element("text", {x: x + 36, y: y + 9, "font-size": 12}, item.textContent.trim()));
    });
    return whole;
  }

  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function savePng(text, whole, name) {
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = PNG_PIXELS * whole.getAttribute("width");
      canvas.height = PNG_PIXELS * whole.getAttribute("height");
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(blob => save(blob, name));
    };
    image.src = `data:image/svg+xml,${encodeURIComponent(text)}`;
  }

  document.querySelectorAll("figure .take").forEach(line => {
    line.hidden = false;
    line.addEventListener("click", event => {
      const format = event.target.dataset.format;
      if (!format) return;
      const figure = line.closest("figure");
      const whole = compose(figure), text = new XMLSerializer().serializeToString(whole);
      const name = `${figure.id.replace("figure-", "")}.${format}`;
      if (format === "png") savePng(text, whole, name);
      else save(new Blob([text], {type: "image/svg+xml"}), name);
    });
  });
})();
