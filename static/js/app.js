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
const exact = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const precise = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
function localize(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const when = new Date(element.dateTime);
    const today = when.toDateString() === new Date().toDateString();
    const style = { precise, exact }[element.dataset.style] ?? (today ? sameDay : otherDay);
    element.textContent = style.format(when);
    element.title = when.toLocaleString();
  }
}
localize(document);

// Where the menu does not fit, it begins with the page that is open in sight. Scrolled by hand, since scrollIntoView
// moves the place that Tab goes on from.
const here = document.querySelector(".bar nav [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft + (here.offsetWidth - innerWidth) / 2;

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
const [cut] = offline.children;
const noLine = cut.textContent;
const ANSWERS = {
  401: "You are signed out. Reload the page to sign in again.",
  403: "You may not do this here any more. Reload the page.",
  404: "This is not here any more. Reload the page.",
  413: "That is more than can be sent at once. Choose less.",
  429: "Too many requests at once. Wait a minute, then try again.",
};
const BROKEN = "Something went wrong here. Try again in a minute.";
const AWAY = [502, 503, 504]; // what a proxy says while nobody is behind it
const gone = new WeakSet();
function standsStill(words) {
  cut.textContent = words;
  offline.hidden = false;
}
document.addEventListener("htmx:sendError", () => standsStill(noLine));
document.addEventListener("htmx:responseError", ({ detail: { elt, requestConfig, xhr } }) => {
  standsStill(AWAY.includes(xhr.status) ? noLine : ANSWERS[xhr.status] || BROKEN);
  if (xhr.status === 404 && requestConfig.verb === "get") gone.add(elt);
});
document.addEventListener("htmx:afterOnLoad", ({ detail: { xhr } }) => {
  if (xhr.status >= 400) return; // told just before
  offline.hidden = true;
  cut.textContent = noLine;
});
// What asks again and again how something is does not ask for what is gone.
document.addEventListener("htmx:beforeRequest", (event) => { if (gone.has(event.detail.elt)) event.preventDefault(); });

// What asks again and again rests while nobody looks, and stays as it is when its answer is the one before: what is held
// or marked in it stays too.
const polled = (element) => /\bevery \d/.test(element.getAttribute("hx-trigger") ?? "");
const answers = new Map();
document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, requestConfig } = event.detail;
  if (document.hidden && polled(elt) && !requestConfig.triggeringEvent) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { elt, serverResponse } = event.detail;
  if (!elt.id || !polled(elt)) return;
  if (answers.get(elt.id) === serverResponse) event.detail.shouldSwap = false;
  answers.set(elt.id, serverResponse);
});
