// The documentation's comforts: search, and where one is on the page. Every page works without this file.

const box = document.querySelector(".search");
const field = document.getElementById("search");
const list = document.getElementById("found");
const many = document.getElementById("found-many");
const MOST = 12;

let index; // fetched when somebody first looks for something
function entries() {
  index ??= fetch(box.dataset.index).then((answer) => answer.json()).then((found) => found.entries);
  return index;
}

// How well an entry fits: every word must occur; a heading counts more than the text below it.
function score(entry, words) {
  const title = entry.title.toLowerCase();
  const heading = entry.heading.toLowerCase();
  const text = entry.text.toLowerCase();
  let sum = 0;
  for (const word of words) {
    const one = (heading === word ? 20 : 0) + (heading.includes(word) ? 8 : 0) + (title.includes(word) ? 4 : 0) + (text.includes(word) ? 1 : 0);
    if (!one) return 0;
    sum += one;
  }
  return sum;
}

function row(entry) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  const where = document.createElement("span");
  link.href = entry.address;
  link.textContent = entry.heading || entry.title;
  where.className = "where";
  where.textContent = entry.heading ? entry.title : entry.text.split(" ").slice(0, 12).join(" ");
  link.append(where);
  item.append(link);
  return item;
}

async function look() {
  const asked = field.value;
  const words = asked.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return close();
  let all;
  try {
    all = await entries();
  } catch {
    index = undefined; // the line was cut; the next letter tries again
    return;
  }
  if (field.value !== asked) return; // typed on while the index came
  const scored = all.map((entry) => [score(entry, words), entry]).filter(([points]) => points);
  scored.sort(([one], [other]) => other - one);
  list.replaceChildren(...scored.slice(0, MOST).map(([, entry]) => row(entry)));
  if (!scored.length) {
    const none = document.createElement("li");
    none.className = "none";
    none.textContent = "Nothing found.";
    list.append(none);
  }
  list.hidden = false;
  many.textContent = `${Math.min(scored.length, MOST)} found`;
}

function close() {
  list.hidden = true;
  many.textContent = "";
}

if (box) {
  field.addEventListener("focus", () => entries().catch(() => { index = undefined; }));
  field.addEventListener("input", look);
  document.addEventListener("click", (event) => { if (!box.contains(event.target)) close(); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      field.focus();
    }
  });
  box.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "Escape") {
      close();
      field.focus();
    } else if (event.key === "ArrowDown" && links.length) {
      event.preventDefault();
      links[Math.min(at + 1, links.length - 1)].focus();
    } else if (event.key === "ArrowUp" && at >= 0) {
      event.preventDefault();
      (links[at - 1] ?? field).focus();
    } else if (event.key === "Enter" && document.activeElement === field && links.length && !list.hidden) {
      links[0].click();
    }
  });
}

// On a telephone the contents close once one is chosen.
document.querySelector(".contents-menu")?.addEventListener("click", (event) => {
  if (event.target.closest("a")) event.currentTarget.open = false;
});

// The heading one reads is marked among the contents.
const marks = new Map([...document.querySelectorAll('.contents a[href^="#"]')].map((link) => [link.hash.slice(1), link]));
if (marks.size) {
  const headings = [...marks.keys()].map((anchor) => document.getElementById(anchor));
  const mark = () => {
    const passed = headings.filter((heading) => heading.getBoundingClientRect().top < 120);
    const now = passed.at(-1)?.id;
    for (const [anchor, link] of marks) {
      link.classList.toggle("now", anchor === now);
      if (anchor === now) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  document.addEventListener("scroll", mark, { passive: true });
  mark();
}
