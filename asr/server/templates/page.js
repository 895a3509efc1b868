"use strict";
const $ = (id) => document.getElementById(id);
// What is shown is at this rate: its spectrogram ends at 8 kHz.
const SHOWN_RATE = 16000;
const FFT_SIZE = 512;
const MAX_STRIP = 16000;
const shown = { samples: null, answer: null, name: "speech", words: [] };
let abort = null;

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

// ---- asking the server

function headers() {
  const token = $("token")?.value.trim();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function transcribe(file, name) {
  abort?.abort();
  abort = new AbortController();
  const signal = abort.signal;
  stopSound();
  if (file.size > SERVER.maxBytes) return say(`${name} is larger than this server takes`, true);
  say("Transcribing …");
  const form = new FormData();
  form.append("file", file, "audio");
  form.append("model", SERVER.model);
  form.append("response_format", "verbose_json");
  form.append("timestamp_granularities[]", "word");
  for (const what of ["alternatives", "srt", "vtt"]) form.append("include[]", what);
  if ($("prompt").value.trim()) form.append("prompt", $("prompt").value);
  if ($("lm")) form.append("lm", String($("lm").checked));
  try {
    const [answer, samples] = await Promise.all([ask(form, signal), decode(file)]);
    if (!signal.aborted) show(answer, samples, name);
  } catch (error) {
    if (!signal.aborted) say(error.message, true);
  }
}

async function ask(form, signal) {
  let response;
  try {
    response = await fetch("/v1/audio/transcriptions", { method: "POST", body: form, headers: headers(), signal });
  } catch (error) {
    throw new Error("The server cannot be reached");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error?.message ?? `The server answered ${response.status}`);
  return answer;
}

async function decode(file) {
  try {
    const context = new OfflineAudioContext(1, 1, SHOWN_RATE);
    const audio = await context.decodeAudioData(await file.arrayBuffer());
    const mono = audio.getChannelData(0).slice();
    for (let c = 1; c < audio.numberOfChannels; c++) {
      const other = audio.getChannelData(c);
      for (let i = 0; i < mono.length; i++) mono[i] += other[i];
    }
    return mono.map((value) => value / audio.numberOfChannels);
  } catch {
    return null; // a format that the server knows and this browser does not
  }
}

// ---- words

function show(answer, samples, name) {
  Object.assign(shown, { answer, samples, name, words: answer.words ?? [] });
  $("live").hidden = true;
  $("result").hidden = false;
  const unheard = samples ? "" : "; this browser cannot play it";
  say(`${answer.duration.toFixed(1)} s of audio, ${shown.words.length} words${unheard}`);
  $("about").textContent = shown.words.length ? "" : "No words were recognised.";
  $("words").replaceChildren(...shown.words.flatMap((word, i) => [wordButton(word, i), " "]));
  $("play").disabled = !samples;
  drawStrip();
}

function wordButton(word, i) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = word.word;
  button.tabIndex = i ? -1 : 0;
  button.style.setProperty("--doubt", (1 - word.confidence).toFixed(3));
  button.classList.toggle("unsure", word.confidence < 0.5);
  button.title = describe(word);
  button.addEventListener("mouseenter", () => ($("about").textContent = describe(word)));
  button.addEventListener("focus", () => ($("about").textContent = describe(word)));
  button.addEventListener("click", () => { focusWord(i); playWord(i); });
  return button;
}

function describe(word) {
  const others = (word.alternatives ?? []).filter((other) => other.word !== word.word && other.probability >= 0.005);
  const listed = others.map((other) => `${other.word || "nothing"} ${Math.round(100 * other.probability)} %`);
  const sure = `“${word.word}” at ${word.start.toFixed(2)} s, confidence ${Math.round(100 * word.confidence)} %`;
  return listed.length ? `${sure}; or ${listed.join(", ")}` : sure;
}

function focusWord(i) {
  const buttons = [...$("words").children];
  if (!buttons[i]) return;
  for (const button of buttons) button.tabIndex = -1;
  buttons[i].tabIndex = 0;
  buttons[i].focus();
}

$("words").addEventListener("keydown", (event) => {
  const at = [...$("words").children].indexOf(document.activeElement);
  const steps = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: shown.words.length - 1 };
  if (at < 0 || !(event.key in steps)) return;
  event.preventDefault();
  focusWord(Math.max(0, Math.min(shown.words.length - 1, steps[event.key])));
});

// The model writes a word after it was said: what is shown and played begins before.
function span(i) {
  const stop = (k) => {
    const after = shown.words[k + 1]?.start ?? shown.answer.duration;
    return shown.words[k].end + Math.min(0.15, Math.max(0, after - shown.words[k].end) / 2);
  };
  return [Math.max(i ? stop(i - 1) : 0, shown.words[i].start - 0.35), stop(i)];
}

// ---- sound

let context = null, source = null, clock = null;

function play(from, to) {
  stopSound();
  if (!shown.samples || to <= from) return;
  context ??= new AudioContext();
  context.resume();
  const buffer = context.createBuffer(1, shown.samples.length, SHOWN_RATE);
  buffer.copyToChannel(shown.samples, 0);
  source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(context.destination);
  const begun = context.currentTime, mine = source;
  source.onended = () => { if (source === mine) stopSound(); };
  source.start(0, from, to - from);
  $("play").textContent = "Stop";
  $("head").hidden = false;
  const follow = () => {
    const at = Math.min(to, from + context.currentTime - begun);
    $("head").style.left = `${(100 * at) / shown.answer.duration}%`;
    mark(shown.words.findIndex((_, i) => { const [a, b] = span(i); return a <= at && at < b; }));
    clock = requestAnimationFrame(follow);
  };
  follow();
}

function playWord(i) { play(...span(i)); }

function stopSound() {
  if (clock) cancelAnimationFrame(clock);
  const old = source;
  source = clock = null;
  old?.stop();
  $("play").textContent = "Play";
  $("head").hidden = true;
  mark(-1);
}

function mark(i) {
  for (const place of ["words", "boxes"]) {
    [...$(place).children].forEach((button, k) => button.classList.toggle("now", k === i));
  }
  const box = $("boxes").children[i], view = $("timeline");
  if (!box) return;
  const [left, right] = [box.offsetLeft, box.offsetLeft + box.offsetWidth];
  if (left < view.scrollLeft || right > view.scrollLeft + view.clientWidth) view.scrollLeft = left - 40;
}

$("play").addEventListener("click", () => (source ? stopSound() : play(0, shown.answer.duration)));
$("strip").addEventListener("click", (event) => {
  if (event.target.closest("button")) return;
  const box = $("strip").getBoundingClientRect();
  play(((event.clientX - box.left) / box.width) * shown.answer.duration, shown.answer.duration);
});

// ---- the time line

function drawStrip() {
  const duration = shown.answer.duration;
  const width = Math.max($("timeline").clientWidth - 8, Math.min(MAX_STRIP, duration * 170));
  $("strip").style.width = `${width}px`;
  for (const id of ["wave", "spectrogram"]) $(id).hidden = !shown.samples;
  if (shown.samples) {
    drawWave(width);
    drawSpectrogram(width);
  }
  const place = (element, from, to) => {
    element.style.left = `${(100 * from) / duration}%`;
    if (to !== undefined) element.style.width = `${(100 * (to - from)) / duration}%`;
    return element;
  };
  $("boxes").replaceChildren(...shown.words.map((word, i) => {
    const box = document.createElement("button");
    box.type = "button";
    box.tabIndex = -1;
    box.textContent = word.word;
    box.title = describe(word);
    box.addEventListener("click", () => { focusWord(i); playWord(i); });
    return place(box, ...span(i));
  }));
  const step = [1, 2, 5, 10, 30, 60, 300].find((s) => (s * width) / duration >= 60) ?? 600;
  const ticks = Array.from({ length: Math.ceil(duration / step) }, (_, k) => {
    const tick = document.createElement("span");
    tick.textContent = `${k * step} s`;
    return place(tick, k * step);
  });
  $("axis").replaceChildren(...ticks);
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function drawWave(width) {
  const canvas = $("wave"), pen = canvas.getContext("2d"), samples = shown.samples;
  canvas.width = width;
  pen.fillStyle = colour("--first");
  const peak = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-4);
  const half = canvas.height / 2;
  for (let x = 0; x < width; x++) {
    let low = 0, high = 0;
    const end = Math.floor(((x + 1) * samples.length) / width);
    for (let i = Math.floor((x * samples.length) / width); i < end; i++) {
      low = Math.min(low, samples[i]);
      high = Math.max(high, samples[i]);
    }
    pen.fillRect(x, half - (half * high) / peak, 1, Math.max(1, (half * (high - low)) / peak));
  }
}

function drawSpectrogram(width) {
  const columns = Math.min(4096, Math.round(width)), rows = 128;
  const levels = new Float32Array(columns * rows);
  const window = Float32Array.from({ length: FFT_SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FFT_SIZE));
  let top = -Infinity;
  for (let x = 0; x < columns; x++) {
    const first = Math.round((x * shown.samples.length) / columns) - FFT_SIZE / 2;
    const power = powers(window.map((weight, i) => weight * (shown.samples[first + i] ?? 0)));
    for (let y = 0; y < rows; y++) {
      const level = Math.log10(Math.max(power[2 * y], power[2 * y + 1]) + 1e-12);
      levels[x * rows + y] = level;
      top = Math.max(top, level);
    }
  }
  const canvas = $("spectrogram"), pen = canvas.getContext("2d");
  canvas.width = columns;
  const image = pen.createImageData(columns, rows);
  const [ink, paper] = [rgb(colour("--first")), rgb(colour("--card"))];
  for (let x = 0; x < columns; x++) {
    for (let y = 0; y < rows; y++) {
      const share = Math.max(0, 1 - (top - levels[x * rows + y]) / 6); // 60 dB
      const at = 4 * ((rows - 1 - y) * columns + x);
      for (let c = 0; c < 3; c++) image.data[at + c] = paper[c] + share * (ink[c] - paper[c]);
      image.data[at + 3] = 255;
    }
  }
  pen.putImageData(image, 0, 0);
}

function rgb(hex) { return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)); }

// Powers of a real signal's frequencies: radix-2, in place, decimation in time.
function powers(real) {
  const size = real.length, imaginary = new Float32Array(size);
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j]] = [real[j], real[i]];
  }
  for (let length = 2; length <= size; length <<= 1) {
    for (let k = 0; k < length / 2; k++) {
      const angle = (-2 * Math.PI * k) / length, c = Math.cos(angle), s = Math.sin(angle);
      for (let i = k; i < size; i += length) {
        const j = i + length / 2;
        const re = real[j] * c - imaginary[j] * s, im = real[j] * s + imaginary[j] * c;
        real[j] = real[i] - re; imaginary[j] = imaginary[i] - im;
        real[i] += re; imaginary[i] += im;
      }
    }
  }
  return real.map((re, i) => re * re + imaginary[i] * imaginary[i]);
}

// ---- recording

let recorder = null;

async function startRecording() {
  if (!navigator.mediaDevices) return say("Browsers record on https or localhost alone; a file can be chosen", true);
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false } });
  } catch {
    return say("No microphone, or it is not allowed here", true);
  }
  stopSound();
  const audio = new AudioContext();
  await audio.audioWorklet.addModule("/capture.js");
  const node = new AudioWorkletNode(audio, "capture", { numberOfOutputs: 0 });
  recorder = { stream, audio, node, pieces: [], length: 0, rate: audio.sampleRate };
  recorder.live = SERVER.streams ? openLive(audio.sampleRate) : null;
  node.port.onmessage = ({ data }) => (data ? keep(data) : finishRecording());
  audio.createMediaStreamSource(stream).connect(node);
  $("record").textContent = "Stop";
  $("record").ariaPressed = "true";
  $("level").hidden = false;
  $("level").width = $("level").clientWidth;
}

function keep(piece) {
  recorder.pieces.push(piece);
  recorder.live?.push(piece);
  recorder.length += piece.length;
  drawLevel(Math.max(...piece.map(Math.abs)));
  const seconds = recorder.length / recorder.rate;
  say(`Recording, ${seconds.toFixed(1)} s`);
  if (seconds >= SERVER.maxSeconds - 1) stopRecording();
}

function drawLevel(peak) {
  const canvas = $("level"), pen = canvas.getContext("2d"), step = 4;
  pen.globalCompositeOperation = "copy"; // what was there does not stay beneath
  pen.drawImage(canvas, -step, 0);
  pen.globalCompositeOperation = "source-over";
  pen.fillStyle = colour("--fifth");
  const height = Math.max(2, canvas.height * Math.min(1, peak));
  pen.fillRect(canvas.width - step, (canvas.height - height) / 2, step - 1, height);
}

function stopRecording() {
  recorder.stream.getTracks().forEach((track) => track.stop());
  recorder.node.port.postMessage("end");
  $("record").textContent = "Record";
  $("record").ariaPressed = "false";
  $("level").hidden = true;
}

async function finishRecording() {
  const { pieces, length, rate, audio, live } = recorder;
  recorder = null;
  audio.close();
  if (!length) return say("");
  const file = wav(pieces, length, rate);
  const answer = await live?.finish();
  if (answer) show(answer, await decode(file), "recording");
  else transcribe(file, "recording");
}

// Words while they are said. Where that fails, the recording is sent when it is whole.
function openLive(rate) {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/v1/stream");
  const waiting = [], finals = [];
  let tell;
  const done = new Promise((resolve) => (tell = resolve));
  const send = (data) => {
    if (socket.readyState === WebSocket.CONNECTING) waiting.push(data);
    else if (socket.readyState === WebSocket.OPEN) socket.send(data);
  };
  const start = { type: "start", sample_rate: rate, format: "float32" };
  if ($("token")) start.token = $("token").value.trim();
  if ($("prompt").value.trim()) start.prompt = $("prompt").value;
  if ($("lm")) start.lm = $("lm").checked;
  socket.onopen = () => [JSON.stringify(start), ...waiting].forEach((data) => socket.send(data));
  socket.onclose = () => tell(null);
  socket.onmessage = ({ data }) => {
    const { type, ...message } = JSON.parse(data);
    if (type === "final") showLive(finals, (finals.push(message.text), ""), "");
    if (type === "partial") showLive(finals, message.stable_text, message.text.slice(message.stable_text.length));
    if (type === "done") tell(message);
    if (type === "error") say(message.error.message, true);
  };
  showLive([], "", "");
  return { push: send, finish: () => (send(JSON.stringify({ type: "finish" })), done) };
}

function showLive(finals, stable, open) {
  const rest = document.createElement("span");
  rest.className = "open";
  rest.textContent = open;
  $("live").replaceChildren([...finals, stable].filter(Boolean).join(" "), open.startsWith(" ") ? " " : "", rest);
  $("live").hidden = false;
}

function wav(pieces, length, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * length, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * length, true);
  let at = 44;
  for (const piece of pieces) {
    for (const value of piece) {
      view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(value * 32768))), true);
      at += 2;
    }
  }
  return new Blob([view], { type: "audio/wav" });
}

// ---- buttons, keys, files

const toggleRecording = () => (recorder ? stopRecording() : startRecording());
$("record").addEventListener("click", toggleRecording);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") stopSound();
  if (event.key.toLowerCase() === "r") toggleRecording();
});
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => { take($("file").files); $("file").value = ""; });
function take(files) { if (files.length) transcribe(files[0], files[0].name.replace(/\.[^.]*$/, "")); }
for (const [kind, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", over);
    if (kind === "drop") take(event.dataTransfer.files);
  });
}

for (const button of document.querySelectorAll("[data-save]")) {
  button.addEventListener("click", () => {
    const kind = button.dataset.save, { srt, vtt, ...rest } = shown.answer;
    const text = { txt: rest.text + "\n", srt, vtt, json: JSON.stringify(rest, null, 2) + "\n" }[kind];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = `${shown.name}.${kind}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
const redraw = () => shown.answer && drawStrip();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
new ResizeObserver(redraw).observe($("timeline"));
