"use strict";
(async () => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent.trim()), c => c.charCodeAt(0));
  const opened = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const library = document.createElement("script");
  library.textContent = await new Response(opened).text();
  document.head.append(library);

  const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const faint = (hex, share) => {
    const [r, g, b] = [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${r},${g},${b},${share})`;
  };
  const axis = given => ({
    gridcolor: colour("line"), zerolinecolor: colour("soft"), linecolor: colour("line"),
    automargin: true, fixedrange: true, tickfont: {color: colour("soft"), size: 11}, ...given,
  });
  const painted = trace => {
    const meta = trace.meta || {};
    if (meta.good) {
      return {...trace, marker: {color: meta.good.map(good => colour(good ? "good" : "bad"))}};
    }
    const tone = colour(meta.colour || "s0");
    if (trace.type === "bar") return {...trace, marker: {color: tone}};
    const line = {width: 1.6, ...trace.line, color: tone};
    const filled = trace.fill || trace.stackgroup;
    return {...trace, line, ...(filled ? {fillcolor: faint(tone, trace.stackgroup ? 0.75 : 0.2)} : {})};
  };
  const narrow = () => window.innerWidth < 600;
  const draw = () => {
    for (const place of document.querySelectorAll("[data-figure]")) {
      const figure = figures[place.dataset.figure];
      const legends = figure.data.filter(trace => trace.showlegend !== false).length;
      const lines = narrow() ? Math.ceil(legends / 2) : Math.ceil(legends / 4);
      const room = legends > 1 ? 10 + 20 * lines : 0;
      const layout = {
        hovermode: "x unified", dragmode: false, showlegend: legends > 1, ...figure.layout,
        xaxis: axis(figure.layout.xaxis), yaxis: axis(figure.layout.yaxis),
        ...(figure.layout.yaxis2 ? {yaxis2: axis(figure.layout.yaxis2)} : {}),
        height: (figure.layout.height || 280) + room,
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: {color: colour("ink"), family: "system-ui,sans-serif", size: 12},
        hoverlabel: {bgcolor: colour("card"), bordercolor: colour("line"), font: {color: colour("ink")}},
        legend: {
          orientation: "h", x: 0, y: 1, yanchor: "bottom", font: {size: narrow() ? 10 : 11}, itemwidth: 30,
          entrywidth: narrow() ? 0.48 : 0.24, entrywidthmode: "fraction",
        },
        margin: {l: 8, r: 8, t: 8 + room, b: 8},
      };
      Plotly.react(place, figure.data.map(painted), layout, {responsive: true, displayModeBar: false});
    }
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let wasNarrow = narrow();
  addEventListener("resize", () => {
    if (wasNarrow !== narrow()) { wasNarrow = narrow(); draw(); }
  });
  document.documentElement.dataset.drawn = "yes";
})();
