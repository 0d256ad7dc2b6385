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

const boxes = () => [...document.querySelectorAll(".card-pick input:checked")];
function count() {
  const number = boxes().length;
  const line = document.querySelector('[data-part="count"]');
  if (line && number) line.textContent = number === 1 ? "1 video chosen" : `${number} videos chosen`;
  const none = document.querySelector('[data-do="none"]');
  if (none) none.hidden = !number;
}
document.addEventListener("change", (event) => { if (event.target.closest(".card-pick")) count(); });
document.addEventListener("click", (event) => {
  if (!event.target.closest('[data-do="none"]')) return;
  const chosen = boxes();
  for (const box of chosen) box.checked = false;
  chosen[0]?.focus();
  count();
});

// What a swap brings in keeps what was chosen; deleting closes its question.
const kept = new Set();
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const box = event.detail.target.querySelector?.(".card-pick input");
  if (box?.checked) kept.add(box.id);
});
document.addEventListener("htmx:afterSettle", () => {
  for (const id of kept) {
    const box = document.getElementById(id);
    if (box) box.checked = true;
  }
  kept.clear();
  count();
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) event.detail.elt.closest?.(".confirm")?.removeAttribute("open");
});

document.addEventListener("htmx:configRequest", (event) => {
  const { verb, parameters } = event.detail;
  if (verb !== "get") return;
  for (const [name, value] of Object.entries(parameters)) if (value === "") delete parameters[name];
});
count();
