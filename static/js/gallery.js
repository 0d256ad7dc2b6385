// The gallery: films under the pointer, how many are chosen, and addresses without empty filters.

// Only where a pointer rests; a finger that scrolls starts nothing. Whoever wants less motion gets none.
const still = matchMedia("(prefers-reduced-motion: reduce)");
const PAUSE_MS = 120;

class Film {
  constructor(place) {
    this.place = place;
    this.timer = setTimeout(() => this.play(), PAUSE_MS);
  }

  play() {
    this.video = document.createElement("video");
    Object.assign(this.video, { src: this.place.dataset.film, muted: true, loop: true, playsInline: true, disablePictureInPicture: true });
    this.video.setAttribute("aria-hidden", "true");
    this.video.addEventListener("playing", () => this.place.querySelector("img")?.after(this.video), { once: true });
    this.video.play().catch(() => {}); // gone again before it began
  }

  stop() {
    clearTimeout(this.timer);
    this.video?.pause();
    this.video?.removeAttribute("src");
    this.video?.remove();
  }
}

let film = null;
function onto(event) {
  const place = event.target.closest?.(".card")?.querySelector("[data-film]");
  if (film?.place === place) return;
  film?.stop();
  film = place && !still.matches ? new Film(place) : null;
}
document.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") onto(event); });
document.addEventListener("focusin", onto);
document.addEventListener("pointerleave", onto);

// --- the chosen ---

const all = () => [...document.querySelectorAll(".card-pick input")];
const boxes = () => all().filter((box) => box.checked);
const videos = (number) => (number === 1 ? "1 video" : `${number} videos`);
function count() {
  const bar = document.querySelector(".bulk");
  if (!bar) return;
  const number = boxes().length;
  const most = Number(bar.dataset.most);
  const line = bar.querySelector('[data-part="count"]');
  if (number) line.textContent = `${videos(number)} chosen${number > most ? `: ${most} go at once, choose fewer` : ""}`;
  for (const button of bar.querySelectorAll("[hx-post], [formaction]")) button.disabled = number > most;
  bar.querySelector('[data-do="none"]').hidden = !number;
  bar.querySelector('[data-do="all"]').hidden = number === all().length;
}
document.addEventListener("change", (event) => { if (event.target.closest(".card-pick")) count(); });
document.addEventListener("click", (event) => {
  const button = event.target.closest('.bulk [data-do="all"], .bulk [data-do="none"]');
  if (!button) return;
  const [first] = boxes();
  for (const box of all()) box.checked = button.dataset.do === "all";
  if (button.dataset.do === "none") first?.focus();
  else document.querySelector('.bulk [data-do="none"]').hidden = false;
  count();
});

// What a swap brings in keeps what was chosen; deleting closes its question.
const kept = new Set();
let filtered = [];
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const box = event.detail.target.querySelector?.(".card-pick input");
  if (box?.checked) kept.add(box.id);
});
// What a filter leaves in sight stays chosen; of the rest it is said that it is not any more.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "found" || !event.detail.shouldSwap) return;
  filtered = boxes().map((box) => box.id);
  for (const id of filtered) kept.add(id);
});
document.addEventListener("htmx:afterSettle", () => {
  for (const id of kept) {
    const box = document.getElementById(id);
    if (box) box.checked = true;
  }
  kept.clear();
  const lost = filtered.filter((id) => !document.getElementById(id)).length;
  filtered = [];
  if (lost) hidden(lost);
  count();
});
function hidden(number) {
  const told = document.getElementById("told");
  told.className = "note";
  told.textContent = `${videos(number)} that you had chosen ${number === 1 ? "is" : "are"} not shown now, and not chosen any more.`;
}
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) event.detail.elt.closest?.(".confirm")?.removeAttribute("open");
});

document.addEventListener("htmx:configRequest", (event) => {
  const { verb, parameters } = event.detail;
  if (verb !== "get") return;
  for (const [name, value] of Object.entries(parameters)) if (value === "") delete parameters[name];
});
count();
