// The picture: shown, looked at by the detector, cropped. The crop is cut out here and uploaded as a picture of its own,
// so that what is shown, what is looked at and what is filmed are one and the same.
import { Problem, bytes, post } from "./calls.js";
import { Slot } from "./slot.js";

const STEP = 0.02;
const LEAST = 0.1;
const WHOLE = { x: 0, y: 0, w: 1, h: 1 };
const near = (one, other) => Math.abs(one - other) < 0.005;

export class Picture extends Slot {
  constructor(element, studio) {
    super(element, studio);
    this.box = { ...WHOLE };
    this.verdict = null;
    this.looks = 0;
    this.listenCrop();
  }

  async look(file, asset, stopper) {
    if (asset.kind !== "image") throw new Problem({ message: "This is not a picture.", next: "Choose a JPEG, PNG or WebP." });
    const blob = file || await bytes(`${this.studio.files}/${asset.id}`, stopper.signal);
    const image = this.part("picture");
    this.original = asset;
    this.box = { ...WHOLE };
    this.cropping(false);
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(blob);
    image.src = this.url;
    const cuttable = await image.decode().then(() => true, () => false);
    stopper.signal.throwIfAborted();
    this.button("crop").hidden = !cuttable;
    if (!cuttable) image.src = asset.url; // a kind of picture that this browser cannot cut
    this.judge();
  }

  // --- the detector ---

  // `shape`: of the shot that the options ask for, where the model wants boxes.
  async judge() {
    this.verdict = null;
    this.part("face").hidden = true;
    const line = this.part("verdict");
    line.className = "small soft";
    line.textContent = "";
    if (!this.asset || !this.studio.detector) return;
    line.textContent = "Looking at the picture…";
    const look = ++this.looks;
    const asset = this.asset;
    try {
      const said = await post(`${this.studio.base}/verdict`, { image: asset.id, ratio: this.studio.shape() });
      if (look !== this.looks) return;
      this.verdict = said;
      line.className = `small ${said.fit ? "fit" : "unfit"}`;
      line.textContent = said.fit ? "One face, clearly seen" : said.message;
      if (said.fit && said.face) this.showFace(said.face, asset);
    } catch (problem) {
      if (look !== this.looks) return;
      line.textContent = "The picture could not be looked at; you can go on without.";
    }
    this.dispatchEvent(new Event("verdict"));
  }

  showFace([left, top, right, bottom], asset) {
    const face = this.part("face");
    const { x, y, w, h } = this.box;
    face.style.left = `${100 * (x + w * left / asset.width)}%`;
    face.style.top = `${100 * (y + h * top / asset.height)}%`;
    face.style.width = `${100 * w * (right - left) / asset.width}%`;
    face.style.height = `${100 * h * (bottom - top) / asset.height}%`;
    face.hidden = false;
  }

  // --- the crop ---

  listenCrop() {
    const crop = this.part("crop");
    this.button("crop").addEventListener("click", () => {
      const on = this.button("crop").getAttribute("aria-pressed") !== "true";
      if (on && near(this.box.w, 1) && near(this.box.h, 1)) this.box = { x: 0.05, y: 0.05, w: 0.9, h: 0.9 };
      this.cropping(on);
      if (on) crop.focus();
      else this.box = { ...WHOLE };
      this.cut();
    });
    crop.addEventListener("keydown", (event) => this.keyed(event));
    crop.addEventListener("keyup", (event) => { if (event.key.startsWith("Arrow")) this.later(); });
    crop.addEventListener("pointerdown", (event) => this.dragged(event));
  }

  cropping(on) {
    this.button("crop").setAttribute("aria-pressed", String(on));
    this.button("crop").textContent = on ? "Undo the crop" : "Crop";
    this.part("crop").hidden = !on;
    this.draw();
  }

  draw() {
    const crop = this.part("crop");
    crop.style.left = `${this.box.x * 100}%`;
    crop.style.top = `${this.box.y * 100}%`;
    crop.style.width = `${this.box.w * 100}%`;
    crop.style.height = `${this.box.h * 100}%`;
  }

  set(x, y, w, h) {
    const wide = Math.min(1, Math.max(LEAST, w));
    const high = Math.min(1, Math.max(LEAST, h));
    this.box = { w: wide, h: high, x: Math.min(1 - wide, Math.max(0, x)), y: Math.min(1 - high, Math.max(0, y)) };
    this.part("face").hidden = true;
    this.draw();
  }

  keyed(event) {
    const ways = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    const { x, y, w, h } = this.box;
    if (event.shiftKey) this.set(x, y, w + way[0], h + way[1]);
    else this.set(x + way[0], y + way[1], w, h);
  }

  dragged(event) {
    event.preventDefault();
    const crop = this.part("crop");
    const edge = event.target.dataset.edge || "";
    const area = this.part("picture").getBoundingClientRect();
    const { x, y, w, h } = this.box;
    crop.focus();
    crop.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const right = (moved.clientX - event.clientX) / area.width;
      const down = (moved.clientY - event.clientY) / area.height;
      if (!edge) this.set(x + right, y + down, w, h);
      else {
        const west = edge.includes("w") ? Math.min(x + w - LEAST, Math.max(0, x + right)) : x;
        const north = edge.includes("n") ? Math.min(y + h - LEAST, Math.max(0, y + down)) : y;
        const east = edge.includes("e") ? Math.min(1, x + w + right) : x + w;
        const south = edge.includes("s") ? Math.min(1, y + h + down) : y + h;
        this.set(west, north, east - west, south - north);
      }
    };
    const end = () => {
      crop.removeEventListener("pointermove", move);
      this.later();
    };
    crop.addEventListener("pointermove", move);
    crop.addEventListener("pointerup", end, { once: true });
    crop.addEventListener("pointercancel", end, { once: true });
  }

  // A moment after the last move.
  later() {
    clearTimeout(this.timer);
    this.pending = true;
    this.changed();
    this.timer = setTimeout(() => this.cut(), 500);
  }

  get busy() { return super.busy || Boolean(this.pending); }

  async cut() {
    clearTimeout(this.timer);
    this.pending = false;
    const { x, y, w, h } = this.box;
    this.fail(null);
    const stopper = this.begin();
    try {
      if (near(w, 1) && near(h, 1)) {
        this.asset = this.original;
        this.replace(null);
      } else this.asset = await this.sendPart(await cutOut(this.part("picture"), x, y, w, h), "crop.jpg", stopper);
    } catch (problem) {
      if (this.stopper !== stopper) return;
      if (problem.name !== "AbortError") this.fail(problem);
    }
    this.end(stopper);
    this.changed();
    this.judge();
  }

  remove() {
    clearTimeout(this.timer);
    this.pending = false;
    this.looks += 1;
    this.part("verdict").textContent = "";
    this.button("crop").hidden = true;
    this.cropping(false);
    super.remove();
  }
}

function cutOut(image, x, y, w, h) {
  const canvas = document.createElement("canvas");
  const [wide, high] = [image.naturalWidth, image.naturalHeight];
  canvas.width = Math.max(1, Math.round(w * wide));
  canvas.height = Math.max(1, Math.round(h * high));
  canvas.getContext("2d").drawImage(image, x * wide, y * high, w * wide, h * high, 0, 0, canvas.width, canvas.height);
  return new Promise((done, failed) => {
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Problem({ message: "The picture could not be cut." }))), "image/jpeg", 0.95);
  });
}
