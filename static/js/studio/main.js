// The studio of one model: files and options in, a binding price, an order, and the video on its way.
import { Problem, get, post, showProblem } from "./calls.js";
import { Code } from "./code.js";
import { Options } from "./options.js";
import { Picker } from "./picker.js";
import { Picture } from "./picture.js";
import { Film, Slot } from "./slot.js";
import { Together } from "./together.js";
import { Voice } from "./voice.js";
import { Watch } from "./watch.js";

const KINDS = { image: Picture, audio: Voice, video: Film };
const QUOTE_PAUSE_MS = 250;
// Quotes hold for a quarter of an hour.
const QUOTE_AGAIN_MS = 10 * 60 * 1000;

class Studio {
  constructor(root) {
    const { base, files, jobs, mostBytes, mostSeed } = root.dataset;
    this.root = root;
    this.base = base;
    this.files = files;
    this.jobs = jobs;
    this.mostBytes = Number(mostBytes);
    this.mostSeed = Number(mostSeed);
    this.seeds = "seed" in root.dataset;
    this.detector = "detector" in root.dataset;
    this.form = root.querySelector("form");
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.button = (name) => root.querySelector(`[data-do="${name}"]`);
    this.options = new Options(this.form);
    this.picker = new Picker(this);
    this.code = new Code();
    this.together = new Together(this.part("sync"));
    this.slots = [...root.querySelectorAll(".slot")].map((element) => new (KINDS[element.dataset.kind] || Slot)(element, this));
    this.watches = [];
    this.offer = null;
    this.asked = 0;
    this.listen();
    // What was pressed before all of this was here would have been lost.
    for (const button of root.querySelectorAll("[data-later]")) button.disabled = false;
    this.takeGiven();
    for (const slot of this.slots) slot.takeEarly();
    this.resume();
  }

  listen() {
    for (const slot of this.slots) {
      slot.addEventListener("change", () => this.changed());
      slot.addEventListener("verdict", () => {
        this.options.fill(slot.verdict);
        this.changed();
      });
    }
    this.form.addEventListener("input", (event) => {
      if (event.target.closest("[data-option], [data-part=variants]")) this.changed();
    });
    this.form.addEventListener("change", (event) => {
      // The shape of the shot decides which boxes the picture needs.
      if (this.options.wantsBoxes && event.target.name === "option-resolution") this.picture?.judge();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.generate();
    });
    this.button("samples")?.addEventListener("click", () => this.useSamples());
    this.button("preview")?.addEventListener("click", () => this.preview());
    this.button("code").addEventListener("click", () => this.code.open(`${this.base}/code`, this.order()));
    document.addEventListener("paste", (event) => {
      const file = [...event.clipboardData.files].find((found) => found.type.startsWith("image/"));
      if (file && this.picture) this.picture.take(file);
    });
    for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
    window.addEventListener("online", () => this.changed());
    window.addEventListener("focus", () => { if (this.offer && !this.offer.affordable) this.quote(); });
  }

  get picture() { return this.slots.find((slot) => slot.kind === "image"); }

  get voice() { return this.slots.find((slot) => slot.kind === "audio"); }

  shape() { return this.options.wantsBoxes ? this.options.read().resolution || "" : ""; }

  get complete() {
    return this.slots.every((slot) => !slot.busy && (slot.asset || !slot.required)) && !this.options.lacksBoxes;
  }

  order() {
    const inputs = {};
    for (const slot of this.slots) if (slot.asset) inputs[slot.role] = slot.asset.id;
    return { inputs, options: this.options.read() };
  }

  variants() {
    return Number(this.form.querySelector("[name=variants]:checked")?.value || 1);
  }

  // One for each variant: the chosen one and those after it, else drawn here, so that price and order name the same.
  drawSeeds(order) {
    if (!this.seeds) return [null];
    const count = this.variants();
    const given = order.options.seed;
    delete order.options.seed;
    if (given != null) return Array.from({ length: count }, (_, index) => given + index);
    return Array.from({ length: count }, () => Math.floor(Math.random() * this.mostSeed));
  }

  // The files of an earlier job, where the page was opened like it.
  takeGiven() {
    const given = JSON.parse(document.getElementById("given")?.textContent || "{}");
    for (const slot of this.slots) if (given[slot.role]) slot.takeAsset(given[slot.role]);
  }

  async useSamples() {
    const wanted = this.slots.filter((slot) => !slot.asset && !slot.busy && this.root.getAttribute(`data-sample-${slot.kind}`));
    await Promise.all(wanted.map(async (slot) => {
      const path = this.root.getAttribute(`data-sample-${slot.kind}`);
      const bytes = await (await fetch(path)).blob();
      await slot.take(new File([bytes], path.split("/").pop(), { type: bytes.type }));
    }));
  }

  // --- the price ---

  changed() {
    this.offer = null;
    this.asked += 1;
    clearTimeout(this.timer);
    this.draw();
    if (this.complete) this.timer = setTimeout(() => this.quote(), QUOTE_PAUSE_MS);
  }

  async quote() {
    if (!this.complete) return;
    const order = this.order();
    const seeds = this.drawSeeds(order);
    this.asked += 1;
    const { asked } = this;
    this.part("sum").textContent = "Asking for the price…";
    try {
      const offer = await post(`${this.base}/quote`, { ...order, seeds });
      if (asked !== this.asked) return;
      this.offer = { ...offer, order, seeds };
      this.options.blame(null);
      this.draw();
      this.timer = setTimeout(() => this.quote(), QUOTE_AGAIN_MS);
    } catch (problem) {
      if (asked !== this.asked) return;
      this.draw(problem);
      if (problem.code === "offline") this.timer = setTimeout(() => this.quote(), 5000);
    }
  }

  draw(problem = null) {
    const { offer } = this;
    const many = offer ? offer.seeds.length : 1;
    this.part("total").textContent = offer ? (offer.total_micros ? offer.total : "Free") : "—";
    this.part("sum").textContent = offer ? sum(offer, many) : this.complete ? "" : this.missing();
    const button = this.part("generate");
    button.disabled = !offer || !offer.affordable;
    button.textContent = offer ? `Generate${many > 1 ? ` ${many} videos` : ""} · ${offer.total_micros ? offer.total : "free"}` : "Generate";
    const preview = this.button("preview");
    if (preview) preview.disabled = !this.slots.every((slot) => !slot.busy && (slot.asset || !slot.required));
    const atField = this.options.blame(problem);
    const poor = offer && !offer.affordable ? new Problem(offer, 402) : null;
    showProblem(this.part("problem"), atField ? null : problem || poor);
  }

  missing() {
    if (this.slots.some((slot) => slot.busy)) return "One moment…";
    const first = this.slots.filter((slot) => slot.required && !slot.asset).map((slot) => slot.noun);
    if (first.length) return `The price appears with your ${first.join(" and ")}.`;
    if (this.options.lacksBoxes) return this.picture?.verdict && !this.picture.verdict.fit ? "This model needs a picture that passes the look." : "One moment…";
    return "";
  }

  // --- the order ---

  async generate() {
    const { offer } = this;
    if (!offer || !offer.affordable) return;
    const { order, seeds, quotes } = offer;
    const [voice, still] = [this.voice?.asset?.url || "", this.picture?.asset?.url || ""];
    this.clear();
    const watches = seeds.map((seed, index) => this.watch({ voice, still, label: seeds.length > 1 ? `Variant ${index + 1}, seed ${seed}` : "" }));
    watches[0].element.focus({ preventScroll: true });
    if (matchMedia("(max-width: 59.99rem)").matches) watches[0].element.scrollIntoView({ block: "start", behavior: "smooth" });
    // The next press of the button is an order of its own.
    this.changed();
    for (const [index, watch] of watches.entries()) {
      const body = { ...order, quote: quotes[index], key: crypto.randomUUID?.() || String(Math.random()) };
      if (seeds[index] != null) body.seed = seeds[index];
      if (!await this.start(watch, this.base, body)) break;
      if (!index) history.replaceState(null, "", `?job=${watch.state.id}`);
    }
    for (const watch of watches) if (!watch.state) watch.refused(null);
  }

  // Sends an order; where the organization starts many at once its turn comes a little later.
  async start(watch, base, body) {
    for (;;) {
      try {
        watch.follow(await post(`${base}/jobs`, body));
        return true;
      } catch (problem) {
        if (problem.status === 429 && this.watches.length > 1 && problem.retryAfter <= 120) {
          watch.waiting(`Your plan starts no more this minute: next in ${problem.retryAfter} s`);
          await new Promise((done) => { setTimeout(done, problem.retryAfter * 1000 + 200); });
          continue;
        }
        watch.refused(problem);
        return false;
      }
    }
  }

  async preview() {
    const button = this.button("preview");
    button.disabled = true;
    this.clear();
    const watch = this.watch({ label: "Free preview: our CPU engine moves the face. The model itself draws every frame anew.", voice: this.voice.asset.url, still: this.picture.asset.url });
    watch.waiting("Preparing the preview");
    try {
      const beginning = await this.voice.beginning(Number(this.root.dataset.previewSeconds));
      const inputs = { [this.picture.role]: this.picture.asset.id, [this.voice.role]: beginning.id };
      await this.start(watch, this.root.dataset.preview, { inputs, options: {} });
    } catch (problem) {
      watch.refused(problem);
    }
    button.disabled = false;
  }

  clear() {
    this.watches = [];
    this.part("watches").replaceChildren();
    this.together.of([]);
  }

  watch(options) {
    const watch = new Watch(this.jobs, options);
    this.watches.push(watch);
    this.part("idle").hidden = true;
    this.part("watches").append(watch.element);
    this.part("watches").classList.toggle("many", this.watches.length > 1);
    watch.addEventListener("end", () => this.ended());
    return watch;
  }

  ended() {
    const done = this.watches.filter((watch) => watch.state?.video);
    if (this.watches.length > 1) this.together.of(done.map((watch) => watch.video));
  }

  // The page was left and opened again while a job was on its way.
  async resume() {
    const id = new URLSearchParams(location.search).get("job");
    if (!id || !/^[0-9a-f-]{36}$/.test(id)) return;
    try {
      const state = await get(`${this.jobs}${id}`);
      this.watch({}).follow(state);
    } catch { /* deleted meanwhile, or another organization's: the page is empty */ }
  }
}

function sum(offer, many) {
  const units = `${offer.units} ${offer.unit}${offer.units === 1 ? "" : "s"}`;
  const free = offer.free_units ? `, ${offer.free_units} of them free` : "";
  if (!offer.total_micros && !free) return `for ${units}`;
  return many > 1 ? `${many} × ${offer.each}, ${units} each at ${offer.rate}${free}` : `for ${units} at ${offer.rate} each${free}`;
}

new Studio(document.getElementById("studio"));
