// A place for one file: chosen, dropped, pasted, picked or recorded, then uploaded. Kinds add what they show.
import { Problem, discard, showProblem, upload } from "./calls.js";

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
    this.coming = null; // a file that is here already and being fetched
    this.derived = null; // the part that was cut out of the file last
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
    this.fail(null);
    await this.bring(null, asset);
  }

  // Shows the file, uploads what is new, and tells the studio. `asset` is given for one that is here already.
  // Whichever was chosen last is the one that stays.
  async bring(file, asset = null) {
    const stopper = this.begin();
    this.replace(null);
    this.asset = null;
    this.coming = asset;
    this.wait(Boolean(file));
    try {
      const found = asset || await this.send(file, file.name || this.noun, stopper);
      this.asset = found;
      await this.look(file, found, stopper);
      stopper.signal.throwIfAborted();
      this.show("filled");
    } catch (problem) {
      if (this.stopper !== stopper) return; // another came meanwhile
      this.asset = null;
      this.show("empty");
      if (problem.name !== "AbortError") this.fail(problem);
    }
    this.coming = null;
    this.end(stopper);
    this.changed();
  }

  // What is under way stops for what comes now.
  begin() {
    this.stopper?.abort();
    this.stopper = new AbortController();
    return this.stopper;
  }

  end(stopper) {
    if (this.stopper === stopper) this.stopper = null;
  }

  wait(uploading) {
    const bar = this.element.querySelector('[data-state="busy"] progress');
    if (uploading) bar.value = 0;
    else bar.removeAttribute("value");
    this.part("doing").textContent = uploading ? "Uploading…" : "Fetching the file…";
    this.button("stop").textContent = uploading ? "Cancel the upload" : "Cancel";
    this.show("busy");
    this.changed();
  }

  send(file, name, stopper) {
    return upload(this.studio.files, file, name, (share) => {
      this.element.querySelector('[data-state="busy"] progress').value = share * 100;
      if (share === 1) this.part("doing").textContent = "Looking into it…";
    }, stopper.signal);
  }

  // A part that was cut out of the file, which stays in view meanwhile.
  async sendPart(blob, name, stopper) {
    this.changed();
    const asset = await this.send(blob, name, stopper);
    this.replace(asset);
    return asset;
  }

  // One part at a time is kept, and those that were ordered.
  replace(asset) {
    if (this.derived && !this.studio.ordered.has(this.derived.id)) discard(`${this.studio.files}/${this.derived.id}`);
    this.derived = asset;
  }

  // What is seen of it; of each kind its own.
  async look() {}

  remove() {
    this.stopper?.abort();
    this.stopper = null;
    this.replace(null);
    this.asset = null;
    this.coming = null;
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
