// Small comforts. Every page works without this file.
"use strict";

// Menus close on Escape and on a click elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// <button data-copy="id of an input">: copies, and says so to eyes and ears.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const text = source.value ?? source.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    source.select?.(); // no clipboard without https: the text is selected, one key from copied
    return;
  }
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 2000);
});

// Times are written in UTC by the server; show them in the reader's zone.
const sameDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const otherDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const precise = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
function localize(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const when = new Date(element.dateTime);
    const today = when.toDateString() === new Date().toDateString();
    const style = element.dataset.style === "precise" ? precise : today ? sameDay : otherDay;
    element.textContent = style.format(when);
    element.title = when.toLocaleString();
  }
}
localize(document);

// What a fragment changed: its times, and one sentence for screen readers when the state is another.
let announced = document.querySelector("[data-announce]")?.textContent;
document.addEventListener("htmx:afterSettle", () => {
  localize(document);
  const state = document.querySelector("[data-announce]")?.textContent;
  if (state && state !== announced) document.getElementById("announce").textContent = state;
  announced = state;
});

// A fragment that cannot be fetched leaves the page as it was, and says why it stands still.
const offline = document.getElementById("offline");
document.addEventListener("htmx:sendError", () => { offline.hidden = false; });
document.addEventListener("htmx:responseError", () => { offline.hidden = false; });
document.addEventListener("htmx:afterOnLoad", () => { offline.hidden = true; });
