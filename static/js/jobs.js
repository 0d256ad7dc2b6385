// The table of jobs: a stream tells when something has changed, and the rows ask for themselves. None while nobody looks.
const { news } = document.querySelector("[data-news]").dataset;
let stream = null;

function listen() {
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else if (!stream) {
    stream = new EventSource(news);
    stream.addEventListener("message", () => htmx.trigger("#rows", "news"));
  }
}
document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => stream?.close());
listen();

document.addEventListener("htmx:configRequest", (event) => {
  const { verb, parameters } = event.detail;
  if (verb !== "get") return;
  for (const [name, value] of Object.entries(parameters)) if (value === "") delete parameters[name];
});
