// Light, dark, or as the system says; kept on this computer.

const KEY = "pefomed-theme";
const THEMES = ["system", "light", "dark"];

function kept() {
  const theme = localStorage.getItem(KEY);
  return THEMES.includes(theme) ? theme : "system";
}

function show(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const button = document.getElementById("theme");
  if (button) button.textContent = { system: "Theme: auto", light: "Theme: light", dark: "Theme: dark" }[theme];
}

export function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(kept()) + 1) % THEMES.length];
  localStorage.setItem(KEY, theme);
  show(theme);
}

show(kept());
