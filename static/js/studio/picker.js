// The files that are here already, by pages.
import { get, showProblem } from "./calls.js";

export class Picker {
  constructor(studio) {
    this.studio = studio;
    this.looks = 0;
    this.dialog = document.getElementById("picker");
    this.part = (name) => this.dialog.querySelector(`[data-part="${name}"]`);
    this.dialog.querySelector('[data-do="close"]').addEventListener("click", () => this.dialog.close());
    this.more = this.dialog.querySelector('[data-do="more"]');
    this.more.addEventListener("click", () => this.load());
  }

  open(slot) {
    this.slot = slot;
    this.next = null;
    this.part("files").replaceChildren();
    this.part("none").hidden = true;
    this.dialog.showModal();
    this.load();
  }

  async load() {
    const error = this.dialog.querySelector("[data-error]");
    const look = ++this.looks;
    showProblem(error, null);
    this.more.hidden = true;
    this.part("loading").hidden = false;
    try {
      const page = await get(`${this.studio.files}?kind=${this.slot.kind}${this.next ? `&before=${this.next}` : ""}`);
      if (look !== this.looks) return;
      for (const file of page.files) this.part("files").append(this.entry(file));
      this.next = page.next;
      this.more.hidden = !page.next;
      this.part("none").hidden = this.part("files").childElementCount > 0;
    } catch (problem) {
      if (look !== this.looks) return;
      showProblem(error, problem);
      this.more.hidden = false;
    }
    this.part("loading").hidden = true;
  }

  entry(file) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    if (file.kind === "image") {
      const image = document.createElement("img");
      image.src = file.url;
      image.alt = "";
      image.loading = "lazy";
      button.append(image);
    } else if (file.kind === "video") {
      const video = document.createElement("video");
      video.src = file.url;
      video.preload = "metadata";
      video.muted = true;
      button.append(video);
    }
    const name = document.createElement("span");
    name.textContent = file.duration_ms ? `${file.name}, ${(file.duration_ms / 1000).toFixed(1)} s` : file.name;
    button.append(name);
    button.addEventListener("click", () => {
      this.dialog.close();
      this.slot.takeAsset(file);
    });
    item.append(button);
    return item;
  }
}
