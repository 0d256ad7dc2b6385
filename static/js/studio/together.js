// Finished variants side by side: one button and one slider for all of them. Only the first is heard.

export class Together {
  constructor(bar) {
    this.bar = bar;
    this.videos = [];
    this.button = bar.querySelector('[data-do="together"]');
    this.slider = bar.querySelector("input");
    this.button.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
  }

  // The videos that can be compared now.
  of(videos) {
    this.videos = videos;
    this.bar.hidden = videos.length < 2;
    if (this.bar.hidden) return;
    const [first] = videos;
    videos.forEach((video) => { video.muted = video !== first; });
    const length = () => { this.slider.max = first.duration || 1; };
    if (first.readyState) length();
    first.addEventListener("loadedmetadata", length);
    first.ontimeupdate = () => {
      if (document.activeElement !== this.slider) this.slider.value = first.currentTime;
      if (!first.paused) this.align();
    };
    first.onended = () => { this.button.textContent = "Play all"; };
    first.onpause = () => { this.button.textContent = "Play all"; };
  }

  toggle() {
    const start = this.videos[0].paused;
    const at = this.videos[0].ended ? 0 : this.videos[0].currentTime;
    for (const video of this.videos) {
      if (start) {
        video.currentTime = at;
        video.play().catch(() => {});
      } else video.pause();
    }
    this.button.textContent = start ? "Pause all" : "Play all";
  }

  seek(seconds) {
    for (const video of this.videos) video.currentTime = Math.min(seconds, video.duration || seconds);
  }

  align() {
    const [first, ...others] = this.videos;
    for (const video of others) if (Math.abs(video.currentTime - first.currentTime) > 0.15) video.currentTime = first.currentTime;
  }
}
