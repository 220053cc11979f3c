// Loaded before the page is drawn: the theme that was chosen, or else the system's.

const dark = matchMedia("(prefers-color-scheme: dark)");

const show = () => {
  const chosen = localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light");
  document.documentElement.dataset.bsTheme = chosen;
};

show();
dark.addEventListener("change", show);
addEventListener("storage", show);
addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-switch]")) return;
  localStorage.setItem("theme", document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark");
  show();
  dispatchEvent(new Event("themechange"));
});
