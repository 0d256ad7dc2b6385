// The status page looks again by itself. A page that reloads would throw a reader back to its top.

const PAUSE_MS = 30_000;

async function renew() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.pathname);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("main").replaceChildren(...fresh.getElementById("main").childNodes);
  } catch {
    // the line is cut; the next look may get through
  }
}

setInterval(renew, PAUSE_MS);
