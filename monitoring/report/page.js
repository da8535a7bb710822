"use strict";
(() => {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const line = style.getPropertyValue("--line").trim();
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true };
    return { ink: style.getPropertyValue("--ink").trim(), axis };
  };
  const dressed = (layout) => {
    const { ink, axis } = colours();
    const whole = {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...(layout.font || {}), color: ink, size: 12 },
      margin: { l: 44, r: 12, t: 12, b: 40, ...(layout.margin || {}) },
    };
    for (const name of Object.keys(whole)) {
      if (/^[xy]axis/.test(name)) whole[name] = { ...axis, ...whole[name] };
    }
    whole.xaxis = { ...axis, ...(whole.xaxis || {}) };
    whole.yaxis = { ...axis, ...(whole.yaxis || {}) };
    return whole;
  };
  const draw = (place) => {
    const { data, layout } = place.drawing;
    Plotly.react(place.canvas, data, dressed(layout), { displayModeBar: false, responsive: true });
    place.classList.add("drawn");
  };
  const places = [...document.querySelectorAll("figure.plot")];
  for (const place of places) {
    place.drawing = JSON.parse(place.querySelector("script").textContent);
    place.canvas = place.appendChild(document.createElement("div"));
    place.canvas.style.height = "100%";
  }
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !entry.target.classList.contains("drawn")) draw(entry.target);
    }
  }, { rootMargin: "400px" });
  places.forEach((place) => seen.observe(place));
  const redraw = () => places.filter((place) => place.classList.contains("drawn")).forEach(draw);
  dark.addEventListener("change", redraw);
  window.addEventListener("beforeprint", () => places.forEach(draw));
})();
