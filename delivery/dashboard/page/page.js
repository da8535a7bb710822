"use strict";
(() => {
  const every = 1000 * Number(document.body.dataset.every);
  const model = document.getElementById("model");
  const lost = document.getElementById("lost");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const sections = [...document.querySelectorAll("main > section")];

  // Figures are plotly's own JSON; what is the reader's (colours, size) is put on them here.
  const style = (name) => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(${name})`;
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const dressed = (layout) => {
    const line = style("--line");
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
    const whole = {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...(layout.font || {}), color: style("--ink"), size: 12 },
      margin: { l: 48, r: 12, t: 12, b: 36, ...(layout.margin || {}) },
    };
    whole.xaxis = { ...axis, ...(whole.xaxis || {}) };
    whole.yaxis = { ...axis, ...(whole.yaxis || {}) };
    return whole;
  };
  const draw = (place) => {
    if (!place.canvas) {
      place.drawing = JSON.parse(place.querySelector("script").textContent);
      place.canvas = place.appendChild(document.createElement("div"));
      place.canvas.style.height = "100%";
    }
    Plotly.react(place.canvas, place.drawing.data, dressed(place.drawing.layout), {
      displayModeBar: false,
      responsive: true,
    });
    place.classList.add("drawn");
  };
  const seen = new IntersectionObserver(
    (entries) => entries.forEach((each) => each.isIntersecting && !each.target.canvas && draw(each.target)),
    { rootMargin: "400px" },
  );

  const fill = (section, html) => {
    if (section.shown === html) return;
    section.shown = html;
    const body = section.querySelector(".body");
    const open = [...body.querySelectorAll("details")].map((each) => each.open);
    body.querySelectorAll("figure.plot").forEach((each) => each.canvas && Plotly.purge(each.canvas));
    const height = body.offsetHeight;
    body.style.minHeight = `${height}px`; // nothing below jumps while figures are drawn again
    body.innerHTML = html;
    body.querySelectorAll("details").forEach((each, at) => (each.open = Boolean(open[at])));
    body.querySelectorAll("details").forEach((each) =>
      each.addEventListener("toggle", () => each.querySelectorAll("figure.plot").forEach((plot) => each.open && draw(plot))),
    );
    body.querySelectorAll("figure.plot").forEach((each) => seen.observe(each));
    requestAnimationFrame(() => (body.style.minHeight = ""));
  };

  const told = async (path) => {
    const answer = await fetch(path, { cache: "no-store" });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  };
  const look = async (section) => {
    const asked = model.value;
    const found = await told(`/parts/${section.id}?model=${encodeURIComponent(asked)}`);
    if (asked === model.value) {
      fill(section, found.html);
      section.dataset.trouble = found.trouble || "";
      section.dataset.looked = "yes";
    }
  };
  const round = async () => {
    const results = await Promise.allSettled([
      told("/clock").then((found) => (document.getElementById("now").textContent = found.now.replace("T", " "))),
      ...sections.map(look),
    ]);
    lost.hidden = !results.slice(1).every((each) => each.status === "rejected");
    document.body.dataset.rounds = String(1 + Number(document.body.dataset.rounds || 0));
  };
  let waiting = null;
  const goOn = async () => {
    clearTimeout(waiting);
    if (!document.hidden) await round();
    waiting = setTimeout(goOn, every);
  };
  model.addEventListener("change", goOn);
  document.addEventListener("visibilitychange", () => document.hidden || goOn());
  dark.addEventListener("change", () => document.querySelectorAll("figure.plot.drawn").forEach(draw));
  goOn();
})();
