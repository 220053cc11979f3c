// The little that htmx and Tabler do not do.

// A form that is on its way is not sent again by a second click. The page may be shown again from memory (Back).
addEventListener("submit", (event) => {
  const form = event.target;
  const elsewhere = event.submitter?.formTarget || form.target; // a preview: this page stays
  if (form.method !== "post" || elsewhere || event.defaultPrevented) return;
  if (form.getAttribute("aria-busy") === "true") return event.preventDefault();
  if (form.dataset.confirm && !form.dataset.confirmed) {
    event.preventDefault();
    return ask(form.dataset.confirm, event.submitter, () => {
      form.dataset.confirmed = "yes";
      form.requestSubmit(event.submitter);
      delete form.dataset.confirmed;
    });
  }
  form.setAttribute("aria-busy", "true");
});

// The question before something that cannot be undone. The answer yes is called what the button was.
const ask = (words, button, then) => {
  const question = document.getElementById("question");
  const yes = question.querySelector("[data-answer]");
  question.querySelector("p").textContent = words;
  yes.textContent = button.textContent.trim();
  yes.className = button.matches(".btn-danger, .btn-outline-danger") ? "btn btn-danger" : "btn btn-primary";
  question.returnValue = "";
  question.onclose = () => question.returnValue === "yes" && then();
  question.showModal();
};

addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[aria-busy]")) form.removeAttribute("aria-busy");
});
addEventListener("htmx:afterRequest", (event) => event.target.closest?.("form")?.removeAttribute("aria-busy"));

// Where the person is: the zone is chosen for them in a form that has not chosen yet.
for (const select of document.querySelectorAll("select[data-guess-zone]")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if ([...select.options].some((option) => option.value === zone)) select.value = zone;
}

// A box that ticks all boxes of its table.
addEventListener("change", (event) => {
  if (!event.target.matches("[data-tick-all]")) return;
  for (const box of event.target.closest("form, table").querySelectorAll("td input[type=checkbox]")) {
    box.checked = event.target.checked;
  }
});

// Charts: <canvas data-chart="ID of a JSON script">, in the theme's colours.
const charts = [];

// Canvases and Chart.js know neither the theme's variables nor all of CSS's colours: one is painted, and read back.
const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const colour = (name) => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--tblr-${name})`;
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillStyle = getComputedStyle(probe).color;
  pixel.fillRect(0, 0, 1, 1);
  probe.remove();
  const [red, green, blue, alpha] = pixel.getImageData(0, 0, 1, 1).data;
  return `rgba(${red}, ${green}, ${blue}, ${alpha / 255})`;
};

const draw = (canvas) => {
  const { labels, series } = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
  return new Chart(canvas, {
    type: "bar",
    data: {
      labels,
      datasets: series.map(({ name, colour: its, values }) => ({
        label: name, data: values, backgroundColor: colour(its), maxBarThickness: 40,
      })),
    },
    options: {
      animation: false,
      locale: document.documentElement.lang,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { stacked: true, grid: { display: false }, ticks: { color: colour("secondary"), maxRotation: 0, autoSkipPadding: 12 } },
        y: { stacked: true, beginAtZero: true, border: { display: false }, grid: { color: colour("border-color") }, ticks: { color: colour("secondary"), precision: 0 } },
      },
      plugins: { legend: { position: "bottom", labels: { color: colour("body-color"), boxWidth: 12, boxHeight: 12 } } },
    },
  });
};

const redraw = () => {
  for (const chart of charts.splice(0)) chart.destroy();
  for (const canvas of document.querySelectorAll("canvas[data-chart]")) charts.push(draw(canvas));
};

if (typeof Chart !== "undefined") {
  redraw();
  addEventListener("themechange", redraw);
  const isDrawn = (canvas) => charts.some((chart) => chart.canvas === canvas);
  addEventListener("htmx:afterSettle", () => {
    if (![...document.querySelectorAll("canvas[data-chart]")].every(isDrawn)) redraw();
  });
}

// What is wrong with a form as a whole is read first; a field that is wrong has the cursor already.
const wrong = document.querySelector("form .alert-danger");
if (wrong && !document.querySelector(".is-invalid")) {
  wrong.tabIndex = -1;
  wrong.focus();
}
