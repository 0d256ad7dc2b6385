// A place for one file: chosen, dropped, pasted, picked or recorded, then uploaded. Kinds add what they show.
import { Problem, showProblem, upload } from "./calls.js";

export class Slot extends EventTarget {
  constructor(element, studio) {
    super();
    this.element = element;
    this.studio = studio;
    this.role = element.dataset.role;
    this.kind = element.dataset.kind;
    this.required = "required" in element.dataset;
    this.maxSeconds = Number(element.dataset.maxMs) / 1000 || Infinity;
    this.noun = element.querySelector("h2").firstChild.textContent.trim().toLowerCase();
    this.asset = null;
    this.stopper = null;
    this.listen();
  }

  part(name) { return this.element.querySelector(`[data-part="${name}"]`); }

  button(name) { return this.element.querySelector(`[data-do="${name}"]`); }

  listen() {
    const chooser = this.button("choose");
    chooser.addEventListener("change", () => {
      if (chooser.files[0]) this.take(chooser.files[0]);
      chooser.value = "";
    });
    this.button("pick").addEventListener("click", () => this.studio.picker.open(this));
    this.button("stop").addEventListener("click", () => this.stopper?.abort());
    this.button("remove").addEventListener("click", () => {
      this.remove();
      this.button("choose").focus();
    });
    const over = (event) => {
      event.preventDefault();
      this.element.classList.toggle("over", event.type === "dragover");
    };
    for (const kind of ["dragover", "dragleave", "drop"]) this.element.addEventListener(kind, over);
    this.element.addEventListener("drop", (event) => {
      const file = event.dataTransfer.files[0];
      if (file) this.take(file);
    });
  }

  show(state) {
    for (const box of this.element.querySelectorAll("[data-state]")) box.hidden = box.dataset.state !== state;
    this.button("remove").hidden = state !== "filled";
  }

  fail(problem) { showProblem(this.element.querySelector("[data-error]"), problem); }

  get busy() { return this.stopper !== null; }

  get ready() { return this.asset !== null && !this.busy; }

  changed() { this.dispatchEvent(new Event("change")); }

  // What was chosen before the page was ready.
  takeEarly() {
    const chooser = this.button("choose");
    if (chooser.files[0]) this.take(chooser.files[0]);
    chooser.value = "";
  }

  // A file of this machine.
  async take(file) {
    this.stopper?.abort();
    this.fail(null);
    if (file.size > this.studio.mostBytes) {
      this.fail(new Problem({ message: `This file is larger than ${Math.floor(this.studio.mostBytes / 2 ** 20)} MiB.`, next: "Choose a smaller one." }));
      return;
    }
    await this.bring(file);
  }

  // A file that is here already.
  async takeAsset(asset) {
    this.stopper?.abort();
    this.fail(null);
    await this.bring(null, asset);
  }

  // Shows the file, uploads what is new, and tells the studio. `asset` is given for one that is here already.
  async bring(file, asset = null) {
    this.asset = null;
    try {
      this.asset = asset || await this.send(file, file.name || this.noun);
      await this.look(file, this.asset);
      this.show("filled");
    } catch (problem) {
      this.asset = null;
      this.show("empty");
      if (problem.name !== "AbortError") this.fail(problem);
    }
    this.changed();
  }

  async send(file, name) {
    const stopper = new AbortController();
    const bar = this.element.querySelector('[data-state="busy"] progress');
    const words = this.part("doing");
    this.stopper = stopper;
    words.textContent = "Uploading…";
    bar.value = 0;
    this.show("busy");
    this.changed();
    try {
      return await upload(this.studio.files, file, name, (share) => {
        bar.value = share * 100;
        if (share === 1) words.textContent = "Looking into it…";
      }, stopper.signal);
    } finally {
      if (this.stopper === stopper) this.stopper = null;
    }
  }

  // What is seen of it; of each kind its own.
  async look() {}

  remove() {
    this.stopper?.abort();
    this.asset = null;
    this.fail(null);
    this.show("empty");
    this.changed();
  }
}

export class Film extends Slot {
  async look(file, asset) {
    if (asset.kind !== "video") throw new Problem({ message: "This is not a video.", next: "Choose a motion clip." });
    this.part("film").src = asset.url;
    this.part("note").textContent = `${(asset.duration_ms / 1000).toFixed(1)} s`;
  }

  remove() {
    this.part("film").removeAttribute("src");
    this.part("note").textContent = "";
    super.remove();
  }
}
