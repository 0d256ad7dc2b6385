// The voice: its wave, trimmed by two sliders, heard, recorded. What is trimmed or recorded goes up as WAV.
import { Problem, bytes, clock } from "./calls.js";
import { Slot } from "./slot.js";
import { decode, peaks, wav } from "./wav.js";

const SHORTEST = 0.2;
const PAUSE_MS = 400;

export class Voice extends Slot {
  constructor(element, studio) {
    super(element, studio);
    this.sound = null;
    this.player = new Audio();
    this.button("listen").addEventListener("click", () => this.hear());
    this.player.addEventListener("pause", () => { this.button("listen").textContent = "Listen"; });
    this.player.addEventListener("timeupdate", () => { if (this.player.currentTime >= this.to) this.player.pause(); });
    for (const name of ["from", "to"]) {
      this.part(name).addEventListener("input", () => this.slid(name));
      this.part(name).addEventListener("change", () => this.later());
    }
    this.button("record").addEventListener("click", () => this.record());
    this.button("finish").addEventListener("click", () => this.recorder?.stop());
    this.button("discard").addEventListener("click", () => {
      this.discarded = true;
      this.recorder?.stop();
    });
  }

  get from() { return Number(this.part("from").value); }

  get to() { return Number(this.part("to").value); }

  async look(file, asset, stopper) {
    if (asset.kind !== "audio" && asset.kind !== "video") throw new Problem({ message: "This is not a recording.", next: "Choose a WAV, MP3, M4A or the like." });
    const blob = file || await bytes(`${this.studio.files}/${asset.id}`, stopper.signal);
    const sound = await decode(blob).catch(() => null); // a kind of sound that this browser cannot read: used as it is
    stopper.signal.throwIfAborted();
    this.sound = sound;
    this.original = asset;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(blob);
    this.player.src = this.url;
    const seconds = this.sound ? this.sound.duration : asset.duration_ms / 1000;
    const whole = Math.min(seconds, this.maxSeconds);
    for (const name of ["from", "to"]) {
      this.part(name).max = seconds.toFixed(2);
      this.part(name).disabled = !this.sound;
    }
    this.part("from").value = 0;
    this.part("to").value = seconds;
    if (this.sound && whole < seconds) this.part("to").value = Math.floor(whole * 10) / 10;
    this.draw();
    if (this.sound && (whole < seconds || asset.kind === "video")) {
      await this.cut(stopper);
      if (whole < seconds) this.part("note").textContent = `Only ${clock(this.maxSeconds)} fit: move the beginning to choose which.`;
    }
  }

  show(state) {
    super.show(state);
    if (state === "filled") this.draw();
  }

  slid(name) {
    const other = name === "from" ? this.to : this.from;
    const field = this.part(name);
    if (name === "from" && this.from > other - SHORTEST) field.value = other - SHORTEST;
    if (name === "to" && this.to < other + SHORTEST) field.value = other + SHORTEST;
    if (this.to - this.from > this.maxSeconds) this.part(name === "from" ? "to" : "from").value = name === "from" ? this.from + this.maxSeconds : this.to - this.maxSeconds;
    this.player.pause();
    this.draw();
  }

  // A moment after the last move.
  later() {
    clearTimeout(this.timer);
    this.pending = true;
    this.changed();
    this.timer = setTimeout(() => this.trim(), PAUSE_MS);
  }

  get busy() { return super.busy || Boolean(this.pending); }

  get trimmed() { return this.sound && (this.from > 0.05 || this.to < this.sound.duration - 0.05); }

  // The sound is as the sliders say. It stays in view while it goes up.
  async trim() {
    this.pending = false;
    this.fail(null);
    const stopper = this.begin();
    try {
      if (this.trimmed) await this.cut(stopper);
      else {
        this.asset = this.original;
        this.replace(null);
      }
    } catch (problem) {
      if (this.stopper !== stopper) return;
      this.asset = null;
      if (problem.name !== "AbortError") this.fail(problem);
    }
    this.end(stopper);
    this.changed();
  }

  async cut(stopper) {
    this.show("filled");
    this.asset = await this.sendPart(wav(this.sound, this.from, this.to), "voice.wav", stopper);
  }

  // The first seconds alone, for a preview; as it is where it is no longer. Asked for again, it is there.
  async beginning(seconds) {
    if (!this.sound || this.to - this.from <= seconds) return this.asset;
    if (this.begun?.of !== this.asset) {
      const blob = wav(this.sound, this.from, this.from + seconds);
      this.begun = { of: this.asset, file: await this.send(blob, "beginning.wav", new AbortController()) };
    }
    return this.begun.file;
  }

  hear() {
    if (!this.player.paused) {
      this.player.pause();
      return;
    }
    this.player.currentTime = this.from;
    this.player.play();
    this.button("listen").textContent = "Stop";
  }

  draw() {
    const canvas = this.part("wave");
    const pen = canvas.getContext("2d");
    if (canvas.clientWidth) { // in the screen's own pixels
      canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
      canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
    }
    const columns = Math.max(40, Math.round(canvas.width / (4 * devicePixelRatio)));
    pen.clearRect(0, 0, canvas.width, canvas.height);
    this.part("length").textContent = `${(this.to - this.from).toFixed(1)} s`;
    this.part("from").setAttribute("aria-valuetext", `${this.from.toFixed(1)} seconds`);
    this.part("to").setAttribute("aria-valuetext", `${this.to.toFixed(1)} seconds`);
    if (!this.sound) return;
    const heights = peaks(this.sound, columns);
    const wide = canvas.width / columns;
    pen.fillStyle = getComputedStyle(canvas).color;
    heights.forEach((height, column) => {
      const at = (column + 0.5) * this.sound.duration / columns;
      pen.globalAlpha = at >= this.from && at <= this.to ? 1 : 0.22;
      const tall = Math.max(2, height * (canvas.height - 8));
      pen.fillRect(column * wide + 0.5, (canvas.height - tall) / 2, wide * 0.6, tall);
    });
  }

  // --- recording ---

  async record() {
    this.fail(null);
    let stream = null;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      this.recordFrom(stream);
    } catch {
      for (const track of stream?.getTracks() || []) track.stop();
      this.fail(new Problem({ message: "The microphone cannot be used.", next: "Allow it for this page in your browser, or choose a file." }));
    }
  }

  recordFrom(stream) {
    const pieces = [];
    const recorder = new MediaRecorder(stream);
    recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
    recorder.addEventListener("stop", async () => {
      clearInterval(tick);
      for (const track of stream.getTracks()) track.stop();
      if (this.discarded) {
        this.show("empty");
        return;
      }
      await this.recorded(new Blob(pieces, { type: recorder.mimeType }));
    });
    recorder.start();
    const began = performance.now();
    const tick = setInterval(() => {
      const seconds = (performance.now() - began) / 1000;
      this.part("clock").textContent = clock(seconds);
      if (seconds >= this.maxSeconds) recorder.stop();
    }, 200);
    this.discarded = false;
    this.recorder = recorder;
    this.show("recording");
    this.button("finish").focus();
  }

  // Browsers record in forms without a length in them; WAV says how long it is.
  async recorded(blob) {
    try {
      const sound = await decode(blob);
      await this.take(new File([wav(sound, 0, sound.duration)], "recording.wav", { type: "audio/wav" }));
    } catch {
      this.show("empty");
      this.fail(new Problem({ message: "Nothing was recorded.", next: "Try again, or choose a file." }));
    }
  }

  remove() {
    clearTimeout(this.timer);
    this.pending = false;
    this.player.pause();
    this.part("note").textContent = "";
    super.remove();
  }
}
