// One place to drop files. A file is judged at once by its name and size, then streams to the server, one after the
// other; the server reads it and judges its content. What arrived is told to the page, which then runs anew.

const REFUSED = {
  xls: "is an old Excel workbook; save it as .xlsx or CSV",
  xlsm: "is a workbook with macros; save it as .xlsx or CSV",
  xlsb: "is a binary workbook; save it as .xlsx or CSV",
  ods: "is an OpenDocument sheet; save it as .xlsx or CSV",
  numbers: "is a Numbers sheet; export it as .xlsx or CSV",
};
const NO_TABLES = "pdf doc docx ppt pptx rtf odt html htm xml png jpg jpeg gif tif tiff bmp svg mp4 mov exe dll msg eml";
for (const kind of NO_TABLES.split(" ")) REFUSED[kind] = "is no table; give CSV, Excel .xlsx, Parquet or JSON";
for (const kind of ["7z", "rar", "tar", "tgz", "bz2", "xz"]) REFUSED[kind] = "is packed in a way that is not read here; use .zip, .gz or .zst";

const zones = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  const zone = zones.get(parentElement) ?? begin(parentElement);
  zones.set(parentElement, zone);
  zone.data = data;
  zone.tell = (ids) => setTriggerValue("arrived", ids);
  dress(zone);
}

// The page may make its elements anew within the root at any time: so the root listens, and what is new is dressed.
function begin(root) {
  const zone = { root, queue: [], busy: false, files: root.querySelector(".files") };
  const within = (event) => event.target.closest?.(".zone");
  root.addEventListener("click", (event) => {
    if (event.target.closest?.(".choose")) root.querySelector("input").click();
  });
  root.addEventListener("change", () => chosen(zone));
  root.addEventListener("dragover", (event) => {
    if (!within(event)) return;
    event.preventDefault();
    within(event).classList.add("over");
  });
  root.addEventListener("dragleave", (event) => within(event)?.classList.remove("over"));
  root.addEventListener("drop", (event) => {
    if (!within(event)) return;
    event.preventDefault();
    within(event).classList.remove("over");
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const folders = items.filter((item) => item.webkitGetAsEntry?.()?.isDirectory).map((item) => item.webkitGetAsEntry().name);
    take(zone, [...event.dataTransfer.files], folders);
  });
  new MutationObserver(() => dress(zone)).observe(root, { childList: true });
  return zone;
}

function dress(zone) {
  const { root, data, files } = zone;
  const input = root.querySelector("input");
  if (!input) return;
  input.setAttribute("aria-label", data.label);
  root.querySelector(".choose").setAttribute("aria-label", `Choose files: ${data.label}`);
  root.querySelector(".what").textContent =
    `CSV, Excel, Parquet or JSON, also as .gz, .zst or .zip · several at once · up to ${size(data.limit)} each`;
  if (root.querySelector(".files") !== files) root.querySelector(".files").replaceWith(files);
  if (input.files.length) chosen(zone); // before this script was here
}

function chosen(zone) {
  const input = zone.root.querySelector("input");
  take(zone, [...input.files]);
  input.value = "";
}

function take(zone, files, folders = []) {
  zone.files.querySelectorAll(".wrong").forEach((line) => line.remove());
  for (const file of files) {
    const line = added(zone, file);
    const why = folders.includes(file.name) ? "is a folder; drop the files that are in it" : refusal(file, zone.data.limit);
    if (why) wrong(line, `${file.name} ${why}.`);
    else zone.queue.push({ file, line });
  }
  next(zone);
}

function refusal(file, limit) {
  const kind = file.name.includes(".") ? file.name.split(".").pop().toLowerCase() : "";
  if (file.size > limit) return `is ${size(file.size)}; ${size(limit)} are allowed: split it, or pack it as .gz or .zip`;
  if (file.size === 0) return "is empty";
  return REFUSED[kind];
}

function next(zone) {
  const job = zone.busy ? undefined : zone.queue.shift();
  if (!job) return;
  zone.busy = true;
  const { file, line } = job;
  const began = performance.now();
  const request = new XMLHttpRequest();
  const where = { name: file.name, reconciliation: zone.data.reconciliation, side: zone.data.side };
  request.open("POST", "/api/files/upload?" + new URLSearchParams(where));
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.addEventListener("progress", (event) => {
    const rate = event.loaded / Math.max(1, performance.now() - began);
    line.querySelector("progress").value = event.loaded / event.total;
    told(line, `${size(event.loaded)} of ${size(event.total)} · ${size(rate * 1000)}/s`);
  });
  request.upload.addEventListener("load", () => {
    line.querySelector("progress").removeAttribute("value");
    told(line, "Arrived; reading it");
    line.querySelector("button")?.remove();
  });
  request.addEventListener("loadend", () => {
    removeEventListener("beforeunload", warn);
    zone.busy = false;
    const answer = parsed(request.responseText);
    if (request.status === 201) {
      line.remove();
      zone.tell([answer.id]);
    } else if (request.status === 0 && line.dataset.stopped) {
      line.remove();
    } else {
      const why = request.status === 401 ? "Your session has ended. Sign in again and choose the file anew." : answer.detail;
      wrong(line, why ?? `${file.name} did not arrive: the connection was lost.`);
      button(line, "Try again", () => take(zone, [file]));
    }
    next(zone);
  });
  button(line, "Stop", () => {
    line.dataset.stopped = "yes";
    request.abort();
  });
  addEventListener("beforeunload", warn);
  request.send(file);
}

function added(zone, file) {
  const line = document.createElement("li");
  const parts = [["span", "name"], ["progress", ""], ["span", "told"]].map(([tag, kind]) => {
    const part = document.createElement(tag);
    if (kind) part.className = kind;
    return part;
  });
  parts[0].textContent = file.name;
  parts[1].value = 0;
  parts[1].setAttribute("aria-label", file.name);
  parts[2].textContent = `${size(file.size)} · waiting`;
  line.append(...parts);
  zone.files.append(line);
  return line;
}

function wrong(line, sentence) {
  line.className = "wrong";
  line.querySelector("progress")?.remove();
  line.querySelector("button")?.remove();
  line.querySelector(".name").textContent = "";
  line.querySelector(".told").setAttribute("role", "alert");
  told(line, sentence);
}

function told(line, sentence) {
  line.querySelector(".told").textContent = sentence;
}

function button(line, text, does) {
  line.querySelector("button")?.remove();
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", does);
  line.querySelector(".name").after(made);
}

function warn(event) {
  event.preventDefault();
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function size(bytes) {
  for (const [unit, factor] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (bytes >= factor) return `${(bytes / factor).toFixed(bytes >= 100 * factor ? 0 : 1)} ${unit}`;
  }
  return `${Math.round(bytes)} bytes`;
}
