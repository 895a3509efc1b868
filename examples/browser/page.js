// The page: files in, text out. ?model=model.onnx&audio=speech.wav loads both from the server.

import { Recognizer } from "./recognizer.js";

const element = (id) => document.getElementById(id);
let recognizer = null;
let recording = null;

function say(state, text = "") {
  element("state").textContent = state;
  element("text").textContent = text;
}

// Samples of one channel at a rate: the browser decodes, converts and averages.
async function readSamples(content, sampleRate) {
  const context = new OfflineAudioContext(1, 1, sampleRate);
  const audio = await context.decodeAudioData(content.slice(0));
  const samples = new Float32Array(audio.length);
  for (let channel = 0; channel < audio.numberOfChannels; channel++)
    audio.getChannelData(channel).forEach((value, i) => (samples[i] += value));
  return samples.map((value) => Math.max(-1, Math.min(1, value / audio.numberOfChannels)));
}

async function transcribe() {
  if (!recognizer || !recording) return say(recognizer ? "Choose a recording." : "Choose a model.");
  say("Transcribing...");
  const samples = await readSamples(recording, recognizer.sampleRate);
  say("Done.", await recognizer.transcribe(samples));
}

async function guard(work) {
  try {
    await work();
  } catch (error) {
    say(`Cannot: ${error.message}`);
  }
}

async function openModel(content) {
  say("Loading the model...");
  recognizer = await Recognizer.open(content);
}

async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.arrayBuffer();
}

element("model").onchange = ({ target }) =>
  guard(async () => {
    await openModel(await target.files[0].arrayBuffer());
    await transcribe();
  });
element("audio").onchange = ({ target }) =>
  guard(async () => {
    recording = await target.files[0].arrayBuffer();
    await transcribe();
  });

const wanted = new URLSearchParams(location.search);
await guard(async () => {
  if (wanted.has("audio")) recording = await get(wanted.get("audio"));
  if (wanted.has("model")) await openModel(await get(wanted.get("model")));
  await transcribe();
});
