// A job on its way: its stream tells of news, and the parts of the page that change are asked for. None while nobody looks.
const { news } = document.querySelector("[data-news]").dataset;
const asking = () => document.getElementById("asking"); // gone when the job has ended
const shown = new Map(); // what each part was last replaced by
let stream = null;
let held = false;
let over = false;

function listen() {
  if (document.hidden || !asking()) {
    stream?.close();
    stream = null;
  } else if (!stream) {
    stream = new EventSource(news);
    stream.addEventListener("message", () => { if (asking()) htmx.trigger(asking(), "news"); });
  }
}
document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => stream?.close());
listen();

// A part that is the same stays, with what is marked in it.
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  const { outerHTML } = fragment.firstElementChild;
  event.detail.shouldSwap = shown.get(target.id) !== outerHTML;
  shown.set(target.id, outerHTML);
  held ||= target.id === "stage" && target.contains(document.activeElement);
});

document.addEventListener("htmx:afterSettle", () => {
  if (over || asking()) return;
  over = true;
  listen();
  const stage = document.getElementById("stage");
  if (held) stage.focus(); // whoever was at Cancel would be nowhere
  const video = stage.querySelector("video[poster]");
  if (video) video.poster = video.poster; // Chromium loads none for a video that a fragment brought
});
