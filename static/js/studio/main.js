// The studio of one model: files and options in, a binding price, an order, and the video on its way.
import { Problem, bytes, post, showProblem } from "./calls.js";
import { Code } from "./code.js";
import { Draft, jobsOf } from "./draft.js";
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
// How long an order may stay without an answer, and the pauses before it is asked for again.
const ANSWER_MS = 30_000;
const AGAIN_MS = 1000;
const RAREST_MS = 15_000;
const LONGEST_TURN_S = 120;
const PREVIEW = "Free preview: our CPU engine moves the face. The model itself draws every frame anew.";
const CHECKING = "No answer yet. Checking whether it was ordered…";
const UNSURE = {
  code: "unsure", message: "It is not known whether this was ordered.", next: "Press the button once more to ask again: it is ordered once.",
  link: { href: "/jobs", text: "Your jobs" },
};

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
    this.ordered = new Set(); // files that an order of this page has
    this.slots = [...root.querySelectorAll(".slot")].map((element) => new (KINDS[element.dataset.kind] || Slot)(element, this));
    this.watches = [];
    this.offer = null;
    this.refusal = null;
    this.placing = null;
    this.asked = 0;
    this.draft = new Draft(this);
    this.listen();
    // What was pressed before all of this was here would have been lost.
    for (const button of root.querySelectorAll("[data-later]")) button.disabled = false;
    this.draft.open();
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
    this.button("stop-asking").addEventListener("click", () => this.placing?.abort());
    this.button("anew").addEventListener("click", () => this.draft.anew());
    this.button("code").addEventListener("click", () => this.code.open(`${this.base}/code`, this.order()));
    document.addEventListener("paste", (event) => {
      const file = [...event.clipboardData.files].find((found) => found.type.startsWith("image/"));
      if (file && this.picture) this.picture.take(file);
    });
    for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
    window.addEventListener("online", () => { if (!this.offer) this.quote(); });
    window.addEventListener("beforeunload", (event) => { if (this.unsure) event.preventDefault(); });
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

  async useSamples() {
    const wanted = this.slots.filter((slot) => !slot.asset && !slot.busy && this.root.getAttribute(`data-sample-${slot.kind}`));
    await Promise.all(wanted.map(async (slot) => {
      const path = this.root.getAttribute(`data-sample-${slot.kind}`);
      try {
        const sample = await bytes(path);
        if (!slot.asset && !slot.busy) await slot.take(new File([sample], path.split("/").pop(), { type: sample.type }));
      } catch (problem) {
        slot.fail(problem);
      }
    }));
  }

  // --- the price ---

  changed() {
    this.draft.keep();
    this.refusal = null;
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
    button.disabled = !offer || !offer.affordable || Boolean(this.placing);
    button.textContent = offer ? `Generate${many > 1 ? ` ${many} videos` : ""} · ${offer.total_micros ? offer.total : "free"}` : "Generate";
    const preview = this.button("preview");
    if (preview) preview.disabled = Boolean(this.placing) || !this.slots.every((slot) => !slot.busy && (slot.asset || !slot.required));
    const told = problem || this.refusal;
    const atField = this.options.blame(told);
    const poor = offer && !offer.affordable ? new Problem(offer, 402) : null;
    showProblem(this.part("problem"), atField ? null : told || poor);
  }

  missing() {
    if (this.slots.some((slot) => slot.busy)) return "One moment…";
    const first = this.slots.filter((slot) => slot.required && !slot.asset).map((slot) => slot.noun);
    if (first.length) return `The price appears with your ${first.join(" and ")}.`;
    if (this.options.lacksBoxes) return this.picture?.verdict && !this.picture.verdict.fit ? "This model needs a picture that passes the look." : "One moment…";
    return "";
  }

  // --- the order ---

  // What nobody has answered for is asked for again as it was, with its keys, until the order is another.
  async generate() {
    const { offer } = this;
    if (!offer?.affordable || this.placing) return;
    const { order, seeds, quotes } = offer;
    const like = JSON.stringify([this.order(), offer.total, seeds.length]);
    const orders = this.unclear?.like === like ? this.unclear.orders : seeds.map((seed, index) => ({
      base: this.base,
      body: { ...order, quote: quotes[index], key: newKey(), ...(seed == null ? {} : { seed }) },
      label: seeds.length > 1 ? variant(index, seed) : "",
    }));
    const refusal = await this.place(orders);
    this.unclear = refusal?.code === UNSURE.code ? { like, orders } : null;
  }

  async preview() {
    const { picture, voice } = this;
    await this.place([{ base: this.root.dataset.preview, label: PREVIEW, body: { options: {}, key: newKey() }, prepare: async () => {
      const beginning = await voice.beginning(Number(this.root.dataset.previewSeconds));
      return { [picture.role]: picture.asset.id, [voice.role]: beginning.id };
    } }]);
  }

  // Places orders one after the other; why not all of them, or null. What was shown makes room for the first that is taken.
  async place(orders) {
    this.placing = new AbortController();
    this.changed();
    let watches = [];
    let refusal = null;
    try {
      for (const [index, { base, body, prepare }] of orders.entries()) {
        if (prepare) {
          this.tell("Preparing the preview…");
          body.inputs = await prepare();
        }
        const state = await this.start(base, body, orders.length > 1);
        if (!index) {
          this.clear();
          watches = orders.map(({ label }) => this.watch(label));
          this.lead(watches[0].element);
        }
        watches[index].follow(state);
        this.address();
      }
    } catch (problem) {
      refusal = problem;
    }
    this.tell("");
    this.placing = null;
    const late = watches.filter((watch) => !watch.state);
    late.forEach((watch, index) => watch.refused(index ? null : refusal));
    this.refusal = late.length ? null : refusal;
    this.draw();
    if (!this.offer) this.quote();
    return refusal;
  }

  // The state of the ordered job. An order whose answer was lost is repeated under its key, which orders once. Of several
  // those that the plan does not start at once take their turn a little later.
  async start(base, body, several) {
    for (const id of Object.values(body.inputs)) this.ordered.add(id);
    const { signal } = this.placing;
    this.unsure = false;
    try {
      for (let tries = 0; ; tries += 1) {
        this.tell(this.unsure ? CHECKING : "Sending the order…", this.unsure);
        try {
          return await post(`${base}/jobs`, body, { signal: within(ANSWER_MS, signal) });
        } catch (problem) {
          const turn = several && problem.status === 429 && problem.retryAfter <= LONGEST_TURN_S;
          if (problem.sure && !turn) throw problem;
          this.unsure = this.unsure || !turn;
          this.tell(turn ? `Your plan starts no more this minute: next in ${problem.retryAfter} s` : CHECKING, true);
          await rest(turn ? problem.retryAfter * 1000 + 200 : Math.min(AGAIN_MS * 2 ** tries, RAREST_MS), signal);
          if (signal.aborted) throw this.unsure ? new Problem(UNSURE, 0) : problem;
        }
      }
    } finally {
      this.unsure = false;
    }
  }

  // How the order stands, and a way to leave it at that.
  tell(words, stoppable = false) {
    this.part("asking").hidden = !words;
    this.part("asking-text").textContent = words;
    this.button("stop-asking").hidden = !stoppable;
  }

  lead(element) {
    // Whoever writes meanwhile goes on writing.
    if (!document.activeElement?.matches("input, textarea, select")) element.focus({ preventScroll: true });
    if (matchMedia("(max-width: 59.99rem)").matches) element.scrollIntoView({ block: "start", behavior: "smooth" });
  }

  clear() {
    for (const watch of this.watches) watch.close();
    this.watches = [];
    this.part("watches").replaceChildren();
    this.together.of([]);
  }

  watch(label) {
    const watch = new Watch(this.jobs, label);
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

  // Who comes back finds all of them.
  address() {
    const ids = this.watches.filter((watch) => watch.state).map((watch) => `job=${watch.state.id}`);
    history.replaceState(null, "", `?${ids.join("&")}`);
    this.draft.keep();
  }

  // The page was left and opened again while jobs were on their way.
  resume() {
    const ids = jobsOf(location.search);
    for (const [index, id] of ids.entries()) {
      const watch = this.watch("");
      watch.waiting("Looking for it");
      watch.addEventListener("begun", () => {
        const preview = this.root.dataset.preview?.endsWith(`/${watch.state.model}`);
        watch.name(preview ? PREVIEW : ids.length > 1 ? variant(index, watch.state.seed) : "");
      });
      watch.look(id);
    }
  }
}

const variant = (index, seed) => `Variant ${index + 1}, seed ${seed}`;

const newKey = () => crypto.randomUUID?.() || String(Math.random());

// Ends with the signal, or after so many milliseconds as if the line were cut.
const within = (ms, signal) => (AbortSignal.any ? AbortSignal.any([signal, AbortSignal.timeout(ms)]) : signal);

// A pause that ends early when the line is back, or by the signal.
function rest(ms, signal) {
  return new Promise((done) => {
    setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    window.addEventListener("online", done, { once: true });
  });
}

function sum(offer, many) {
  const units = `${offer.units} ${offer.unit}${offer.units === 1 ? "" : "s"}`;
  const free = offer.free_units ? `, ${offer.free_units} of them free` : "";
  if (!offer.total_micros && !free) return `for ${units}`;
  return many > 1 ? `${many} × ${offer.each}, ${units} each at ${offer.rate}${free}` : `for ${units} at ${offer.rate} each${free}`;
}

new Studio(document.getElementById("studio"));
