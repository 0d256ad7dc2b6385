// Plays finished clips one after the other while later ones are still being made, with the voice beside them (clips are
// silent), then goes on in the whole film from the same moment.

export class Reel {
  constructor(video, address, tell) {
    this.video = video;
    this.address = address;
    this.tell = tell;
    this.voice = null;
    this.count = 0;
    this.index = 0;
    this.starts = [0];
    this.playing = false;
    this.shown = false;
    this.over = false;
    video.addEventListener("ended", () => this.next(video.duration));
    video.addEventListener("error", () => this.failed());
  }

  get seconds() { return this.over ? this.video.currentTime : this.starts[this.index] + this.video.currentTime; }

  hear(voice) {
    this.voice = new Audio(voice);
    this.voice.preload = "auto";
  }

  ready(count) {
    const waited = this.shown && this.index >= this.count && count > this.count;
    this.count = count;
    if (waited) this.load();
  }

  show() {
    this.shown = true;
    this.video.hidden = false;
    this.video.muted = true;
    this.load();
  }

  load() {
    this.tell("");
    this.video.src = this.address(this.index);
    if (this.playing) this.play();
  }

  toggle() {
    this.playing = !this.playing;
    if (this.playing) this.play();
    else {
      this.video.pause();
      this.voice?.pause();
    }
    return this.playing;
  }

  play() {
    if (this.index >= this.count) return;
    this.video.play().catch(() => {});
    if (!this.voice) return;
    this.voice.currentTime = this.starts[this.index];
    this.voice.play().catch(() => {});
  }

  next(seconds) {
    if (this.over) return;
    this.starts[this.index + 1] = this.starts[this.index] + seconds;
    this.index += 1;
    if (this.index < this.count) this.load();
    else {
      this.voice?.pause();
      this.tell("The next clip is being made…");
    }
  }

  // A clip that does not come is passed over, as if it were as long as the one before. Of the whole film it is said.
  failed() {
    if (!this.video.hasAttribute("src")) return;
    if (this.over) this.tell("The video could not be loaded. Download it, or reload the page.");
    else this.next(this.index ? this.starts[this.index] - this.starts[this.index - 1] : 0);
  }

  whole(url, poster) {
    const { playing } = this;
    const at = playing ? this.seconds : 0;
    this.over = true;
    this.voice?.pause();
    this.tell("");
    if (poster) this.video.poster = poster;
    this.video.hidden = false;
    this.video.muted = false;
    this.video.controls = true;
    this.video.src = url;
    if (!playing) return;
    this.video.addEventListener("loadedmetadata", () => {
      this.video.currentTime = Math.min(at, this.video.duration);
      this.video.play().catch(() => {});
    }, { once: true });
  }

  stop() {
    this.over = true;
    this.voice?.pause();
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
    this.video.hidden = true;
    this.tell("");
  }
}
