// What was spent by day, drawn by Chart.js (it comes with django-unfold). The table below has the same figures.
const canvas = document.getElementById("by-day-chart");
const days = canvas.dataset.days.split(" ").map((day) => {
  const [name, micros, jobs, seconds] = day.split("/");
  return { at: new Date(`${name}T00:00:00Z`), usd: micros / 1e6, jobs: Number(jobs), seconds: Number(seconds) };
});
const written = (options) => new Intl.DateTimeFormat(undefined, { ...options, timeZone: "UTC" });
const short = written({ day: "numeric", month: "short" });
const long = written({ day: "numeric", month: "long", year: "numeric" });
const usd = (value) => `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: value < 0.01 ? 6 : 2 })}`;
const many = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

const chart = new Chart(canvas, {
  type: "bar",
  data: {
    labels: days.map((day) => short.format(day.at)),
    datasets: [{ data: days.map((day) => day.usd), borderRadius: 3, maxBarThickness: 48 }],
  },
  options: {
    animation: false,
    maintainAspectRatio: false,
    interaction: { mode: "index", intersect: false },
    scales: {
      x: { grid: { display: false }, ticks: { maxRotation: 0, autoSkipPadding: 16 } },
      y: { beginAtZero: true, border: { display: false }, ticks: { maxTicksLimit: 6, callback: usd } },
    },
    plugins: {
      legend: { display: false },
      tooltip: {
        displayColors: false,
        callbacks: {
          title: ([item]) => long.format(days[item.dataIndex].at),
          label: ({ dataIndex }) => {
            const day = days[dataIndex];
            return `${usd(day.usd)} · ${many(day.jobs, "job")}${day.seconds ? ` · ${day.seconds} s` : ""}`;
          },
        },
      },
    },
  },
});

function coloured() {
  const style = getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(`--${name}`).trim();
  const [bars] = chart.data.datasets;
  const { scales: { x, y }, plugins: { tooltip } } = chart.options;
  bars.backgroundColor = token("accent");
  bars.hoverBackgroundColor = token("accent-hover");
  x.ticks.color = y.ticks.color = token("ink-soft");
  x.border.color = token("line-strong");
  y.grid.color = token("line");
  tooltip.backgroundColor = token("ink");
  tooltip.titleColor = tooltip.bodyColor = token("surface");
  const font = getComputedStyle(document.body);
  chart.options.font = { family: font.fontFamily, size: 13 };
  chart.update();
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", coloured);
coloured();
