// A model of `asr export input=samples` in onnxruntime-web: samples in, text out.

import * as ort from "./ort/ort.wasm.bundle.min.mjs";

const BLANK = 0;
const MAX_S = 30;
// Field numbers of ONNX's ModelProto and StringStringEntryProto.
const METADATA = 14, KEY = 1, VALUE = 2;

export class Recognizer {
  // `content` is an ArrayBuffer of the file.
  static async open(content) {
    const bytes = new Uint8Array(content);
    const text = readMetadata(bytes)["asr"];
    if (text === undefined) throw new Error("the file was not written by asr export");
    const facts = JSON.parse(text);
    if (facts.graph_input !== "samples") throw new Error("export the model with input=samples");
    ort.env.wasm.numThreads = 1; // more need headers that few servers send
    return new Recognizer(facts, await ort.InferenceSession.create(bytes));
  }

  constructor(facts, session) {
    this.facts = facts;
    this.session = session;
  }

  get sampleRate() {
    return this.facts.sample_rate;
  }

  countFrames(numSamples) {
    return this.facts.frame_steps.reduce(
      (count, [offset, divisor, factor]) =>
        Math.floor(Math.max(0, count + offset) / divisor) * factor,
      numSamples,
    );
  }

  // `samples` is a Float32Array in [-1, 1] at `sampleRate`.
  async transcribe(samples) {
    if (samples.length > MAX_S * this.sampleRate) throw new Error(`longer than ${MAX_S} s`);
    if (this.countFrames(samples.length) < 1)
      throw new Error("too short for one frame of the model");
    const { log_probs: logProbs } = await this.session.run({
      x: new ort.Tensor("float32", samples, [1, samples.length]),
      x_lens: new ort.Tensor("int64", BigInt64Array.of(BigInt(samples.length)), [1]),
    });
    const [, frames, classes] = logProbs.dims;
    return decodeGreedily(logProbs.data, frames, classes, this.facts.tokens);
  }
}

// The most probable class of each frame, without repeats and blanks.
function decodeGreedily(logProbs, frames, classes, tokens) {
  let text = "", last = BLANK;
  for (let t = 0; t < frames; t++) {
    const row = logProbs.subarray(t * classes, (t + 1) * classes);
    const best = row.indexOf(row.reduce((a, b) => Math.max(a, b)));
    if (best !== last && best !== BLANK) text += tokens[best];
    last = best;
  }
  return text.replaceAll("\u2581", " ").trim().replace(/ +/g, " ");
}

// The strings that an ONNX file keeps beside its graph; onnxruntime-web does not show them.
function readMetadata(bytes) {
  const decode = (part) => new TextDecoder().decode(part);
  const entries = {};
  for (const [field, entry] of readFields(bytes)) {
    if (field !== METADATA) continue;
    const parts = Object.fromEntries(readFields(entry));
    entries[decode(parts[KEY])] = decode(parts[VALUE]);
  }
  return entries;
}

// Fields of a protobuf message that hold bytes, as [number, Uint8Array].
function* readFields(bytes) {
  let place = 0;
  const varint = () => {
    let value = 0, scale = 1, byte;
    do {
      if (place >= bytes.length) throw new Error("not an ONNX file");
      byte = bytes[place++];
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte & 128);
    return value;
  };
  while (place < bytes.length) {
    const tag = varint(), kind = tag % 8;
    if (kind === 2) {
      const size = varint();
      yield [Math.floor(tag / 8), bytes.subarray(place, place + size)];
      place += size;
    } else if (kind === 0) varint();
    else if (kind === 1 || kind === 5) place += kind === 1 ? 8 : 4;
    else throw new Error("not an ONNX file");
  }
}
